"""One process as the kernel shows it to root: its threads' namespaces and rights, its sockets.

Held by a descriptor of its directory in /proc, so that what is read is never of another process
that got the same number. Nothing here waits for the process, or runs anything of its.
"""

import ctypes
import errno
import fcntl
import os
import platform
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from wgconfine.runtime.namespace import LIBC

__all__ = [
    "DEVICE",
    "MOVED",
    "TUN_DEVICE",
    "Descriptor",
    "OpenProcess",
    "Thread",
    "namespace_number",
    "peer_of",
    "socket_of",
]

_PIDFD_GETFD = 438  # the same everywhere but on alpha
_KCMP = {"x86_64": 312, "i686": 349, "armv7l": 378, "ppc64le": 354, "s390x": 343}
_KCMP_EVERYWHERE_ELSE = 272
_KCMP_FILES = 2
_PIDFD_THREAD = os.O_EXCL  # Linux 6.9
_SIOCGSKNS = 0x894C
_TUNGETDEVNETNS = 0x54E3
_SO_DOMAIN = 39
_UCRED = struct.Struct("=iII")
_START = 19  # of the fields of proc_pid_stat(5) after the name, counted from 0

DEVICE, MOVED = 0, -1
TUN_DEVICE = -1
"""In the place of a socket's family: a descriptor of a tun or tap device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """`network` is the inode of its network namespace."""

    tid: int
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """An open socket or tun device; `inode` is the socket's, or DEVICE or MOVED.

    `table` is the thread that it is a descriptor of: the process itself but for few.
    """

    table: int
    number: int
    inode: int


class OpenProcess:
    """Raises FileNotFoundError or ProcessLookupError, in each method, once it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._handles: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (*self._handles.values(), self._directory):
            os.close(descriptor)

    def read(self, name: str, limit: int = 1 << 20) -> str:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        with open(descriptor, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 — by fd
            return file.read(limit)

    def link(self, name: str) -> str:
        return os.readlink(name, dir_fd=self._directory)

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Give a descriptor of what a link in its directory leads to, such as `ns/net`."""
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=self._directory)

    def _names(self, name: str) -> list[str]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._directory)
        try:
            return os.listdir(descriptor)  # noqa: PTH208 — pathlib lists no descriptors
        finally:
            os.close(descriptor)

    @property
    def start(self) -> int:
        """When it began, in ticks: with its number, this tells it from every other process."""
        return int(self.read("stat").rpartition(")")[2].split()[_START])

    @property
    def name(self) -> str:
        return self.read("comm").removesuffix("\n")

    def status(self, thread: int | None = None) -> dict[str, str]:
        """proc_pid_status(5) of itself, or of one of its threads."""
        text = self.read("status" if thread is None else f"task/{thread}/status")
        lines = (line.partition(":") for line in text.split("\n"))  # a name has no newline alone
        return {key: value.strip() for key, _, value in lines}

    def threads(self) -> Iterator[Thread]:
        """Those that live. Raises PermissionError where one can't be seen."""
        for name in self._names("task"):
            try:
                status = self.status(int(name))
                if status.get("State", "")[:1] not in {"Z", "X"}:
                    network = namespace_number(self.link(f"task/{name}/ns/net"))
                    yield Thread(tid=int(name), network=network)
            except (FileNotFoundError, ProcessLookupError):
                continue

    def descriptors(self, threads: list[int]) -> Iterator[Descriptor]:
        """Every socket and tun device, also of threads with a table of descriptors of their own.

        A number that was listed and has nothing a moment later is given with the inode MOVED: it
        was closed, or what it had is at another number.
        """
        yield from self._table(self.pid, "fd")
        for thread in threads:
            if thread != self.pid and not self._shares_table(thread):
                with suppress(FileNotFoundError, ProcessLookupError):  # that thread has ended
                    yield from self._table(thread, f"task/{thread}/fd")

    def _table(self, thread: int, directory: str) -> Iterator[Descriptor]:
        for number in self._names(directory):
            try:
                target = self.link(f"{directory}/{number}")
            except FileNotFoundError:
                yield Descriptor(table=thread, number=int(number), inode=MOVED)
                continue
            if target.startswith("socket:["):
                inode = namespace_number(target)
                yield Descriptor(table=thread, number=int(number), inode=inode)
            elif target.endswith("/net/tun"):
                yield Descriptor(table=thread, number=int(number), inode=DEVICE)

    def _shares_table(self, thread: int) -> bool:
        number = _KCMP.get(platform.machine(), _KCMP_EVERYWHERE_ELSE)
        return bool(LIBC.syscall(number, self.pid, thread, _KCMP_FILES, 0, 0) == 0)

    def fetch(self, descriptor: Descriptor) -> int | None:
        """Give a duplicate of it, for us to close; None where that number is another's meanwhile.

        Raises OSError where it can't be had; EINVAL for a thread of its own on a kernel before 6.9.
        """
        if descriptor.table not in self._handles:
            flags = 0 if descriptor.table == self.pid else _PIDFD_THREAD
            self._handles[descriptor.table] = os.pidfd_open(descriptor.table, flags)
            self.read("stat")  # it lives: so that is the handle of a thread of its
        handle = self._handles[descriptor.table]
        found = int(LIBC.syscall(_PIDFD_GETFD, handle, descriptor.number, 0))
        if found < 0 and ctypes.get_errno() != errno.EBADF:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if found >= 0 and not _is(found, descriptor):
            os.close(found)
            return None
        return found if found >= 0 else None


def _is(fetched: int, descriptor: Descriptor) -> bool:
    status = os.fstat(fetched)
    if descriptor.inode != DEVICE:
        return stat.S_ISSOCK(status.st_mode) and status.st_ino == descriptor.inode
    return stat.S_ISCHR(status.st_mode)


def namespace_number(link: str) -> int:
    """Give N of `net:[N]` or `socket:[N]`."""
    return int(link[link.index("[") + 1 : -1])


@contextmanager
def socket_of(descriptor: int) -> Iterator[tuple[int, int, socket.socket | None]]:
    """Give the family of a socket, a descriptor of its network namespace, and the socket.

    For a tun device the family is TUN_DEVICE. The namespace is that in which it was made, which
    SIOCGSKNS tells of every kind of socket, bound or not. Closes all three.
    """
    namespace = -1
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            namespace = _namespace_of_device(descriptor)
            yield TUN_DEVICE, namespace, None
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, os.dup(descriptor)) as opened:
            family = opened.getsockopt(socket.SOL_SOCKET, _SO_DOMAIN)
            namespace = _ioctl(descriptor, _SIOCGSKNS)
            yield family, namespace, opened
    finally:
        os.close(descriptor)
        if namespace >= 0:
            os.close(namespace)


def _namespace_of_device(descriptor: int) -> int:
    try:
        return _ioctl(descriptor, _TUNGETDEVNETNS)
    except OSError as error:
        if error.errno != errno.EBADFD:
            raise
    return _ioctl(descriptor, _SIOCGSKNS)  # it has no device yet, and will make one there


def _ioctl(descriptor: int, request: int) -> int:
    # A Linux ioctl that answers with a descriptor: open, and not closed on exec, until we do.
    return fcntl.ioctl(descriptor, request, 0)


def peer_of(opened: socket.socket) -> tuple[int, str] | None:
    """Give the process and the name of a unix socket's other end; None where it has none."""
    try:
        path = opened.getpeername()
    except OSError:
        return None
    credentials = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    name = path if isinstance(path, str) else bytes(path or b"").decode(errors="replace")
    return _UCRED.unpack(credentials)[0], name
