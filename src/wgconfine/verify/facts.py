"""What the host sees of a process that tries to get out: what makes a channel closed.

Read of /proc and of systemd, while the process waits. Nothing of it comes from the process itself.
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import re
import stat as modes
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wgconfine.model.settings import TunnelName
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import record_of_namespace
from wgconfine.system.mounts import Mount, parse_mounts
from wgconfine.system.process import OpenProcess, namespace_number
from wgconfine.verify.mounts import Credentials

__all__ = ["FACT_PROPERTIES", "Facts", "HostFacts", "read_facts", "read_host"]

PROC = Path("/proc")
FACT_PROPERTIES = ("RestrictAddressFamilies", "RestrictNamespaces", "SystemCallFilter")
MOST_MOUNTS = 4 << 20
_LISTENS, _DATAGRAM = 0x10000, 2
_SOCKET = re.compile(
    r"[0-9A-Fa-f]+: [0-9A-F]{8} [0-9A-F]{8} (?P<flags>[0-9A-F]{8}) (?P<type>[0-9A-F]{4}) "
    r"[0-9A-F]{2} +[0-9]+ (?P<path>.+)"
)
_IO_URING_SETUP = 425
_NS_GET_PARENT, _NS_GET_OWNER_UID = 0xB702, 0xB704


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One process. `inside` tells whether its namespace is the tunnel's, None where it is unseen.

    `settings` are FACT_PROPERTIES of its unit; `filtered` says that a filter of system calls is in
    force on it. `own_users` and `own_processes` say that it has such a namespace of its own.
    """

    inside: bool | None
    filtered: bool
    keeps_rights: bool
    credentials: Credentials
    mounts: tuple[Mount, ...]
    settings: Mapping[str, str]
    own_users: bool
    own_processes: bool

    def refuses_family(self, name: str) -> bool:
        """Whether its unit's list, in force as a filter, leaves a family out."""
        text = self.settings.get("RestrictAddressFamilies", "~")
        words = text.removeprefix("~").split()
        # An empty list allows none; without any list it is "~".
        return self.filtered and ((name in words) == text.startswith("~"))

    def refuses_call(self, name: str) -> bool:
        """Whether its unit's list of system calls, in force as a filter, leaves one out."""
        text = self.settings.get("SystemCallFilter", "")
        words = {word.partition(":")[0] for word in text.removeprefix("~").split()}
        return self.filtered and bool(text) and ((name in words) == text.startswith("~"))

    def refuses_namespaces(self, kind: str) -> bool:
        """Whether it may neither make nor enter a namespace of a kind: `net`, `mnt`."""
        text = self.settings.get("RestrictNamespaces", "")
        return self.filtered and text not in {"", "no"} and kind not in text.split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A process that is not confined, wherever it is: by what another may trace it, ptrace(2).

    `owners` are the users who own its user namespace, or one around it; empty in the host's.
    """

    pid: int
    users: frozenset[int]
    groups: frozenset[int]
    capabilities: int
    owners: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The host around it: its mounts, who listens on a socket file, who else runs.

    `rings` tells to whom the kernel gives io_uring: 0 to all, 1 to root's capability, 2 to nobody.
    """

    namespace: str
    mounts: tuple[Mount, ...]
    sockets: tuple[str, ...]
    peers: tuple[Peer, ...]
    rings: int
    resolvers: tuple[str, ...]


def read_facts(pid: int, tunnel: TunnelName, settings: Mapping[str, str]) -> Facts | None:
    """Give what is seen of a process; None if it is gone, or not to be seen."""
    try:
        with OpenProcess(pid) as process, OpenProcess(1) as first:
            status = process.status()
            return Facts(
                inside=_is_inside(process, tunnel),
                filtered=status.get("Seccomp") == "2",
                keeps_rights=status.get("NoNewPrivs") == "1",
                credentials=Credentials(
                    user=int(status["Uid"].split()[3]),
                    groups=_groups(status, 3),
                    capabilities=int(status["CapPrm"], 16),
                ),
                mounts=parse_mounts(process.read("mountinfo", limit=MOST_MOUNTS)),
                settings=dict(settings),
                own_users=process.link("ns/user") != first.link("ns/user"),
                own_processes=process.link("ns/pid") != first.link("ns/pid"),
            )
    except (OSError, ValueError, KeyError):
        return None


def _is_inside(process: OpenProcess, tunnel: TunnelName) -> bool | None:
    ours = identity(record_of_namespace(tunnel))
    return None if ours is None else namespace_number(process.link("ns/net")) == ours[1]


