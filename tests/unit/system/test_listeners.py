"""Who can be talked to, and who holds such a socket: this process and its sockets."""

import os
import socket
from pathlib import Path

from wgconfine.system.listeners import Holder, Stranger, sockets_of, strangers
from wgconfine.system.sockdiag import InetSocket, inet_listeners, unix_listeners

OWN = "/proc/self/ns/net"


def inode_of(end: socket.socket) -> int:
    return os.fstat(end.fileno()).st_ino


def listed(end: socket.socket) -> list[InetSocket]:
    return [each for each in inet_listeners() if each.inode == inode_of(end)]


def test_what_listens_is_listed_and_what_is_connected_is_not() -> None:
    """Of TCP and of UDP."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_connection(tcp.getsockname()) as connected,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound_to_nothing,
    ):
        udp.bind(("::1", 0))
        names = [f"127.0.0.1:{tcp.getsockname()[1]}", f"[::1]:{udp.getsockname()[1]}"]

        assert names == [each.local for end in (tcp, udp) for each in listed(end)]
        assert [] == [*listed(connected), *listed(bound_to_nothing)]


def test_a_unix_socket_is_known_by_its_file(tmp_path: Path) -> None:
    """By device and inode, since another file may bear its name by now."""
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as end, socket.socket(socket.AF_UNIX) as idle:
        end.bind(os.fspath(path))
        end.listen(1)
        idle.bind(os.fspath(tmp_path / "idle.sock"))
        found = {each.inode: each for each in unix_listeners()}
        status = path.stat()

        assert (status.st_dev, status.st_ino & 0xFFFFFFFF) == (
            found[inode_of(end)].device,
            found[inode_of(end)].file,
        )
        assert inode_of(idle) not in found


def test_a_process_holds_its_sockets() -> None:
    """And one that is gone holds none."""
    with socket.socket() as end:
        assert inode_of(end) in sockets_of(os.getpid())
    assert frozenset() == sockets_of(1 << 22)


def test_who_listens_in_its_own_namespace_is_no_stranger() -> None:
    """This process, in the namespace that it is in."""
    with socket.create_server(("127.0.0.1", 0)) as end:
        assert () == strangers(OWN, listed=lambda: listed(end), known=())


def test_a_socket_that_nobody_holds_is_told() -> None:
    """It stays on the list, and no process has it."""
    odd = InetSocket(protocol="tcp", local="127.0.0.1:9", remote="", inode=1 << 31, cgroup=0)
    gone = iter([[odd], []])

    assert (Stranger(protocol="tcp", local="127.0.0.1:9", holder=Holder()),) == strangers(
        OWN, listed=lambda: [odd], known=()
    )
    assert () == strangers(OWN, listed=lambda: next(gone), known=())
