"""What a command inside may get as standard input and output."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wgconfine.system.descriptors import why_not


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_files_pipes_and_harmless_devices(tmp_path: Path) -> None:
    """They lead nowhere."""
    reading, writing = os.pipe()
    try:
        assert ["", ""] == [why_not(reading), why_not(writing)]
    finally:
        os.close(reading)
        os.close(writing)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", Path("/dev/null"), Path("/dev/zero"), Path("/dev/urandom")):
        with path.open("rb") as file:
            assert "" == why_not(file.fileno()), path


def test_a_terminal() -> None:
    """Of whatever kind."""
    ours, its = os.openpty()
    try:
        assert "" == why_not(its)
    finally:
        os.close(ours)
        os.close(its)


def test_a_connection_of_unix(pair: tuple[socket.socket, socket.socket]) -> None:
    """It can't be connected to anybody else."""
    assert "" == why_not(pair[0].fileno())


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_DGRAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
def test_a_socket_that_may_still_go_anywhere(family: int, kind: int) -> None:
    """It is of the namespace in which it was made; of unix(7), too, by abstract names."""
    with socket.socket(family, kind) as each:
        assert "a socket of the host's network" == why_not(each.fileno())


def test_a_listening_socket(tmp_path: Path) -> None:
    """It would take in whoever connects outside."""
    with socket.socket(socket.AF_UNIX) as each:
        each.bind(os.fspath(tmp_path / "socket"))
        each.listen()
        assert "a socket of the host's network" == why_not(each.fileno())


def test_a_pair_of_datagram_sockets() -> None:
    """Each may be connected anew."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        assert "a socket of the host's network" == why_not(one.fileno())


@pytest.mark.parametrize(
    ("path", "words"), [("/", "a directory"), ("/proc/self/ns/net", "a namespace")]
)
def test_what_the_host_can_be_reached_by(path: str, words: str) -> None:
    """A directory has the host's /run below it, and a namespace can be joined."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert why_not(descriptor).startswith(words)
    finally:
        os.close(descriptor)


def test_other_handles_of_the_kernel() -> None:
    """Such as a process' own descriptor."""
    descriptor = os.pidfd_open(os.getpid())
    try:
        assert why_not(descriptor)
    finally:
        os.close(descriptor)
