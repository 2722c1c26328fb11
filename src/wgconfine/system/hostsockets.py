"""Sockets of the host's network namespace that were made in the control group of a service.

A second look, which needs no process that holds them: they may be on their way through a unix
socket, or belong to a process elsewhere that a service handed them to.
"""

import os
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass

from wgconfine.runtime.namespace import enter
from wgconfine.system.sockdiag import InetSocket, inet_sockets

__all__ = ["HostSockets", "host_sockets_of"]

_PAUSE = 0.05
_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSockets:
    """`able`: the kernel tells the control group of a socket (5.9, with its socket diagnosis)."""

    able: bool
    found: tuple[InetSocket, ...]


def host_sockets_of(cgroups: Collection[int]) -> HostSockets:
    """Ask in PID 1's namespace, which this process stays in: a child's work (system/aside.py).

    What systemd itself looks up while it sets a unit up is gone a moment later: only what is seen
    twice counts.
    """
    enter(os.open("/proc/1/ns/net", os.O_RDONLY | os.O_CLOEXEC), "look at the host's sockets")
    if not _able():
        return HostSockets(able=False, found=())
    found = _of(cgroups)
    if found:
        time.sleep(_PAUSE)
        found &= _of(cgroups)
    ordered = sorted(found, key=lambda each: (each.protocol, each.local, each.inode))
    return HostSockets(able=True, found=tuple(ordered[:_MOST]))


def _of(cgroups: Collection[int]) -> set[InetSocket]:
    return {each for each in inet_sockets() if each.cgroup in cgroups}


def _able() -> bool:
    """Tell whether a socket of our own is listed, with a control group."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        inode = os.fstat(own.fileno()).st_ino
        return any(each.inode == inode and each.cgroup for each in inet_sockets())
