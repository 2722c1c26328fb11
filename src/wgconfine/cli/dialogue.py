"""What is said to a person beside the result, on standard error, and what is asked of one."""

import sys

from wgconfine.config.escape import escape
from wgconfine.model.errors import Refused

__all__ = ["complain", "confirm"]


def complain(*texts: str) -> None:
    """Write each text's lines to standard error, with what others wrote in them escaped."""
    for text in texts:
        for line in text.splitlines():
            print(escape(line), file=sys.stderr)


def confirm(question: str) -> None:
    """Have a person on a terminal say yes. Raises Refused for anything else, end of input too."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was changed.")
