"""Mounts by descriptor: neither these nor umount2(2) walk a path that a service can change."""

from __future__ import annotations

import ctypes
import os
import struct

from wgconfine.runtime.failure import step

# The same everywhere but on alpha; glibc before 2.36 has no functions for them.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE = 1
EMPTY_PATHS = 0x4 | 0x40  # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
AT_EMPTY_PATH = 0x1000
# struct mount_attr: nothing set or cleared, a new propagation, no user namespace.
SLAVE = struct.pack("=QQQQ", 0, 0, 1 << 19, 0)
MNT_DETACH = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def mount_of(descriptor: int) -> str:
    """Give the number of the mount that a descriptor is on: proc(5), fdinfo."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith("mnt_id:"))


def bind(source: int, target: int, what: str) -> None:
    """Put what `source` is on `target`, without the mounts that are below it. Raises OSError.

    What the host mounts below the source later comes along, and never the other way: unmounted
    here, it would else be unmounted for the whole host (mount_namespaces(7), "Shared subtrees").
    """
    step(f"mount --bind {what}")
    tree = LIBC.syscall(OPEN_TREE, source, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH | os.O_CLOEXEC)
    check(tree, what)
    try:
        size = ctypes.c_size_t(len(SLAVE))
        attributes = LIBC.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, SLAVE, size)
        check(attributes, what)
        check(LIBC.syscall(MOVE_MOUNT, tree, b"", target, b"", EMPTY_PATHS), what)
    finally:
        os.close(tree)


def detach(target: int, what: str) -> None:
    """Take the uppermost mount off `target`, also where a process uses it. Raises OSError."""
    step(f"umount -l {what}")
    check(LIBC.umount2(through(target), MNT_DETACH), what)


def through(descriptor: int) -> bytes:
    return f"/proc/self/fd/{descriptor}".encode()


def check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount_points(directory: str) -> list[str]:
    """Give every mount below a directory, the latest first, each as a path relative to it.

    As proc_pid_mountinfo(5) has them: white space and backslashes are octal there.
    """
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            path = os.fsdecode(unescape(line.split(b" ")[4]))
            if path.startswith(f"{directory}/"):
                found.append(path[len(directory) + 1 :])
    return found[::-1]


def unescape(field: bytes) -> bytes:
    first, *others = field.split(b"\\")
    return first + b"".join(bytes([int(each[:3], 8)]) + each[3:] for each in others)
