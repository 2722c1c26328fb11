"""`wgconfine doctor` as a function, where no systemd and no root is needed for it."""

import json
import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.cli.doctor import tighten
from wgconfine.cli.examination import as_mended, is_merely_readable
from wgconfine.cli.main import main
from wgconfine.doctor.ours import Loose
from wgconfine.model.errors import ExitCode


def test_fix_without_root_is_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is looked at."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert main(["doctor", "--fix", "--yes"]) == ExitCode.NEEDS_ROOT
    assert capsys.readouterr() == ("", "doctor --fix changes the machine: run it as root.\n")


def test_it_runs_wherever_the_tests_do(capsys: pytest.CaptureFixture[str]) -> None:
    """With systemd or without: one object, and its exit code."""
    code = main(["doctor", "--json"])
    said = capsys.readouterr()

    assert "" == said.err
    assert code == json.loads(said.out)["exit_code"]


@pytest.mark.parametrize(
    ("mode", "loose"),
    [(0o644, True), (0o640, True), (0o600, False), (0o660, False), (0o666, False)],
)
def test_what_may_be_tightened(rooted: Path, mode: int, *, loose: bool) -> None:
    """A file that others may read; not one that they may have written."""
    path = rooted / "vpn.conf"
    path.write_text("x")
    path.chmod(mode)
    place = Loose(path=PurePosixPath(path), secret=True)
    assert loose == is_merely_readable(path.lstat())
    assert ({place.path: b"x"} if loose else {}) == as_mended([place])
    tighten(place)
    assert (0o600 if loose else mode) == stat.S_IMODE(path.stat().st_mode)


def test_what_has_another_name_is_left_alone(rooted: Path) -> None:
    """Nor is a link followed: what it leads to is not ours."""
    path = rooted / "vpn.conf"
    path.write_text("x")
    path.chmod(0o644)
    (rooted / "other").hardlink_to(path)
    (rooted / "link").symlink_to(path)
    assert not is_merely_readable(path.lstat())
    assert not is_merely_readable((rooted / "link").lstat())
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        tighten(Loose(path=PurePosixPath(rooted / "link"), secret=True))
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
