"""A clock that is behind, and what is kept to find that out."""

import os
import time
from pathlib import Path

import pytest

from wgconfine.runtime import clock, paths

NOW = int(time.time())


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where handshakes are kept."""
    place = tmp_path / "wgconfine" / "handshakes"
    monkeypatch.setattr(paths, "HANDSHAKES", os.fspath(place))
    return place


def saw(*seen: tuple[str, int], names: tuple[str, ...] = ("a", "b")) -> None:
    handshakes = clock.Handshakes()
    for name, last in seen:
        handshakes.saw(name, last)
    handshakes.save(names)


def test_a_clock_that_is_right() -> None:
    """Nothing is said of seconds by which whoever keeps it right sets it back."""
    assert "" == clock.why_behind(NOW, NOW)
    assert "" == clock.why_behind(NOW + clock.TOLERANCE, NOW)


def test_earlier_than_a_handshake() -> None:
    """Both times are said, and the command."""
    assert (
        "the machine's clock is behind: it says 2026-01-01 00:00:00Z, and "
        "the last handshake was at 2026-01-02 00:00:00Z. Set it: timedatectl set-ntp true"
    ) == clock.why_behind(1767312000, 1767225600)


def test_earlier_than_our_own_files() -> None:
    """As after a first boot without a battery: it is 1970."""
    assert "it says 1970-01-01 00:00:09Z, and wgconfine was installed at" in clock.why_behind(0, 9)


def test_it_is_seldom_written(kept: Path) -> None:
    """The first time, and then after a quarter of an hour."""
    saw(("a", 1000))
    first = kept.stat().st_ino
    saw(("a", 1000 + clock.SELDOM - 1))
    assert ("a 1000\n", first) == (kept.read_text("ascii"), kept.stat().st_ino)
    saw(("a", 1000 + clock.SELDOM), ("b", 7))
    assert f"a {1000 + clock.SELDOM}\nb 7\n" == kept.read_text("ascii")
    assert "0o600" == oct(kept.stat().st_mode & 0o777)


def test_a_peer_that_forgot(kept: Path) -> None:
    """It took an earlier handshake: a later one counts no more."""
    saw(("a", 10**10))
    saw(("a", 1000))
    assert "a 1000\n" == kept.read_text("ascii")


def test_a_tunnel_that_is_gone_is_forgotten(kept: Path) -> None:
    """With its name."""
    saw(("a", 1000), ("b", 1000))
    saw(names=("b",))
    assert "b 1000\n" == kept.read_text("ascii")


@pytest.mark.usefixtures("kept")
def test_what_can_not_be_written_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk."""
    monkeypatch.setattr(paths, "HANDSHAKES", "/proc/no/such")
    saw(("a", 1000))
