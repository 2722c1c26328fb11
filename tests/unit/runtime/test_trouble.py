"""Why a tunnel could not be configured is kept until it is."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import clock, journal, paths, trouble
from wgconfine.runtime.__main__ import main


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/run/wgconfine is here, and no journal listens."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    monkeypatch.setattr(journal, "SOCKET", os.fspath(tmp_path / "nobody"))
    monkeypatch.setattr(clock, "since_boot", lambda: 1000)
    return tmp_path / "trouble/vpn"


def test_nothing_is_kept_of_a_tunnel_that_never_failed() -> None:
    """Nor is there anything to forget."""
    assert trouble.read("vpn") is None
    trouble.forget("vpn")


@pytest.mark.parametrize("text", ["", "\n", "1\nx", "a b\nx", "1 2 3\nx"])
def test_what_is_no_trouble_is_none(place: Path, text: str) -> None:
    """Cut off, or somebody else's."""
    place.parent.mkdir(parents=True)
    place.write_text(text)

    assert trouble.read("vpn") is None


def test_it_goes_on_since_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though what fails may be another thing by now."""
    trouble.keep("vpn", "no .conf")
    monkeypatch.setattr(clock, "since_boot", lambda: 1005)
    trouble.keep("vpn", "no key")

    kept = trouble.read("vpn")
    assert kept is not None
    assert (1000, 1005, "no key") == (kept.since, kept.last, kept.why)


def test_one_of_long_ago_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has tried since: its owner stopped it meanwhile."""
    trouble.keep("vpn", "no .conf")
    monkeypatch.setattr(clock, "since_boot", lambda: 1061)
    trouble.keep("vpn", "no .conf")

    kept = trouble.read("vpn")
    assert kept is not None
    assert 1061 == kept.since


def test_only_root_may_read_it(place: Path) -> None:
    """It may say where a server is."""
    trouble.keep("vpn", "no .conf")

    assert 0o600 == place.stat().st_mode & 0o777


@pytest.mark.parametrize("verb", ["netns-up", "up", "reload"])
def test_what_configures_a_tunnel_leaves_why_it_failed(
    monkeypatch: pytest.MonkeyPatch, place: Path, verb: str
) -> None:
    """All lines of it in one; the last of those verbs to work takes it away."""

    def fails(_: str) -> None:
        raise OSError("one\ntwo")

    monkeypatch.setattr("wgconfine.runtime.netns.up", fails)
    monkeypatch.setattr("wgconfine.runtime.tunnel.up", fails)
    monkeypatch.setattr("wgconfine.runtime.tunnel.reload", fails)
    assert main(["", verb, "vpn"]) == 1
    kept = trouble.read("vpn")
    assert kept is not None
    assert "one; two" == kept.why

    for each in ("netns.up", "tunnel.up", "tunnel.reload"):
        monkeypatch.setattr(f"wgconfine.runtime.{each}", lambda _: None)
    assert main(["", "netns-up", "vpn"]) == 0
    assert place.exists()
    assert main(["", "up" if verb == "netns-up" else verb, "vpn"]) == 0
    assert not place.exists()


def test_a_full_run_does_not_add_to_the_failure(place: Path) -> None:
    """What failed has been said."""
    place.parent.write_text("in the way")

    trouble.keep("vpn", "no .conf")
