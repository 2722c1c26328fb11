"""`status --watch`: what one look shows beside the one before, and as much as a screen holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from unicodedata import east_asian_width

from wgconfine.model.status import RateStatus, Status, TunnelStatus

__all__ = ["fitted", "with_rates"]

LOUD = ("LEAK", "NOT CONFINED")
"""What must be seen even where its own line has no room."""
Traffic = Mapping[str, tuple[int, int]]
"""Of each peer by its public key: bytes received and sent."""


def with_rates(status: Status, before: Status, seconds: float) -> Status:
    """Give the state with each tunnel's rate, by what its peers had `seconds` before."""
    earlier = {each.name: traffic(each) for each in before.tunnels}
    return replace(
        status,
        tunnels=tuple(
            replace(each, rate=rate(traffic(each), earlier.get(each.name, {}), seconds))
            for each in status.tunnels
        ),
    )


def traffic(tunnel: TunnelStatus) -> Traffic:
    return {each.public_key: (each.received, each.sent) for each in tunnel.peers}


def rate(now: Traffic, before: Traffic, seconds: float) -> RateStatus | None:
    """Give what went on; None where the link was made anew meanwhile, or is not seen."""
    changes = [
        (received - before[key][0], sent - before[key][1])
        for key, (received, sent) in now.items()
        if key in before
    ]
    if not changes or seconds <= 0 or any(min(change) < 0 for change in changes):
        return None
    received, sent = (round(sum(each) / seconds) for each in zip(*changes, strict=True))
    return RateStatus(received=received, sent=sent, seconds=round(seconds, 1))


def fitted(lines: Sequence[str], *, rows: int, columns: int) -> list[str]:
    """Give the lines that fit; where that is not all of them, the last one says what is missing.

    A line that was not folded takes several rows.
    """
    if sum(rows_of(each, columns) for each in lines) <= rows:
        return list(lines)
    kept = list(within(lines, rows - 1, columns))
    hidden = lines[len(kept) :]
    loud = next((f", with {word}" for word in LOUD if any(word in each for each in hidden)), "")
    return [*kept, f"… {len(hidden)} more lines{loud}: this terminal is too low"[:columns]]


def within(lines: Iterable[str], rows: int, columns: int) -> Iterable[str]:
    for line in lines:
        rows -= rows_of(line, columns)
        if rows < 0:
            return
        yield line


def rows_of(line: str, columns: int) -> int:
    """Give how many rows of a terminal a line takes, without regard to colours in it."""
    cells = sum(2 if east_asian_width(each) in "WF" else 1 for each in line)
    return max(1, -(-cells // columns))
