"""One writer at a time for each tunnel: flock(2) on a file below /run/wgconfine."""

from __future__ import annotations

import fcntl
import os

from wgconfine.runtime import paths
from wgconfine.runtime.failure import say


class Shared:
    """Look at a tunnel while nobody changes it. What nobody has ever locked is not waited for."""

    def __init__(self, name: str) -> None:
        self.descriptor = -1
        try:
            self.descriptor = os.open(paths.lock(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return

    def __enter__(self) -> None:
        if self.descriptor >= 0:
            fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Lock:
    """Hold the tunnel's lock: its namespace, link and endpoints are changed by one at a time.

    The programs that its holder runs inherit it: if the holder alone is killed, it is not free
    until they have ended, too.
    """

    def __init__(self, name: str) -> None:
        os.makedirs(os.path.dirname(paths.lock(name)), mode=0o755, exist_ok=True)
        self.name = name
        self.descriptor = os.open(paths.lock(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.set_inheritable(self.descriptor, True)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another that holds {paths.lock(self.name)}")
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
