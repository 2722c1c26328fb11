"""Paths of the host for a service; what is mounted, and what a service does to it: tests/netns."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import offered, paths


def test_what_can_not_be_unmounted_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service may move directories meanwhile: the others are unmounted all the same."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(offered, "mount_points", lambda _: ["a/gone"])
    offered.withdraw("a.service", keep=set())

    assert f"{tmp_path}/run/a/gone stays mounted: " in capsys.readouterr().err
