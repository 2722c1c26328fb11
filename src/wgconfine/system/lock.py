"""One `apply` at a time: flock(2) on a file below /run/wgconfine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgconfine.model.errors import NeedsRoot
from wgconfine.runtime.paths import STATE

__all__ = ["apply_lock"]


@contextmanager
def apply_lock(root: Path) -> Iterator[None]:
    """Hold the lock of everything that writes below `root`; waits for another. Raises NeedsRoot.

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
        each.chmod(0o755)  # whatever the umask: services' files are reached through it
    # `=` is in no tunnel's name, each of which has a lock here that the runtime takes.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(directory / "=apply", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
