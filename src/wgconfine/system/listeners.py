"""Who can be talked to in a network namespace, and which process holds each such socket."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wgconfine.runtime.namespace import enter, identity
from wgconfine.system.sockdiag import InetSocket, UnixListener, inet_listeners, unix_listeners

__all__ = [
    "HOST",
    "Holder",
    "Stranger",
    "host_listeners",
    "inside_listeners",
    "sockets_of",
    "strangers",
]

HOST = "/proc/1/ns/net"
_PROC = Path("/proc")
_ROUNDS = 3
_SOCKET = "socket:["


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that holds a socket; `pid` is 0 where none was found."""

    pid: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A socket that somebody outside of its namespace answers at."""

    protocol: str
    local: str
    holder: Holder


def host_listeners() -> tuple[tuple[InetSocket, ...], tuple[UnixListener, ...]]:
    """Give those of PID 1's namespace, which this process stays in: a child's work."""
    _enter(HOST)
    return tuple(inet_listeners()), tuple(unix_listeners())


def inside_listeners(namespace: str) -> tuple[InetSocket, ...]:
    """Give those of the namespace at a path, which this process stays in: a child's work."""
    _enter(namespace)
    return tuple(inet_listeners())


def _enter(path: str) -> None:
    enter(os.open(path, os.O_RDONLY | os.O_CLOEXEC), f"look at the sockets of {path}")


def sockets_of(pid: int) -> frozenset[int]:
    """Give the inodes of the sockets that a process holds; none of one that has ended."""
    return frozenset(_sockets(pid))


def _sockets(pid: int) -> Iterator[int]:
    directory = _PROC / str(pid) / "fd"
    try:
        names = os.listdir(directory)  # noqa: PTH208 — names, not paths
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(directory / name)  # noqa: PTH115 — most are no paths at all
        except OSError:
            continue
        if target.startswith(_SOCKET):
            yield int(target[len(_SOCKET) : -1])


def strangers(
    namespace: str, *, listed: Callable[[], Iterable[InetSocket]], known: Collection[int]
) -> tuple[Stranger, ...]:
    """Give the sockets of a namespace that no process in it holds, with who does.

    `listed` lists them anew; `known` are processes that count as inside, wherever they are. Who
    hands a socket on, or closes it, while it is looked for is no finding: only what stays is.
    """
    inode = identity(namespace)
    left = {each.inode: each for each in listed() if each.inode}
    for _ in range(_ROUNDS):
        held = {each for pid in {*_inside(inode), *known} for each in _sockets(pid)}
        there = {each.inode for each in listed()}
        left = {key: each for key, each in left.items() if key in there and key not in held}
        if not left:
            return ()
    holders = dict(_holders(left.keys()))
    return tuple(
        Stranger(protocol=each.protocol, local=each.local, holder=holders.get(key, Holder()))
        for key, each in sorted(left.items(), key=lambda item: item[1].local)
    )


def _processes() -> list[int]:
    return [int(each) for each in os.listdir(_PROC) if each.isdecimal()]  # noqa: PTH208 — names


def _inside(namespace: tuple[int, int] | None) -> list[int]:
    return [pid for pid in _processes() if identity(f"/proc/{pid}/ns/net") == namespace]


def _holders(wanted: Collection[int]) -> Iterator[tuple[int, Holder]]:
    """PID 1 first, who holds those of socket units: the proxies that it starts hold them too."""
    found: set[int] = set()
    for pid in sorted(_processes()):
        for inode in sorted((sockets_of(pid) & {*wanted}) - found):
            found.add(inode)
            yield inode, Holder(pid=pid, name=_name(pid))


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""
