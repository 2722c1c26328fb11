"""What a new tunnel could be made of, as it is found."""

import os
from pathlib import Path

import pytest

from wgconfine.system import offers
from wgconfine.system.offers import conf_files, read_foreign

CONF = "[Interface]\nPrivateKey = x\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory that is all that there is."""
    monkeypatch.setattr(offers, "_CONF_PLACES", ())
    monkeypatch.setattr(offers, "_download_places", lambda: iter(()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_configurations_of_wireguard_are_offered(here: Path) -> None:
    """Whatever else is called .conf is none; a FIFO holds nobody up; a link is its target."""
    (here / "b.conf").write_text(CONF.upper())
    (here / "a.conf").write_text("[ Interface ]\r\nprivate key=x")
    (here / "c.conf").write_text("[Interface]\nAddress = 10.0.0.1\n")
    (here / "d.conf").symlink_to("a.conf")
    (here / "e.txt").write_text(CONF)
    (here / "f.conf").mkdir()
    os.mkfifo(here / "g.conf")
    (here / "h.conf").write_bytes(b"\xff\xfe" + CONF.encode("utf-16-le"))

    assert [here / "a.conf", here / "b.conf"] == conf_files()


def test_no_more_are_offered_than_fit_on_a_screen(here: Path) -> None:
    """A provider's archive has hundreds."""
    for number in range(100):
        (here / f"{number}.conf").write_text(CONF)

    assert offers.MOST == len(conf_files())


def test_who_calls_sudo_finds_his_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's home is looked into as well, and a number that is nobody's is no reason to fail."""
    monkeypatch.setenv("SUDO_UID", "0")
    assert Path("/root/Downloads") in list(offers._download_places())
    monkeypatch.setenv("SUDO_UID", "123456789")
    assert Path("/root") in list(offers._download_places())


def test_a_device_is_not_read() -> None:
    """It could go on for ever."""
    with pytest.raises(OSError, match="Is not a regular file"):
        read_foreign(Path("/dev/zero"))