def _groups(status: Mapping[str, str], which: int) -> frozenset[int]:
    """Those it has beside the one by which files are judged: proc_pid_status(5)."""
    return frozenset(map(int, (*status["Groups"].split(), status["Gid"].split()[which])))


def read_host() -> HostFacts:
    """Give what is seen of the host. Needs root."""
    namespace = str((PROC / "1/ns/net").readlink())
    return HostFacts(
        namespace=namespace,
        mounts=parse_mounts((PROC / "1/mountinfo").read_text(encoding="utf-8", errors="replace")),
        sockets=tuple(_sockets()),
        peers=tuple(_peers()),
        rings=_rings(),
        resolvers=tuple(_resolvers()),
    )


def _sockets() -> Iterator[str]:
    """The socket files that somebody in the host's namespace listens on: proc_pid_net(5)."""
    text = (PROC / "1/net/unix").read_text(encoding="utf-8", errors="replace")
    for line in text.split("\n")[1:]:
        # A path may have a newline in it, and what comes behind that is anybody's.
        if found := _SOCKET.match(line):
            listens = int(found["flags"], 16) & _LISTENS or int(found["type"], 16) == _DATAGRAM
            path = found["path"].replace("/var/run/", "/run/", 1)
            if listens and is_socket(path):
                yield path


def _peers() -> Iterator[Peer]:
    names = Path(record_of_namespace("NAME")).parent.glob("*")
    tunnels = {found[1] for found in map(identity, map(str, names)) if found}
    for place in PROC.iterdir():
        if place.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, KeyError):
                yield from _peer(int(place.name), tunnels)


def _peer(pid: int, tunnels: Collection[int]) -> Iterator[Peer]:
    with OpenProcess(pid) as process, OpenProcess(1) as first:
        # A thread of the kernel has no program: the link can't be read.
        if process.link("exe") and not _is_shut_in(process, first, tunnels):
            status = process.status()
            yield Peer(
                pid=pid,
                users=frozenset(map(int, status["Uid"].split()[:3])),
                groups=frozenset(map(int, status["Gid"].split()[:3])),
                capabilities=int(status["CapPrm"], 16),
                owners=frozenset(_owners(process, first)),
            )


def _is_shut_in(process: OpenProcess, first: OpenProcess, tunnels: Collection[int]) -> bool:
    """Whether a process is in a tunnel, and its files are not simply the host's.

    One without a network has the host's /run all the same, and every socket in it.
    """
    inside = namespace_number(process.link("ns/net")) in tunnels
    return inside and process.link("ns/mnt") != first.link("ns/mnt")


def _owners(process: OpenProcess, first: OpenProcess) -> Iterator[int]:
    """The owner of a user namespace and of those around it, up to the host's: ioctl_nsfs(2)."""
    host = namespace_number(first.link("ns/user"))
    namespace = process.open("ns/user")
    try:
        while os.fstat(namespace).st_ino != host:
            owner = array.array("I", [0])
            fcntl.ioctl(namespace, _NS_GET_OWNER_UID, owner)
            yield owner[0]
            around = fcntl.ioctl(namespace, _NS_GET_PARENT)
            os.close(namespace)
            namespace = around
    finally:
        os.close(namespace)


def _rings() -> int:
    """A kernel without it says so before it looks at the arguments.

    In the sandbox of wgconfine-verify@ the answer is a filter's, and shows nothing.
    """
    with contextlib.suppress(OSError, ValueError):  # since Linux 6.6
        return int((PROC / "sys/kernel/io_uring_disabled").read_text())
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_IO_URING_SETUP, 0, None)
    return 2 if ctypes.get_errno() == errno.ENOSYS else 0


def _resolvers() -> Iterator[str]:
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text(errors="replace").splitlines()[:64]:
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1:
                yield words[1].partition("%")[0]


def is_socket(path: str) -> bool:
    """Whether a socket file is at the path by which it was bound, maybe in another view."""
    try:
        return path.startswith("/") and modes.S_ISSOCK(_of_host(path).lstat().st_mode)
    except (OSError, ValueError):
        return False


def _of_host(path: str) -> Path:
    """A path of the host's, seen past our own sandbox: there /dev and /home are others."""
    return PROC / "1/root" / path.removeprefix("/")


def stat_of(path: str) -> tuple[int, int, int] | None:
    """Mode, owner and group of a file of the host's, never through a link at its end."""
    try:
        found = _of_host(path).lstat()
    except OSError:
        return None
    return modes.S_IMODE(found.st_mode), found.st_uid, found.st_gid
