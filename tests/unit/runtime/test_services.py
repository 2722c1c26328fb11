"""What systemd is asked after the tunnel changed by itself, by a systemctl in its place."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.runtime.test_record import VALUES
from wgconfine.runtime import paths, process, services


@pytest.fixture
def machine(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tunnel with two services; what its systemctl was told is in `log`."""
    monkeypatch.setattr(paths, "SETTINGS", os.fspath(rooted))
    monkeypatch.setattr(process, "SEARCH", (os.fspath(rooted), *process.SEARCH))
    record = VALUES | {"services": ["a.service", "b@x.service"]}
    (rooted / "vpn.json").write_text(json.dumps(record))
    (rooted / "vpn.json").chmod(0o644)
    return rooted


def install(machine: Path, script: str) -> None:
    path = machine / "systemctl"
    path.write_text(f'#!/bin/sh\necho "$*" >>{machine}/log\n{script}\n')
    path.chmod(0o755)


def told(machine: Path) -> list[str]:
    return (machine / "log").read_text().splitlines()


ASKED = "is-active -- wgconfine-want@a.target wgconfine-want@b@x.target"


def test_what_somebody_wants_is_started(machine: Path) -> None:
    """Without waiting: those services are ordered after the caller."""
    install(machine, 'if [ "$1" = is-active ]; then echo inactive; echo active; exit 3; fi')
    services.resume("vpn")

    assert [ASKED, "start --no-block --job-mode=fail -- b@x.service"] == told(machine)


@pytest.mark.parametrize("answer", ["", "echo active", "echo active; echo active; echo active"])
def test_an_answer_that_does_not_fit_starts_nothing(
    machine: Path, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    """systemd that can't be asked prints fewer lines: said, and no error."""
    install(machine, f"{answer}\necho no bus >&2; exit 1")
    services.resume("vpn")

    assert [ASKED] == told(machine)
    assert capsys.readouterr().err == "[!] systemctl is-active: no bus\n"


def test_files_are_watched_from_then_on(machine: Path) -> None:
    """By the units that the record names."""
    watched = VALUES | {"watched-files": ["/x"], "watch-units": ["wgconfine-watch@vpn.0.path"]}
    (machine / "vpn.json").write_text(json.dumps(watched))
    install(machine, "")
    services.resume("vpn")

    asked = "start --no-block --job-mode=fail -- wgconfine-watch@vpn.0.path"
    assert [asked] == told(machine)


def test_without_services_nobody_is_asked(machine: Path) -> None:
    """A tunnel for hand-written units alone."""
    (machine / "vpn.json").write_text(json.dumps(VALUES))
    install(machine, "")
    services.resume("vpn")

    assert not (machine / "log").exists()


def test_clearing_lets_the_first_configuration_with_a_credential_pass(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one is a reload, which does its work only where `in-force` is: empty until then."""
    monkeypatch.setattr(paths, "STATE", os.fspath(machine))
    services.clear("vpn")

    assert "" == (machine / "tunnel/vpn" / paths.IN_FORCE).read_text()
