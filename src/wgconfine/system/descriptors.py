"""What the caller's standard input and output are, and whether a command inside may have them.

A descriptor that was opened outside leads there, whatever namespace its holder is in.
"""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["NAMES", "on_terminal", "why_not"]

NAMES = ("standard input", "standard output", "standard error")

_MEMORY = 1
_HARMLESS = {3, 5, 7, 8, 9}
"""Of the devices of memory: null, zero, full, random, urandom (Linux, admin-guide/devices.rst)."""


def on_terminal() -> bool:
    """Tell whether all three are terminals, so that a command may have one of its own."""
    return all(map(os.isatty, range(len(NAMES))))


def why_not(number: int) -> str:
    """Say what a descriptor is that no command inside may have; empty where it may.

    Files, pipes and terminals lead nowhere. A connection of unix(7) does to who has made it, whom
    the caller has chosen; a socket of that kind that may still connect is the host's.
    """
    status = os.fstat(number)
    mode = status.st_mode
    if stat.S_ISFIFO(mode):
        return ""
    if stat.S_ISREG(mode):
        named = Path(f"/proc/self/fd/{number}").readlink().is_absolute()
        return "" if named else "a namespace, or another handle of the kernel's"
    if stat.S_ISCHR(mode):
        device = os.major(status.st_rdev), os.minor(status.st_rdev)
        harmless = device[0] == _MEMORY and device[1] in _HARMLESS
        return "" if harmless or os.isatty(number) else "a device of the host"
    if stat.S_ISSOCK(mode):
        return "" if _is_unix_connection(number) else "a socket of the host's network"
    if stat.S_ISDIR(mode):
        return "a directory of the host, by which its sockets can be reached"
    return "no file, pipe or terminal"


def _is_unix_connection(number: int) -> bool:
    with socket.socket(fileno=os.dup(number)) as each:
        kinds = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
        if each.family != socket.AF_UNIX or each.type not in kinds:
            return False
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        with suppress(OSError):
            each.getpeername()
            return True
    return False
