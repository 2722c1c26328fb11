"""One process as the kernel shows it to root: this one, and children of it."""

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wgconfine.system.process import (
    TUN_DEVICE,
    OpenProcess,
    peer_of,
    socket_of,
)

pytestmark = pytest.mark.netns

STATUS = {
    "Uid": "1\t2\t3\t3",
    "Gid": "4\t4\t4\t4",
    "Groups": "5 6",
    "Seccomp": "2",
    "Seccomp_filters": "7",
    "NoNewPrivs": "1",
    "CapEff": "0000000000000001",
    "CapBnd": "0000000000000003",
}


def own_network() -> int:
    return Path("/proc/self/ns/net").stat().st_ino


@contextmanager
def stopped_child() -> Iterator[int]:
    """A child that waits, and is ended and reaped afterwards."""
    child = os.fork()
    if child == 0:
        while True:
            os.read(os.pipe()[0], 1)
    try:
        yield child
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_its_threads_are_seen_with_their_namespace() -> None:
    """Every one that lives."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    with OpenProcess(os.getpid()) as process:
        found = list(process.threads())
    done.set()
    thread.join()
    own = own_network()

    assert {os.getpid(), thread.native_id} <= {each.tid for each in found}
    assert {own} == {each.network for each in found}


def test_a_process_that_has_ended_is_never_another() -> None:
    """Once its number is free, nothing is read of who gets it."""
    with stopped_child() as child:
        process = OpenProcess(child)
        assert process.start > 0
    with process, pytest.raises(ProcessLookupError):
        process.read("stat")


def test_every_kind_of_socket_tells_its_family_and_namespace() -> None:
    """Unbound ones too, fetched from the process that holds them."""
    own = own_network()
    sockets = {
        socket.AF_INET: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        socket.AF_UNIX: socket.socket(socket.AF_UNIX),
        socket.AF_NETLINK: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    }
    inodes = {os.fstat(each.fileno()).st_ino: family for family, each in sockets.items()}
    with stopped_child() as child, OpenProcess(child) as process:
        for descriptor in process.descriptors([child]):
            if descriptor.inode in inodes:
                fetched = process.fetch(descriptor)
                assert fetched is not None
                with socket_of(fetched) as (family, namespace, _):
                    found = (family, os.fstat(namespace).st_ino)
                    assert (inodes.pop(descriptor.inode), own) == found
    for each in sockets.values():
        each.close()

    assert {} == inodes


def test_a_tun_device_tells_its_namespace() -> None:
    """With and without a device of its own."""
    own = own_network()
    with Path("/dev/net/tun").open("r+b", buffering=0) as tun:
        for make in (False, True):
            if make:
                fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"wgc-unit%d", 0x1001))
            with socket_of(os.dup(tun.fileno())) as (family, namespace, opened):
                found = (family, os.fstat(namespace).st_ino, opened)
                assert (TUN_DEVICE, own, None) == found


def test_a_descriptor_that_was_closed_meanwhile_is_no_descriptor() -> None:
    """Between the listing and the look."""
    own = socket.socket()
    with OpenProcess(os.getpid()) as process:
        (descriptor,) = (each for each in process.descriptors([]) if each.number == own.fileno())
        own.close()
        assert process.fetch(descriptor) is None


def test_the_other_end_of_a_unix_socket() -> None:
    """Who made it; none where nothing is connected."""
    left, right = socket.socketpair()
    alone = socket.socket(socket.AF_UNIX)
    with left, right, alone:
        assert (os.getpid(), "") == peer_of(left)
        assert peer_of(alone) is None
