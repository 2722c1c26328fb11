"""Enter, name and prove network namespaces: network_namespaces(7), setns(2)."""

from __future__ import annotations

import ctypes
import os

from wgconfine.runtime import paths
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.state import read_state

CLONE_NEWNET = 0x40000000
AF_NETLINK, SOCK_RAW = 16, 3
SOL_SOCKET, SO_NETNS_COOKIE = 1, 71
LIBC = ctypes.CDLL(None, use_errno=True)


def identity(path: str) -> tuple[int, int] | None:
    """Give device and inode of what `path` leads to, None where it can't be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_namespace(path: str) -> bool:
    """Tell whether `path` is on nsfs: all namespace files of the kernel share its device number."""
    seen = identity(path)
    own = identity(paths.HOST_NAMESPACE)
    return seen is not None and own is not None and seen[0] == own[0]


def cookie() -> str:
    """Give the number of this process's namespace, which no other has had since the boot.

    An inode is another's once the namespace has gone. Empty where the kernel has none: before 5.14.
    """
    descriptor = LIBC.socket(AF_NETLINK, SOCK_RAW, 0)
    number, size = ctypes.c_uint64(), ctypes.c_uint32(8)
    references = ctypes.byref(number), ctypes.byref(size)
    try:
        failed = LIBC.getsockopt(descriptor, SOL_SOCKET, SO_NETNS_COOKIE, *references)
    finally:
        os.close(descriptor)
    return "" if failed else str(number.value)


def lost_names(name: str) -> bool:
    """Tell whether a name that wgconfine-netns@NAME.service gave has been unmounted since.

    Another namespace there is somebody else's matter: Visit refuses it.
    """
    if not os.path.exists(paths.namespace_cookie(name)):
        return False
    names = (paths.record_of_namespace(name), paths.named_namespace(name))
    return not all(map(is_namespace, names))


def propagation(path: str) -> str | None:
    """Give the propagation of the mount on `path`, such as `shared:9`; None where there is none.

    A private one has the empty string: proc_pid_mountinfo(5), "optional fields".
    """
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            if fields[4] == path:  # of several on one another the last one counts
                found = " ".join(fields[6 : fields.index("-")])
    return found


class Visit:
    """Work inside a tunnel's namespace with `with`, from the host's; afterwards back in that.

    WireGuard keeps its UDP socket in the namespace where its link was *asked for*: so links are
    made outside of this block and everything else inside. The namespace is our own record's, and
    must be neither the host's nor another than the one bearing the tunnel's name. Raises Failure.
    """

    def __init__(self, name: str) -> None:
        self.descriptors: list[int] = []
        self.name = name
        self.path = paths.record_of_namespace(name)
        if not is_namespace(self.path):
            raise Failure(
                f"{self.path}: no namespace is there. Start wgconfine-netns@{name}.service."
            )
        seen = identity(self.path)
        if seen == identity(paths.HOST_NAMESPACE):
            raise Failure(
                f"{self.path}: this is the host's namespace. Refused. "
                f"Restart wgconfine-netns@{name}.service."
            )
        if seen != identity(paths.named_namespace(name)):
            raise Failure(
                f"{paths.named_namespace(name)}: another namespace has taken the name. "
                f"Unmount it, then restart wgconfine-netns@{name}.service."
            )
        self.outside = os.open(paths.HOST_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        self.descriptors.append(self.outside)
        self.inside = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.descriptors.append(self.inside)

    def __enter__(self) -> None:
        enter(self.inside, f"enter the namespace of tunnel {self.name}")

    def __exit__(self, *_: object) -> None:
        enter(self.outside, "go back to the host's namespace")

    def __del__(self) -> None:
        # Not in __exit__: one visit is entered several times. The look-up of endpoints lives long.
        for descriptor in self.descriptors:
            os.close(descriptor)


class Home:
    """Work where this process is, with `with`: what stands in a Visit's place."""

    def __enter__(self) -> None:
        """Stay."""

    def __exit__(self, *_: object) -> None:
        """Stay."""


def outer_of(via: str | None) -> Visit | Home:
    """Give where the link of a tunnel is asked for, and its UDP socket stays. Raises Failure.

    That is the host's namespace, in which the caller is, or the one of the tunnel it goes through.
    """
    return Home() if via is None else Visit(via)


def outer_identity(via: str | None) -> str:
    """Give what tells that namespace from any other; empty for the host's."""
    seen = None if via is None else identity(paths.record_of_namespace(via))
    return "" if seen is None else f"{seen[0]}:{seen[1]}"


def outer_place(name: str) -> str:
    """Give the file that keeps the outer_identity() of where the link was asked for."""
    return f"{paths.tunnel_state(name)}/{paths.OUTER}"


def is_at_home(name: str, via: str | None) -> bool:
    """Tell whether the live link was asked for where it should be: its socket never moves."""
    return read_state(outer_place(name)) == outer_identity(via)


def enter(descriptor: int, what: str) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise Failure(f"{what}: setns: {os.strerror(ctypes.get_errno())}")
