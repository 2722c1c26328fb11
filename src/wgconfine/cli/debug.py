"""`--debug`: every program that is started is said on standard error, before it runs."""

import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wgconfine.cli.dialogue import complain
from wgconfine.config.escape import HIDDEN, escape, holds_key

__all__ = ["programs_shown"]

STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec")
"""The events of Python's audit by which a program is started; the second value is its argv."""


@contextmanager
def programs_shown() -> Iterator[None]:
    """Say every program that is started meanwhile, whichever part of wgconfine does it.

    By Python's own audit, which no start gets past (PEP 578). A secret is in no argv; whatever
    looks like a key is hidden all the same. What goes to a program's standard input may be secret
    and is never said.
    """
    last: dict[int, tuple[str, Any]] = {}
    over = False

    def hear(event: str, values: tuple[Any, ...]) -> None:
        if over or event not in STARTS:
            return
        argv = values[1]
        # From Python 3.13 on, subprocess may start it by posix_spawn and tells of both.
        thread = threading.get_ident()
        again = (event, last.get(thread)) == ("os.posix_spawn", ("subprocess.Popen", argv))
        last[thread] = (event, argv)
        if not again:
            complain(f"[$] {described(argv)}")

    sys.addaudithook(hear)  # for good, so that it is told when it is over
    try:
        yield
    finally:
        over = True


def described(argv: Sequence[Any]) -> str:
    """Give a command line as a shell takes it, with what others wrote in it escaped."""
    words = (each.decode(errors="replace") if isinstance(each, bytes) else each for each in argv)
    return escape(shlex.join(map(hidden, map(str, words))))


def hidden(word: str) -> str:
    """Give a word without what looks like a key: not a list of names, which has as many letters."""
    return HIDDEN if any(map(holds_key, word.split(","))) else word
