"""Why a tunnel could not be configured: kept for `status` until it is, and told the journal once.

systemd tries again every few seconds and knows an exit status alone.
"""

from __future__ import annotations

import os

from wgconfine.runtime import clock, journal, paths
from wgconfine.runtime.state import read_state, write_state

RECENT = 60
"""Seconds: the next failure after longer than that is another trouble, not the same going on."""


class Kept:
    """`since` when and, at `last`, until when it was seen: seconds since boot."""

    __slots__ = ("last", "since", "why")

    def __init__(self, since: int, last: int, why: str) -> None:
        self.since, self.last, self.why = since, last, why


def read(name: str) -> Kept | None:
    """Give what is kept; None for nothing, or what is no such text. Raises OSError."""
    times, _, why = read_state(paths.trouble(name)).partition("\n")
    words = times.split()
    if len(words) != 2 or not all(map(str.isdecimal, words)):  # noqa: PLR2004 — as keep() writes
        return None
    return Kept(int(words[0]), int(words[1]), why.strip())


def keep(name: str, why: str) -> None:
    """Keep it, and tell the journal where it is another than before. Never fails who failed."""
    try:
        before, now = read(name), clock.since_boot()
        going_on = before is not None and now - before.last <= RECENT
        since = before.since if before is not None and going_on else now
        # Of root alone: what is wrong with a .conf may say where its server is.
        write_state(paths.trouble(name), f"{since} {now}\n{why}\n", mode=0o600)
    except OSError:
        return
    if before is None or not going_on or before.why != why:
        tell(journal.ERROR, name, f"it could not be configured: {why}", journal.NOT_CONFIGURED)


def forget(name: str) -> None:
    """It is configured: say so where it had not been."""
    try:
        before = read(name)
        if before is None:
            return
        os.unlink(paths.trouble(name))
    except OSError:
        return
    words = f"it is configured, after {clock.since_boot() - before.since} s"
    tell(journal.INFO, name, words, journal.CONFIGURED)


def tell(priority: int, name: str, words: str, message_id: str) -> None:
    if not os.path.exists(journal.SOCKET):  # stderr has had it already
        return
    journal.send(
        priority,
        f"tunnel {name}: {words}",
        message_id,
        wgconfine_tunnel=name,
        object_systemd_unit=f"wgconfine@{name}.service",
    )
