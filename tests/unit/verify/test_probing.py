"""Who may run a probe, and when one begins."""

import fcntl
import os
from pathlib import Path

import pytest

from wgconfine.verify import probe, probing


def test_one_run_of_a_probe_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long says so: nothing is known then."""
    monkeypatch.setattr(probing, "PROBE_STATE_PATH", tmp_path)
    monkeypatch.setattr(probing, "LOCK_SECONDS", 0.0)
    with (tmp_path / "a.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(TimeoutError, match="another verify keeps this probe"),
            probing._alone("a"),
        ):
            pytest.fail("two at once")


def test_a_probe_that_nobody_tells_to_begin_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by hand, say: it tries nothing."""
    monkeypatch.setattr(probe, "WAIT_SECONDS", -1.0)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it waits"))
    with pytest.raises(SystemExit, match="nobody told this probe to begin"):
        probe.listen()
