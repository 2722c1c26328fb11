"""Questions asked in a child: an answer, an error, or the end of patience."""

import os
import time

import pytest

from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import TunnelName
from wgconfine.system import aside
from wgconfine.verify.inside import ask_inside, ask_outside


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed child takes its time on a busy machine, and one that is left behind is a failure."""
    monkeypatch.setattr(aside, "_REAP_SECONDS", 60.0)


def test_the_answer_comes_back() -> None:
    """From another process."""
    assert ask_outside(os.getpid, 60, "here") != os.getpid()


def test_an_error_comes_back() -> None:
    """In its own words."""

    def question() -> None:
        raise OSError("no route")

    with pytest.raises(OperationFailed, match="here: no route"):
        ask_outside(question, 60, "here")


def test_what_does_not_end_is_ended() -> None:
    """Nothing that a child waits for holds us up."""
    begin = time.monotonic()
    with pytest.raises(OperationFailed, match="here: it took too long"):
        ask_outside(lambda: time.sleep(60), 0.2, "here")
    assert time.monotonic() - begin < 50


def test_a_child_that_dies_is_no_answer() -> None:
    """Whatever killed it."""
    with pytest.raises(OperationFailed, match="it ended without a word"):
        ask_outside(lambda: os._exit(1), 60, "here")


def test_a_namespace_that_is_not_there_is_named() -> None:
    """And nothing is asked anywhere else."""
    with pytest.raises(OperationFailed, match="no namespace is there"):
        ask_inside(TunnelName("no-such-tunnel"), os.getpid, 60)
