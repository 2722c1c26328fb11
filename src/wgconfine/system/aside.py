"""Look at what a hostile service may make hang: in a child of our own that a deadline ends."""

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from wgconfine.runtime.namespace import LIBC

__all__ = ["Aside", "Unanswered"]

_PR_SET_PDEATHSIG = 1
_LIMIT = 16 << 20
_REAP_SECONDS = 0.5


class Unanswered(Exception):
    """The child gave no answer; the text says why, in words for a person."""


class Aside:
    """A look that has begun; `answer` waits for its text. It ends with this process at the latest.

    Several can run at once: begin them all, then ask each. The child is killed without mercy, since
    a file system of a service may hold it in the kernel; one that even then does not end is left
    behind, so that nobody waits for it.
    """

    def __init__(self, look: Callable[[], str]) -> None:
        self._reading, writing = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _run(look, writing, parent)
        os.close(writing)

    def answer(self, until: float) -> str:
        """Give what `look` gave, by the monotonic time `until`. Raises Unanswered. Once only."""
        try:
            words = self._read(until)
        finally:
            os.close(self._reading)
            self._end()
        done, _, text = words.decode(errors="replace").partition("\n")
        if done == "done":
            return text
        raise Unanswered(text if done == "failed" else "it ended without a word")

    def _read(self, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size <= _LIMIT:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._reading], [], [], left)[0]:
                raise Unanswered("it took too long")
            part = os.read(self._reading, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
        raise Unanswered("there was too much of it")

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)
        until = time.monotonic() + _REAP_SECONDS
        with suppress(ChildProcessError):
            while os.waitpid(self._child, os.WNOHANG)[0] == 0 and time.monotonic() < until:
                time.sleep(0.002)


def _run(look: Callable[[], str], writing: int, parent: int) -> None:
    """The child's whole life: it never returns into the parent's code."""
    try:
        LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            try:
                words = f"done\n{look()}"
            except Exception as error:  # noqa: BLE001  the parent is told, and judges: unknown
                words = f"failed\n{type(error).__name__}: {error}"
            view = memoryview(words.encode(errors="replace"))
            while view:
                view = view[os.write(writing, view) :]
    finally:
        os._exit(0)
