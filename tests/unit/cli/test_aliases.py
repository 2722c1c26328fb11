"""A service that the settings list by another name, from the command line."""

import json

import pytest

from tests.unit.cli.conftest import SETTINGS, Machine, Run, closing, dropin
from wgconfine.model.errors import ExitCode

ALIAS = "/usr/lib/systemd/system/alias.service"


@pytest.fixture
def aliased(machine: Machine, run: Run) -> Machine:
    """The tree once `apply` was there; `alias.service` in its settings is a.service."""
    machine.path(ALIAS).symlink_to("a.service")
    machine.write("/etc/wgconfine/vpn.toml", SETTINGS.replace("a.service", "alias.service"))
    assert run("apply") == ExitCode.OK
    return machine


def test_all_files_bear_the_real_name(aliased: Machine, run: Run) -> None:
    """Drop-in, closing file and record; `check` finds nothing wrong, `plan` nothing to do."""
    assert aliased.has(dropin("a.service"))
    assert aliased.has(closing("a.service"))
    assert not [path for path in aliased.files() if "alias.service.d" in path]
    record = json.loads(aliased.read("/etc/wgconfine/vpn.json"))
    assert ["a.service", "b.service"] == record["services"]
    assert run("plan") == ExitCode.OK
    assert run("check") == ExitCode.OK


def test_render_resolves_aliases_too(aliased: Machine, run: Run) -> None:
    """As `apply` does."""
    output = Machine(aliased.root / "out")
    assert run("render", "--output", str(output.root)) == ExitCode.OK
    assert output.has(dropin("a.service"))
    assert not output.has(dropin("alias.service"))


@pytest.mark.parametrize("name", ["alias.service", "a.service"])
def test_release_takes_either_name(aliased: Machine, run: Run, name: str) -> None:
    """The files of the unit go, and the line of the settings, whichever name stands there."""
    assert run("release", name, "--yes") == ExitCode.OK
    assert not aliased.has(dropin("a.service"))
    assert not aliased.has(closing("a.service"))
    assert "alias.service" not in aliased.read("/etc/wgconfine/vpn.toml")
    assert aliased.has(dropin("b.service"))


def test_remove_with_release_lets_the_unit_go(aliased: Machine, run: Run) -> None:
    """By its real name."""
    assert run("remove", "vpn", "--release", "--yes") == ExitCode.OK
    assert not aliased.has(closing("a.service"))


def test_an_alias_that_moved(aliased: Machine, run: Run) -> None:
    """Invariant 12: the old unit stays closed until it is released, the new one is confined."""
    aliased.write("/usr/lib/systemd/system/c.service", "[Service]\nExecStart=/usr/bin/c\n")
    aliased.path(ALIAS).unlink()
    aliased.path(ALIAS).symlink_to("c.service")
    assert run("apply") == ExitCode.OK
    assert (True, False) == (aliased.has(closing("a.service")), aliased.has(dropin("a.service")))
    assert aliased.has(dropin("c.service"))
    assert run("release", "a.service", "--yes") == ExitCode.OK
    assert not aliased.has(closing("a.service"))
    assert aliased.has(dropin("c.service"))


def test_both_names_are_a_problem(
    aliased: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is changed."""
    before = aliased.files()
    aliased.write("/etc/wgconfine/vpn.d/x.toml", 'services = ["a.service"]\n')
    assert run("apply") == ExitCode.SETTINGS
    words = capsys.readouterr().err
    assert "alias.service and a.service are names of the same unit. List it once" in words
    assert before == {path: text for path, text in aliased.files().items() if "vpn.d" not in path}
