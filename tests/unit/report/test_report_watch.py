"""What one look shows beside the one before, and what of it a screen has room for."""

import pytest

from wgconfine.model.status import PeerStatus, RateStatus, Status, TunnelStatus
from wgconfine.report.watch import fitted, with_rates


def seen(**peers: tuple[int, int]) -> Status:
    found = tuple(
        PeerStatus(public_key=key, endpoint=None, handshake_age=1, received=received, sent=sent)
        for key, (received, sent) in peers.items()
    )
    return Status(tunnels=(TunnelStatus(name="vpn", state="up", backend="", peers=found),))


def rate(now: Status, before: Status, seconds: float = 2.0) -> RateStatus | None:
    return with_rates(now, before, seconds).tunnels[0].rate


def test_a_rate_is_of_all_peers_together() -> None:
    """By the seconds between the looks."""
    found = rate(seen(one=(3000, 10), two=(50, 90)), seen(one=(1000, 10), two=(50, 50)))

    assert RateStatus(received=1000, sent=20, seconds=2.0) == found


@pytest.mark.parametrize(
    ("now", "before", "seconds"),
    [
        (seen(one=(10, 10)), seen(one=(5, 20)), 2.0),  # another link, whose counters began anew
        (seen(one=(10, 10)), seen(two=(5, 5)), 2.0),
        (seen(one=(10, 10)), Status(tunnels=()), 2.0),
        (seen(), seen(one=(5, 5)), 2.0),
        (seen(one=(10, 10)), seen(one=(5, 5)), 0.0),
    ],
)
def test_where_nothing_is_known_there_is_no_rate(
    now: Status, before: Status, seconds: float
) -> None:
    """None is said rather than a wrong one."""
    assert rate(now, before, seconds) is None


def test_a_peer_that_came_in_between_counts_from_then_on() -> None:
    """What it had before is not known."""
    found = rate(seen(one=(20, 20), two=(9999, 9999)), seen(one=(10, 10)))

    assert RateStatus(received=5, sent=5, seconds=2.0) == found


LINES = ("1", "2" * 10, "3", "4")


@pytest.mark.parametrize(
    ("rows", "kept"), [(9, LINES), (5, LINES), (4, LINES[:2]), (3, LINES[:1]), (1, ())]
)
def test_what_a_screen_has_no_room_for_is_counted(rows: int, kept: tuple[str, ...]) -> None:
    """The second line takes two rows."""
    more = len(LINES) - len(kept)
    said = [f"… {more} more lines: this terminal is too low"[:5]] if more else []

    assert [*kept, *said] == fitted(LINES, rows=rows, columns=5)


def test_a_character_may_be_two_cells_wide() -> None:
    """As those of Chinese are."""
    assert ["世界世", "x"] == fitted(["世界世", "x"], rows=3, columns=4)
    assert 1 == len(fitted(["世界世", "x"], rows=2, columns=4))


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        ("out: LEAK, kernel", "with LEAK"),
        ("  x.service: NOT CONFINED", "with NOT CONFINED"),
        ("  x: confined", "2 more lines:"),
    ],
)
def test_what_must_be_seen_is_named_where_it_has_no_room(hidden: str, words: str) -> None:
    """In the last line, which is always there."""
    assert words in fitted(["vpn: up", "  a", hidden], rows=2, columns=80)[-1]
