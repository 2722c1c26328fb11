"""Sockets as the kernel lists them: those of this process, in this namespace."""

import os
import socket
import struct

import pytest

from wgconfine.system import sockdiag as module
from wgconfine.system.sockdiag import inet_sockets, messages, unix_peers


def test_bound_sockets_are_listed_with_their_addresses() -> None:
    """Over IPv4 and IPv6, and each under the inode that /proc knows it by."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        four.bind(("127.0.0.1", 0))
        listed = {each.inode: each for each in inet_sockets()}
        udp, tcp = (listed[os.fstat(each.fileno()).st_ino] for each in (four, six))

        assert ("udp", f"127.0.0.1:{four.getsockname()[1]}", "0.0.0.0:0") == (
            udp.protocol,
            udp.local,
            udp.remote,
        )
        assert ("tcp", f"[::1]:{six.getsockname()[1]}") == (tcp.protocol, tcp.local)


def test_a_unix_socket_is_listed_with_its_other_end() -> None:
    """By their inodes, both ways; one that is connected to nothing has none."""
    left, right = socket.socketpair()
    with left, right, socket.socket(socket.AF_UNIX) as alone:
        inodes = [os.fstat(each.fileno()).st_ino for each in (left, right, alone)]
        listed = unix_peers()

        assert [inodes[1], inodes[0], 0] == [listed[each] for each in inodes]


def test_a_datagram_is_taken_apart() -> None:
    """At multiples of four; what is cut off is left out."""
    first = struct.pack("=IHHII", 17, 5, 0, 0, 0) + b"a" + bytes(3)
    second = struct.pack("=IHHII", 16, 3, 0, 0, 0)

    assert [(5, b"a"), (3, b"")] == list(messages(first + second + b"\x00\x00"))
    assert [] == list(messages(struct.pack("=IHHII", 3, 5, 0, 0, 0)))


def test_a_listing_that_the_kernel_refuses_is_no_empty_one() -> None:
    """Who looks for leaks would find none; but a protocol that the kernel lacks has no sockets."""
    no_such_family = struct.pack("=BBBxI48x", 99, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
    no_such_protocol = struct.pack("=BBBxI48x", socket.AF_INET, 200, 0, 0xFFFFFFFF)

    with pytest.raises(OSError, match="list sockets: Invalid argument"):
        list(module._dump(no_such_family))
    assert [] == list(module._dump(no_such_protocol))
