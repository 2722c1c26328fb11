"""How the demo talks: headings, commands with output, claims with their verdict, waits."""

import os
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 88
LONG = 2.0  # seconds after which a wait is explained
POLL = 0.1


class Screen:
    """Write to `out`; colour only on a terminal and without `NO_COLOR`. Counts what went wrong."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._colour = out.isatty() and not os.environ.get("NO_COLOR")
        self.checked = 0
        self.failed = 0

    def heading(self, text: str) -> None:
        self._line("")
        self._line(self._paint("1", text))
        self._line("-" * len(text))

    def say(self, text: str) -> None:
        """Write a paragraph."""
        for line in textwrap.wrap(text, WIDTH):
            self._line(line)

    def show(self, text: str) -> None:
        """Write the text of a file or the output of a command, indented."""
        for line in text.rstrip("\n").splitlines():
            self._line(f"    {line}".rstrip())

    def command(self, words: str) -> None:
        self._line(f"  # {words}")

    def claim(self, what: str, *, holds: bool, seen: str = "") -> None:
        """Say what is claimed and whether it was so; `seen` is shown where it was not."""
        self.checked += 1
        self.failed += not holds
        verdict = self._paint("32", "ok") if holds else self._paint("31", "FAILED")
        self._line(f"  {verdict}{'    ' if holds else ''}  {what}")
        if not holds and seen:
            self.show(f"but: {seen}")

    def wait(self, predicate: Callable[[], bool], what: str, timeout: float) -> bool:
        """Ask until `predicate` holds, and say so when that takes long; False if it never did."""
        started = time.monotonic()
        told = False
        while not (holds := predicate()) and time.monotonic() - started < timeout:
            if not told and time.monotonic() - started > LONG:
                told = True
                self._line(f"  ...     waiting until {what}, at most {timeout:.0f} s")
            time.sleep(POLL)
        if told:
            self._line(f"  ...     waited {time.monotonic() - started:.0f} s")
        return holds

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _line(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()
