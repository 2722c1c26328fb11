"""One `apply` at a time: flock(2) on a file below /run/wgconfine."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wgconfine.model.errors import NeedsRoot
from wgconfine.runtime.paths import STATE

__all__ = ["apply_lock"]

MODE = 0o755


@contextmanager
def apply_lock(root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of everything that writes below `root`. Raises NeedsRoot.

    Says so where another holds it, and waits for that.

    Another tree is its builder's own, and nothing is left in it but what was asked for.
    """
    if root != Path("/"):
        yield
        return
    if os.geteuid() != 0:
        raise NeedsRoot("This changes the machine: run it as root.")
    directory = Path(STATE) / "lock"
    for each in (directory.parent, directory):
        each.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(each.stat().st_mode) != MODE:
            each.chmod(MODE)  # whatever the umask: services' files are reached through it
    # `=` is in no tunnel's name, each of which has a lock here that the runtime takes.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(directory / "=apply", flags, 0o600)
    try:
        wait(descriptor, say)
        yield
    finally:
        os.close(descriptor)


def wait(descriptor: int, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another wgconfine that changes this machine; Ctrl-C ends the wait.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
