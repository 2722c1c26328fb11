"""What a run is about is known to the next one, and to nobody once it has come to its end."""

import os
from pathlib import Path

import pytest

from wgconfine.model.settings import UnitName
from wgconfine.plan.unfinished import Unfinished
from wgconfine.system import unfinished
from wgconfine.system.unfinished import NAME, keep_unfinished, read_unfinished

HERE = Path("/")
A = UnitName("a.service")
SOMETHING = Unfinished(
    stopped=frozenset({A}),
    starting=frozenset({A, "wgconfine@vpn.service"}),
    restarting=frozenset({"wgconfine@two.service"}),
    released={A: "vpn"},
)


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/run/wgconfine/lock lies here instead."""
    monkeypatch.setattr(unfinished, "STATE", os.fspath(tmp_path))
    (tmp_path / "lock").mkdir()
    return tmp_path / "lock"


@pytest.mark.usefixtures("lock")
def test_it_is_read_as_it_was_kept() -> None:
    """Every part of it."""
    keep_unfinished(HERE, SOMETHING)
    assert read_unfinished(HERE) == SOMETHING


def test_nothing_left_to_do_leaves_no_file(lock: Path) -> None:
    """Nor what a kill left beside it."""
    keep_unfinished(HERE, SOMETHING)
    (lock / f".{NAME}.new").write_text("half")
    keep_unfinished(HERE, Unfinished())
    assert [] == list(lock.iterdir())
    assert not read_unfinished(HERE)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1}', "null"])
def test_what_is_damaged_is_nothing(lock: Path, text: str) -> None:
    """No service is started or released by a guess."""
    (lock / NAME).write_text(text)
    assert not read_unfinished(HERE)


def test_a_tree_has_none(lock: Path, tmp_path: Path) -> None:
    """Nothing runs from it."""
    keep_unfinished(tmp_path, SOMETHING)
    assert [] == list(lock.iterdir())
    keep_unfinished(HERE, SOMETHING)
    assert not read_unfinished(tmp_path)
