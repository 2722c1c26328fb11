"""Programs with a time limit, whoever else holds their output."""

import os
import signal
import time
from pathlib import Path

import pytest

from wgconfine.system import inside as module
from wgconfine.system.inside import MISSING, Answer, ask_all, end, first_line, is_late, start

HOLDS = ("sh", "-c", 'sleep 30 & echo $! >"$0"; wait')
"""Killed, it leaves a process behind that holds all three pipes, as a unit of systemd-run does."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed child takes its time on a busy machine, and one that is left behind is a failure."""
    monkeypatch.setattr(module, "REAP", 60.0)


def test_what_others_hold_the_pipes_of(tmp_path: Path) -> None:
    """It is given up at its limit, and what has said nothing is told from a failure."""
    holder = os.fspath(tmp_path / "holder")
    before = time.monotonic()
    late, well = ask_all([(*HOLDS, holder), ("true",)], namespace=None, seconds=3)
    took = time.monotonic() - before
    os.kill(int((tmp_path / "holder").read_text()), signal.SIGKILL)
    assert took < 20
    assert is_late(late)
    assert Answer(status=0, output="", complaint="") == well


def test_what_is_no_delay() -> None:
    """A program that kills itself, and one that is missing."""
    killed, missing = ask_all([("sh", "-c", "kill -9 $$"), ("no-such",)], namespace=None)
    assert (-9, MISSING) == (killed.status, missing.status)
    assert not is_late(killed)
    assert not is_late(missing)


def test_standard_input_that_nobody_reads() -> None:
    """More than a pipe holds: the program is killed, and no error comes of it."""
    (found,) = ask_all([("sleep", "30")], namespace=None, stdin="x" * (1 << 20), seconds=0.5)
    assert is_late(found)


def test_the_end_of_what_has_ended() -> None:
    """Nothing is left of it, and nothing open."""
    process = start(("true",), ())
    assert not isinstance(process, OSError)
    assert process.stdout is not None
    process.wait()
    end(process)
    end(process)
    assert process.stdout.closed
    assert 0 == process.returncode


def test_what_a_program_says_first() -> None:
    """Nothing, where it ends or takes too long."""
    said = []
    for script, seconds in (("echo made; exec cat", 60), ("true", 60), ("exec sleep 30", 0.5)):
        process = start(("sh", "-c", script), ())
        assert not isinstance(process, OSError)
        said.append(first_line(process, seconds))
        end(process)
    assert ["made\n", "", ""] == said
