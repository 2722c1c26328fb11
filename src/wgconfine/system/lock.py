"""Who changes the machine takes turns, and who verifies it: flock(2) on files in /run/wgconfine."""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wgconfine.model.errors import NeedsRoot, NotChecked
from wgconfine.runtime.paths import STATE
from wgconfine.runtime.paths import lock as lock_of_tunnel

__all__ = ["apply_lock", "between_writers", "verify_lock"]

MODE = 0o755
PAUSE = 0.05
# `=` is in no tunnel's name, each of which has a lock here that the runtime takes.
APPLY, VERIFY = "=apply", "=verify"


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
    descriptor = opened(APPLY)
    try:
        wait(descriptor, fcntl.LOCK_EX, say, "changes this machine")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def verify_lock(say: Callable[[str], None], *, patience: float | None = None) -> Iterator[None]:
    """Keep the files as they are, and be the only one who verifies. Raises NeedsRoot.

    `patience` is how many seconds to wait for who changes the machine or verifies it, None for
    ever; raises NotChecked after that. Who holds `apply_lock` has no need of it.
    """
    if os.geteuid() != 0:
        raise NeedsRoot("This looks into every process: run it as root.")
    descriptors = []
    try:
        for name, kind, what in (
            (APPLY, fcntl.LOCK_SH, "changes this machine"),
            (VERIFY, fcntl.LOCK_EX, "verifies this machine"),
        ):
            descriptors.append(opened(name))
            wait(descriptors[-1], kind, say, what, patience)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def opened(name: str) -> int:
    directory = Path(STATE) / "lock"
    for each in (directory.parent, directory):
        each.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(each.stat().st_mode) != MODE:
            each.chmod(MODE)  # whatever the umask: services' files are reached through it
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(directory / name, flags, 0o600)


def wait(
    descriptor: int, kind: int, say: Callable[[str], None], what: str, patience: float | None = None
) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"Waiting for another wgconfine that {what}; Ctrl-C ends the wait.")
        if patience is None:
            fcntl.flock(descriptor, kind)
        elif not taken(descriptor, kind, time.monotonic() + patience):
            raise NotChecked(
                f"Another wgconfine {what} for {patience:g} s already. Try again once it has ended."
            ) from None


def taken(descriptor: int, kind: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


@contextmanager
def between_writers(name: str, seconds: float) -> Iterator[None]:
    """Look at a tunnel while nobody changes it; after `seconds`, or without a lock, all the same.

    The lock is the one that the runtime takes (runtime/lock.py). Those who only look share it.
    """
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(lock_of_tunnel(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        deadline = time.monotonic() + seconds
        while descriptor is not None and time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            time.sleep(PAUSE)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
