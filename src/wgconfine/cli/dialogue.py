"""What is said to a person beside the result, on standard error, and what is asked of one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from wgconfine.config.escape import escape
from wgconfine.model.errors import Refused

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from typing import TextIO

__all__ = [
    "UNCHANGED",
    "CutOff",
    "ask",
    "coloured",
    "columns",
    "complain",
    "confirm",
    "has_screen",
    "silence",
    "width",
]

UNCHANGED = "Nothing was changed."
"""Whatever is asked is asked before anything is done."""
NARROWEST = 40
USUAL = 80


class CutOff(KeyboardInterrupt):
    """Ctrl-C where a question stands; what came of it has been said."""


def columns() -> int | None:
    """Give the width of the terminal, None where the result goes somewhere else."""
    return width() if sys.stdout.isatty() else None


def coloured() -> bool:
    """Tell whether the result may be in colour: on a terminal that has it, if nobody minds."""
    return has_screen() and not os.environ.get("NO_COLOR")


def has_screen() -> bool:
    """Tell whether the result goes to a terminal that knows more than lines."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def width() -> int:
    """Give the width for who reads it on a terminal: COLUMNS=, its own, or the usual one.

    As `shutil.get_terminal_size`, but shutil brings every kind of archive along.
    """
    said = os.environ.get("COLUMNS", "")
    try:
        found = int(said) if said.isdecimal() else 0
        found = found or os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no descriptor at all
        found = 0
    return max(NARROWEST, found or USUAL)


def complain(*texts: str) -> None:
    """Write each text's lines to standard error, with what others wrote in them escaped.

    Where nobody listens any more that is no reason to stop in the middle of an apply.
    """
    try:
        for text in texts:
            for line in text.removesuffix("\n").split("\n") if text else ():
                print(escape(line), file=sys.stderr)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Let a stream that can't be written lead nowhere: else Python tries once more at its end."""
    with suppress(OSError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def ask(question: str) -> str:
    """Give the line that a person on a terminal answers.

    Raises Refused at the end of input, and CutOff at Ctrl-C: both leave the cursor behind the
    question.
    """
    try:
        print(f"{escape(question)} ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        complain(f"\n{UNCHANGED}")
        raise CutOff from None
    if not line:
        complain("\n")
        raise Refused(UNCHANGED)
    return line.strip()


def confirm(question: str) -> None:
    """Have a person on a terminal say yes. Raises Refused for anything else, end of input too."""
    if ask(f"{question} [y/N]").lower() not in {"y", "yes"}:
        raise Refused(UNCHANGED)
