"""Whether files of a tunnel have changed since it was configured, by a systemctl in its place."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.unit.runtime.test_record import VALUES
from wgconfine.runtime import paths, process, sources
from wgconfine.runtime.record import Record, load

ASKED = "try-reload-or-restart --no-block --job-mode=fail -- wgconfine@vpn.service"


@pytest.fixture
def machine(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tunnel that was configured from `conf`, long ago; what systemctl was told is in `log`."""
    monkeypatch.setattr(paths, "SETTINGS", os.fspath(rooted))
    monkeypatch.setattr(paths, "STATE", os.fspath(rooted / "run"))
    monkeypatch.setattr(process, "SEARCH", (os.fspath(rooted), *process.SEARCH))
    monkeypatch.setattr(sources, "COMING", 0.2)
    monkeypatch.setattr(sources, "RECENT", -1.0)
    systemctl = rooted / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{rooted}/log\n')
    systemctl.chmod(0o755)
    (rooted / "conf").write_text("old")
    os.utime(rooted / "conf", (0, 0))  # what is written in the same tick of the clock is news, too
    values = VALUES | {"watched-files": [f"{rooted}/conf", f"{rooted}/other"]}
    (rooted / "vpn.json").write_text(json.dumps(values))
    (rooted / "vpn.json").chmod(0o644)
    (rooted / "run/tunnel/vpn").mkdir(parents=True)
    (rooted / "run/tunnel/vpn/in-force").write_text("d1g")
    sources.keep("vpn", sources.look(record()))
    return rooted


def record() -> Record:
    return load("vpn")


def told(machine: Path) -> list[str]:
    sources.ask_to_read("vpn")
    log = machine / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_nothing_has_changed(machine: Path) -> None:
    """A file beside it, or one of the same directory, has nothing to say."""
    (machine / "beside").write_text("new")
    assert not sources.has_changed(record())
    assert [] == told(machine)


def test_what_is_written_is_read(machine: Path) -> None:
    """In place; and another file in its place, if only the inode tells."""
    (machine / "conf").write_text("new")
    assert sources.has_changed(record())
    assert [ASKED] == told(machine)


def test_what_comes_is_read(machine: Path) -> None:
    """A key that the settings name, and that was not there."""
    (machine / "other").write_text("new")
    assert [ASKED] == told(machine)


def test_what_is_away_can_not_be_read(machine: Path) -> None:
    """It is waited for a moment; then whoever brings it is noticed."""
    (machine / "conf").unlink()
    begun = time.monotonic()
    assert [] == told(machine)
    assert time.monotonic() - begun >= 0.2


def test_what_has_just_changed_is_read_once_more(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been read while it was written."""
    monkeypatch.setattr(sources, "RECENT", 3600.0)
    assert not sources.has_changed(record())
    assert [ASKED] == told(machine)


def test_a_tunnel_that_is_not_up_is_left_alone(machine: Path) -> None:
    """It is started again and again anyway."""
    (machine / "conf").write_text("new")
    (machine / "run/tunnel/vpn/in-force").write_text("")
    assert [] == told(machine)


def test_the_tick_asks_for_each(machine: Path) -> None:
    """In one order."""
    (machine / "conf").write_text("new")
    sources.reload_changed([record(), record()])
    assert (machine / "log").read_text() == f"{ASKED} wgconfine@vpn.service\n"


def test_a_refusal_is_said(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no error: the next look asks again."""
    (machine / "systemctl").write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
    (machine / "conf").write_text("new")
    sources.reload_changed([record()])
    assert capsys.readouterr().err.endswith("[!] systemctl try-reload-or-restart: no bus\n")


def test_where_nobody_asks_nothing_is_kept(machine: Path) -> None:
    """What was kept before is emptied."""
    sources.keep("off", "")
    sources.keep("vpn", "")
    assert not (machine / "run/tunnel/off").exists()
    assert (machine / "run/tunnel/vpn/sources").read_text() == ""
