"""A look in a child that may fail, hang or say too much, and holds nobody up."""

import os
import time

import pytest

from wgconfine.system import aside as module
from wgconfine.system.aside import Aside, Unanswered


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed child takes its time on a busy machine, and one that is left behind is a failure."""
    monkeypatch.setattr(module, "_REAP_SECONDS", 60.0)


def test_what_it_finds_is_given() -> None:
    """However long it is."""
    text = "found\n" * 50_000

    assert text == Aside(lambda: text).answer(soon())


def test_several_run_at_once() -> None:
    """Each in a process of its own."""
    begun = [Aside(lambda: str(os.getpid())) for _ in range(3)]

    assert 3 == len({each.answer(soon()) for each in begun} - {str(os.getpid())})


def test_a_failure_is_told() -> None:
    """The child says what went wrong, and leaves nothing of ours undone."""

    def fail() -> str:
        raise PermissionError(1, "Operation not permitted")

    with pytest.raises(Unanswered, match="PermissionError"):
        Aside(fail).answer(soon())


def test_one_that_hangs_is_ended() -> None:
    """At the deadline, not when it likes."""

    def hang() -> str:
        time.sleep(60)
        return ""

    began = time.monotonic()
    with pytest.raises(Unanswered, match="it took too long"):
        Aside(hang).answer(soon(0.2))

    assert time.monotonic() - began < 50


def test_one_that_dies_is_no_answer() -> None:
    """An empty one would be taken for "nothing is wrong"."""

    def die() -> str:
        os.kill(os.getpid(), 9)
        return ""

    with pytest.raises(Unanswered, match="it ended without a word"):
        Aside(die).answer(soon())


def test_too_much_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service can make there be as much as it likes."""
    monkeypatch.setattr(module, "_LIMIT", 1000)
    with pytest.raises(Unanswered, match="there was too much of it"):
        Aside(lambda: "x" * 200_000).answer(soon())
