"""The one error of the runtime path, and the lines that it writes to the journal."""

from __future__ import annotations

import sys

from wgconfine.config.escape import escape


class Failure(Exception):
    """A step that did not work: `where: what. hint`, ready to be shown."""


def say(line: str) -> None:
    """Write one line to the journal, if it listens. Text of others is escaped, here at the latest.

    A journal that is restarted or full must not stop a tunnel half-way.
    """
    try:
        sys.stderr.write(escape(line) + "\n")
    except OSError:
        return


def step(line: str) -> None:
    """Announce a change, with the sign that WireGuard's users know from wg-quick(8)."""
    say(f"[#] {line}")


def warn(line: str) -> None:
    say(f"[!] {line}")
