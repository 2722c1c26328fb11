"""What makes a tunnel sick, what makes it well, and which step comes when."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from wgconfine.runtime import paths
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.health import look_at, outer_first
from wgconfine.runtime.healthjudge import (
    LONGEST_PAUSE,
    PAUSE,
    Health,
    Peer,
    count_soon,
    format_health,
    judge,
    next_step,
    parse,
    step_of,
)

if TYPE_CHECKING:
    from wgconfine.runtime.record import Record

KEY, OTHER = "k" * 43 + "=", "o" * 43 + "="
WHY = "no answer from peer kkkkkkkk… for 180 s or longer"
MISSING = "route 0.0.0.0/0: missing"


def peer(
    *, handshake: int = 5, received: int = 100, sent: int = 100, since: int = 0, asked: int = 1
) -> Peer:
    return Peer(handshake, received, sent, since, asked)


def sick(why: str = WHY, *, since: int = 1000, steps: int = 0, acted: int = 0) -> Health:
    health = Health({KEY: peer()}, why)
    health.sick, health.steps, health.acted = since, steps, acted
    return health


def look(kept: Health, now: int, **seen: int) -> Health:
    return judge(kept, [], {KEY: peer(**seen)}, now=now, patience=180)


def look_at_a_gap(kept: Health, now: int, **seen: int) -> Health:
    return judge(kept, ["route 0.0.0.0/0"], {KEY: peer(**seen)}, now=now, patience=180)


def test_a_first_look_finds_nothing() -> None:
    """However old a handshake is by the clock: that clock may be wrong."""
    health = look(Health({}), 1000)
    assert ("", 1000) == (health.why, health.peers[KEY].since)


@pytest.mark.parametrize(
    ("seen", "now", "why"),
    [
        ({"sent": 101}, 180, WHY),
        ({"sent": 101}, 179, ""),
        ({"sent": 101, "received": 101}, 900, ""),
        ({"sent": 101, "handshake": 6}, 900, ""),
        ({"sent": 101, "handshake": 4}, 900, ""),  # the clock was set back
        ({"sent": 100}, 900, WHY),
        ({"sent": 5, "received": 5}, 900, ""),  # another link, and an answer
        ({"sent": 5, "received": 0, "handshake": 0}, 900, WHY),  # another link alone
    ],
)
def test_silent(seen: dict[str, int], now: int, why: str) -> None:
    """Bytes were sent before and none came, so long that there should have been a handshake."""
    assert why == look(Health({KEY: peer()}), now, **seen).why


@pytest.mark.parametrize(("asked", "why"), [(0, ""), (1, WHY)])
def test_the_first_look_without_an_answer(asked: int, why: str) -> None:
    """It may be under way: a peer is silent at the second one, whether it is sent more or not."""
    kept = Health({KEY: peer(asked=asked)})
    health = look(kept, 900, sent=101)
    assert (why, 1) == (health.why, health.peers[KEY].asked)


def test_an_answer_counts_for_all_that_was_asked() -> None:
    """And what is sent with it is new."""
    assert 0 == look(Health({KEY: peer()}), 60, sent=101, received=101, asked=0).peers[KEY].asked


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_one_peer_of_two(steps: int) -> None:
    """The other one answers: nothing is done that it would notice."""
    kept = sick(steps=steps)
    kept.peers[OTHER] = peer()
    peers = {KEY: peer(sent=101), OTHER: peer(sent=101, received=101)}
    health = judge(kept, [], peers, now=10**6, patience=180)
    assert (WHY, "reload") == (health.why, next_step(kept, health, 10**6))


def test_another_server_has_its_turn() -> None:
    """It is not well because it is another one, but once it answers."""
    kept = sick(steps=3, acted=900)
    for received, expected in ((0, (WHY, 3)), (148, ("", 0))):
        peers = {OTHER: Peer(0, received, 148)}
        health = judge(kept, [], peers, now=1000, patience=180)
        assert expected == (health.why.replace("oooooooo", "kkkkkkkk"), health.steps)


def test_one_peer_of_two_has_several_addresses() -> None:
    """The next one is tried, which the other peer does not notice."""
    kept = sick(steps=2)
    kept.peers[OTHER] = peer()
    peers = {KEY: peer(sent=101), OTHER: peer(sent=101, received=101)}
    health = judge(kept, [], peers, now=10**6, patience=180)
    assert "next" == next_step(kept, health, 10**6, 2)


def test_a_silent_peer_that_nothing_is_sent_to() -> None:
    """It is no better for that, and nothing is done about it."""
    health = look(sick(), 1060)
    assert (WHY, 1000) == (health.why, health.sick)
    assert "" == next_step(sick(), health, 1060)


def test_well_again() -> None:
    """By one byte, or one handshake; nothing is left of steps."""
    for seen in ({"received": 101}, {"handshake": 6}):
        health = look(sick(steps=3, acted=900), 1060, **seen)
        assert ("", 0, 0, 0) == (health.why, health.sick, health.steps, health.acted)


def test_missing_is_said_before_silent() -> None:
    """And is mended though nothing can be sent."""
    assert MISSING == look_at_a_gap(sick(), 1060, sent=101).why
    assert "reload" == next_step(sick(), look_at_a_gap(sick(), 1060), 1060)


def test_no_patience_is_without_end() -> None:
    """With `off` no handshake is too old."""
    kept, peers = Health({KEY: peer()}), {KEY: peer(sent=101)}
    assert "" == judge(kept, [], peers, now=10**6, patience=None).why


@pytest.mark.parametrize(
    ("steps", "waited", "expected"),
    [
        (0, 0, "reload"),
        (1, PAUSE - 1, ""),
        (1, PAUSE, "rebind"),
        (2, PAUSE, "relink"),
        (3, PAUSE, ""),
        (3, 2 * PAUSE, "relink"),
        (4, 4 * PAUSE, "relink"),
        (90, LONGEST_PAUSE - 1, ""),
        (90, LONGEST_PAUSE, "relink"),
    ],
)
def test_steps_rise_and_then_slow_down(steps: int, waited: int, expected: str) -> None:
    """Two ticks for each to help; the last one again and again, at most half an hour apart."""
    now = 10_000
    kept = sick(steps=steps, acted=now - waited)
    assert expected == next_step(kept, look(kept, now, sent=101), now)


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        (1, ["relink"] * 6),
        (2, ["next", "relink", "next", "relink", "next", "relink"]),
        (3, ["next", "next", "relink", "next", "next", "relink"]),
    ],
)
def test_endpoints_have_their_turns(endpoints: int, expected: list[str]) -> None:
    """After what is milder, in each round all of them: those tried, and the one it began with."""
    steps = [step_of(number, endpoints) for number in range(8)]
    assert ["reload", "rebind", *expected] == steps


def test_each_endpoint_has_time_to_answer() -> None:
    """In the first round two ticks, and twice that in the next."""
    now = 10_000
    waits = [(2, PAUSE), (3, PAUSE), (4, PAUSE), (5, 2 * PAUSE), (6, 2 * PAUSE), (8, 4 * PAUSE)]
    for steps, wait in waits:
        for waited, due in ((wait - 1, False), (wait, True)):
            kept = sick(steps=steps, acted=now - waited)
            assert due == bool(next_step(kept, look(kept, now, sent=101), now, 3)), steps


@pytest.mark.parametrize(
    ("handshakes", "now", "expected"),
    [
        ([1000, 1030, 1060, 1090], 0, 3),
        ([1000, 1120, 1240, 1360], 0, 0),  # a session is made anew after two minutes
        ([1000, 1030, 1150], 0, 0),  # a server that has started anew
        ([1000, 970, 940], 0, 0),  # the clock was set back
        ([0, 30, 60], 0, 1),
        ([1000, 1030, 1060, 1060], 99, 2),
        ([1000, 1030, 1060, 1060], 100, 0),
    ],
)
def test_handshakes_that_come_too_soon(handshakes: list[int], now: int, expected: int) -> None:
    """As many in a row as there are; none when there was time for one and none came."""
    before: Peer | None = None
    for handshake in handshakes:
        seen = peer(handshake=handshake)
        seen.soon = count_soon(before, seen, now)
        before = seen
    assert before is not None
    assert expected == before.soon


def test_what_is_kept_is_read_again() -> None:
    """Every number, and words that have spaces."""
    kept = sick(steps=2, acted=1060)
    kept.silent, kept.noted = [KEY, OTHER], 3
    assert format_health(kept) == format_health(parse(format_health(kept)))
    assert WHY == parse(format_health(kept)).why


@pytest.mark.parametrize("text", ["", "sick x 0 0\n", "sick 1\n", "peer KEY 1\n", "\0\n", "peer\n"])
def test_what_is_no_such_text_is_nothing(text: str) -> None:
    """A full disk, or an earlier version, left it."""
    assert ("", {}) == (parse(text).why, parse(text).peers)


def test_each_tunnel_is_looked_at_after_the_one_that_it_goes_through() -> None:
    """So that it can be told whose trouble it is; a circle ends, too."""
    vias = {"a": "b", "b": "c", "c": None, "d": "a", "x": "y", "y": "x", "z": "gone"}
    records = [SimpleNamespace(name=name, via=via) for name, via in vias.items()]
    names = [each.name for each in outer_first(cast("list[Record]", records))]

    assert ["c", "b", "a", "d"] == [name for name in names if name in "abcd"]
    assert sorted(vias) == sorted(names)


def test_a_tunnel_that_can_not_be_looked_at_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the system says of the one: what was kept of the other, which has stopped, goes."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    monkeypatch.setattr(paths, "HANDSHAKES", os.fspath(tmp_path / "handshakes"))
    (tmp_path / "health").mkdir()
    (tmp_path / "health/b").write_text(format_health(sick()))
    (tmp_path / "tunnel/a" / paths.DECLARED).mkdir(parents=True)
    (tmp_path / "tunnel/a" / paths.IN_FORCE).write_text("digest")
    records = [SimpleNamespace(name=name, via=None) for name in ("a", "b")]

    with pytest.raises(Failure, match="Is a directory"):
        look_at(cast("list[Record]", records), now=1)

    assert (tmp_path / "health/b").read_text() == ""
