"""`doctor --fix` says what it will not do; what it mends is seen in containers."""

import argparse
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.cli import doctor as module
from wgconfine.cli.examination import Examination
from wgconfine.cli.main import interval
from wgconfine.cli.survey import Survey
from wgconfine.doctor.ours import Loose
from wgconfine.model.errors import NeedsRoot
from wgconfine.model.tree import File
from wgconfine.plan.steps import Action, UnitStep
from wgconfine.plan.unfinished import Unfinished

RELOAD = UnitStep(action=Action.DAEMON_RELOAD, units=())
NOTHING = Survey(
    tunnels=(),
    desired={},
    changes=(),
    steps=(),
    systemctl=None,
    unfinished=Unfinished(),
    half_released=Unfinished(),
)


def test_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking does not."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NeedsRoot, match="doctor --fix changes the machine: run it as root"):
        module.run_doctor(as_json=False, fix=True, yes=True)


def test_nothing_of_ours_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is asked, and nothing done."""
    assert not module.mend(Examination(findings=(), loose=(), found=None), yes=False)
    assert "There is nothing of wgconfine's own to mend.\n" == capsys.readouterr().err


def test_what_nobody_has_agreed_to_is_not_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another `apply` may have come before, and there is more to do now."""
    found = replace(NOTHING, steps=(RELOAD,))
    monkeypatch.setattr(module, "survey", lambda *_, **__: found)
    monkeypatch.setattr(module, "carry_out", lambda *_, **__: pytest.fail("it is done"))
    module.steps_by(Path("/"), [])

    said = "There is more to do now. See wgconfine plan:\n  daemon-reload\n"
    assert said == capsys.readouterr().err


def test_a_file_of_somebody_elses_is_written_as_it_should_be() -> None:
    """Where that is not known, without a plan or a place in it, nothing is done."""
    secret, ours, other = (
        Loose(path=PurePosixPath(path), secret=path.endswith("conf"))
        for path in ("/etc/wgconfine/vpn.conf", "/etc/wgconfine/vpn.json", "/etc/wgconfine/x.json")
    )
    loose = (secret, ours, other)
    found = replace(NOTHING, desired={ours.path: File(path=ours.path, text="")})

    assert (secret,) == Examination(findings=(), loose=loose, found=None).mendable
    planned = Examination(findings=(), loose=loose, found=found)
    assert (secret, ours) == planned.mendable
    said = f"write {ours.path} anew, as the settings have it"
    assert (f"chmod 600 {secret.path}", said) == planned.steps


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "'0' is not from 0.5 to 86400 seconds"),
        ("86401", "'86401' is not from 0.5 to 86400 seconds"),
        ("nan", "'nan' is not from 0.5 to 86400 seconds"),
        ("vpn", "'vpn' is no number of seconds; a tunnel is named before --watch"),
    ],
)
def test_how_often_is_looked(text: str, why: str) -> None:
    """`status --watch` takes seconds, and not the name that was meant to come before."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{why}$"):
        interval(text)
