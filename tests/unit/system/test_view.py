"""What a process sees at a path: this one, and its own links."""

import os
from pathlib import Path

import pytest

from wgconfine.system.process import OpenProcess
from wgconfine.system.scan import Standpoint
from wgconfine.system.view import Found, look_from


def here(*, start: int | None = None) -> Standpoint:
    with OpenProcess(os.getpid()) as process:
        began = process.start if start is None else start
    return Standpoint(pid=os.getpid(), start=began, name="me", mounts=0, root="/")


def seen(path: Path | str) -> Found:
    view = look_from(here(), (os.fspath(path),))
    assert view is not None
    return view.found[0]


def at(path: Path | str) -> Found:
    status = Path(path).stat()
    return Found(device=status.st_dev, inode=status.st_ino)


def test_a_path_leads_where_it_does_for_the_process() -> None:
    """Its root, too, is told."""
    view = look_from(here(), ("/etc/passwd", "/etc/../etc/./passwd", "/../etc"))
    assert view is not None

    assert (at("/etc/passwd"), at("/etc/passwd"), at("/etc")) == view.found
    assert at("/") == view.root


def test_links_are_followed_below_the_root(tmp_path: Path) -> None:
    """Absolute ones, relative ones, of directories and at the end."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").touch()
    (tmp_path / "absolute").symlink_to(tmp_path / "d")
    (tmp_path / "relative").symlink_to("absolute/../d/file")

    assert at(tmp_path / "d/file") == seen(tmp_path / "relative")
    assert at(tmp_path / "d/file") == seen(tmp_path / "absolute/file")


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    """As is what would lie below a file, or at a link that leads nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("not-there")

    for name in ("x", "file/x", "nowhere"):
        assert Found(missing=True) == seen(tmp_path / name)


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    """After as many as the kernel follows."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert "symbolic links lead in a circle there" == seen(tmp_path / "a").problem


def test_a_fifo_holds_nobody_up(tmp_path: Path) -> None:
    """Nothing is opened for reading."""
    os.mkfifo(tmp_path / "fifo")

    assert at(tmp_path / "fifo") == seen(tmp_path / "fifo")


def test_a_link_of_proc_is_not_followed() -> None:
    """It leads where its text does not say: into another root, or to what we are."""
    assert "a link of /proc is there" in seen("/proc/1/root/etc/passwd").problem


@pytest.mark.parametrize(
    "standpoint", [here(start=1), Standpoint(pid=2**22 + 1, start=1, name="x", mounts=0, root="/")]
)
def test_another_process_has_no_view(standpoint: Standpoint) -> None:
    """One that has ended, or has got the number of one that has."""
    assert look_from(standpoint, ("/etc",)) is None
