"""Machines to test on: real systemd, an internet with a WireGuard server, every packet counted."""

from lab.capture import Capture, Flow, Packet, Traffic, assert_confined
from lab.container import DENY_SETNS, Container
from lab.debian import RELEASES, Release, base_root
from lab.internet import Internet, Query
from lab.layers import Root, build_wheelhouse, installed_root
from lab.machine import CommandFailed, Completed, Machine
from lab.vm import VirtualMachine
from lab.world import World, boot_container, boot_vm

__all__ = [
    "DENY_SETNS",
    "RELEASES",
    "Capture",
    "CommandFailed",
    "Completed",
    "Container",
    "Flow",
    "Internet",
    "Machine",
    "Packet",
    "Query",
    "Release",
    "Root",
    "Traffic",
    "VirtualMachine",
    "World",
    "assert_confined",
    "base_root",
    "boot_container",
    "boot_vm",
    "build_wheelhouse",
    "installed_root",
]
