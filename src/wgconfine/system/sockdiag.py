"""Sockets as the kernel lists them for one namespace: sock_diag(7).

For the namespace in which the caller is. `/proc/net` does not tell what this does: the control
group that a socket was made in, and the other end of a unix socket.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from wgconfine.runtime.link import endpoint_text

__all__ = [
    "InetSocket",
    "UnixListener",
    "inet_listeners",
    "inet_sockets",
    "listening",
    "unix_listeners",
    "unix_peers",
]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_INET_MESSAGE = 72  # struct inet_diag_msg
_INET_DIAG_SKV6ONLY = 11
_INET_DIAG_CGROUP_ID = 21  # Linux 5.9
_UNIX_MESSAGE = 16  # struct unix_diag_msg
_UNIX_DIAG_VFS, _UNIX_DIAG_PEER = 1, 2
_UDIAG_SHOW_VFS, _UDIAG_SHOW_PEER = 0x2, 0x4
_LISTENING, _UNCONNECTED = 1 << 10, 1 << 7  # TCP_LISTEN, TCP_CLOSE
_ANY_STATE = 0xFFFFFFFF
_MINOR_BITS = 20
_PROTOCOLS = {
    "tcp": socket.IPPROTO_TCP,
    "udp": socket.IPPROTO_UDP,
    "raw": socket.IPPROTO_RAW,
    "sctp": socket.IPPROTO_SCTP,
    "udplite": socket.IPPROTO_UDPLITE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InetSocket:
    """A socket with an address; `cgroup` is 0 where the kernel does not tell, `inode` is its own.

    `inode` is 0 where no process holds it any more. `only_v6` says of a listening one of IPv6 that
    it takes no IPv4.
    """

    protocol: str
    local: str
    remote: str
    inode: int
    cgroup: int
    only_v6: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixListener:
    """`inode` is the socket's own; `device` and `file` are those of the file that it is bound to.

    The file's inode has 32 bits here.
    """

    inode: int
    device: int
    file: int


def inet_sockets() -> Iterator[InetSocket]:
    """Every bound, listening or connected one. A protocol that the kernel lacks has none.

    Raises OSError where the kernel does not list them; so do all here.
    """
    for name in _PROTOCOLS:
        yield from _listed(name, _ANY_STATE)


def inet_listeners() -> Iterator[InetSocket]:
    """Those that anybody can talk to: of TCP and SCTP what listens, of UDP what is not connected.

    A datagram socket without a port, which nothing can be sent to, is none.
    """
    for name in ("tcp", "sctp"):
        yield from _listed(name, _LISTENING)
    for name in ("udp", "udplite"):
        yield from (each for each in _listed(name, _UNCONNECTED) if not each.local.endswith(":0"))


def _listed(name: str, states: int) -> Iterator[InetSocket]:
    for family in (socket.AF_INET, socket.AF_INET6):
        request = struct.pack("=BBBxI48x", family, _PROTOCOLS[name], 0, states)
        for body in _dump(request):
            yield _inet(body, family, name)


def listening() -> Iterator[InetSocket]:
    """Every socket that listens for TCP."""
    yield from _listed("tcp", _LISTENING)


def _inet(body: bytes, family: int, name: str) -> InetSocket:
    local_port, remote_port = struct.unpack_from("!HH", body, 4)
    size = 4 if family == socket.AF_INET else 16
    local = socket.inet_ntop(family, body[8 : 8 + size])
    remote = socket.inet_ntop(family, body[24 : 24 + size])
    (inode,) = struct.unpack_from("=I", body, 68)
    attributes = _attributes(body[_INET_MESSAGE:])
    cgroup = attributes.get(_INET_DIAG_CGROUP_ID, b"")
    return InetSocket(
        protocol=name,
        local=endpoint_text(local, local_port),
        remote=endpoint_text(remote, remote_port),
        inode=inode,
        cgroup=struct.unpack("=Q", cgroup)[0] if cgroup else 0,
        only_v6=attributes.get(_INET_DIAG_SKV6ONLY, b"\0")[:1] != b"\0",
    )


def unix_peers() -> dict[int, int]:
    """The inode of each unix socket, with that of the other end; 0 where there is none."""
    request = struct.pack("=BBHIII8x", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _UDIAG_SHOW_PEER)
    found = {}
    for body in _dump(request):
        (inode,) = struct.unpack_from("=I", body, 4)
        peer = _attributes(body[_UNIX_MESSAGE:]).get(_UNIX_DIAG_PEER, bytes(4))
        found[inode] = struct.unpack("=I", peer)[0]
    return found


def unix_listeners() -> Iterator[UnixListener]:
    """Those that listen, bound to a file: unix(7)."""
    request = struct.pack("=BBHIII8x", socket.AF_UNIX, 0, 0, _LISTENING, 0, _UDIAG_SHOW_VFS)
    for body in _dump(request):
        bound = _attributes(body[_UNIX_MESSAGE:]).get(_UNIX_DIAG_VFS)
        if bound:
            (inode,) = struct.unpack_from("=I", body, 4)
            file, device = struct.unpack("=II", bound)
            # The kernel's own form of a device's number is not that of stat(2).
            major, minor = device >> _MINOR_BITS, device & ((1 << _MINOR_BITS) - 1)
            yield UnixListener(inode=inode, device=os.makedev(major, minor), file=file)


def _dump(request: bytes) -> Iterator[bytes]:
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, flags, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(5)
        kernel.send(header + request)
        while True:
            for kind, body in messages(kernel.recv(1 << 18)):
                if kind in {_NLMSG_DONE, _NLMSG_ERROR}:
                    _check(body)
                    return
                yield body


def _check(last: bytes) -> None:
    """Raise OSError if a listing ended by an error: what it lacks must not pass for not there.

    ENOENT is what the kernel says of a protocol that it does not have; also of one about which it
    can't be asked, where its module for that (tcp_diag) was not loaded and can't be any more.
    """
    (negative,) = struct.unpack_from("=i", last)
    if negative not in {0, -errno.ENOENT}:
        raise OSError(-negative, f"list sockets: {os.strerror(-negative)}")


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take a datagram of netlink(7) apart: the type and the body of each message."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found
