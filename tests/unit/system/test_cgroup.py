"""The control group of a unit, made of files here."""

from pathlib import Path

import pytest

from wgconfine.system import cgroup as module
from wgconfine.system.cgroup import Cgroup, unit_of


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the machine's control groups would be; version 2 keeps to the first of two places."""
    monkeypatch.setattr(module, "_PLACES", (tmp_path / "unified", tmp_path / "old"))
    monkeypatch.setattr(module, "_PROC", tmp_path / "proc")
    return tmp_path


def make(directory: Path, processes: str, *, version: int = 2) -> None:
    directory.mkdir(parents=True)
    (directory / "cgroup.procs").write_text(processes)
    if version == 2:
        (directory / "cgroup.controllers").touch()


def test_processes_of_all_below_are_its_own(hierarchy: Path) -> None:
    """However deep it was delegated."""
    unit = hierarchy / "unified/a.slice/b.service"
    make(unit, "1\n2\n")
    make(unit / "x/y", "3\n")
    (unit / "x/cgroup.procs").write_text("")
    (unit / "x/cgroup.controllers").touch()
    found = Cgroup.find("/a.slice/b.service")
    assert found

    assert {1, 2, 3} == found.processes()
    assert {each.stat().st_ino for each in (unit, unit / "x", unit / "x/y")} == found.identities()


def test_version_1_has_processes_and_no_identities(hierarchy: Path) -> None:
    """Its numbers are not those by which the kernel marks sockets."""
    make(hierarchy / "old/b.service", "1\n", version=1)
    found = Cgroup.find("/b.service")
    assert found

    assert ({1}, set()) == (found.processes(), found.identities())


@pytest.mark.parametrize("control_group", ["", "/", "/gone.service", "b.service"])
def test_a_unit_without_one(hierarchy: Path, control_group: str) -> None:
    """systemd says nothing of a unit that does not run; never all of the machine's processes."""
    make(hierarchy / "unified", "1\n")
    make(hierarchy / "unified/b.service", "1\n")

    assert Cgroup.find(control_group) is None


def test_one_that_goes_away_has_no_processes(hierarchy: Path) -> None:
    """Its unit has ended meanwhile."""
    unit = hierarchy / "unified/b.service"
    make(unit, "1\n")
    found = Cgroup.find("/b.service")
    assert found
    for each in list(unit.iterdir()):
        each.unlink()
    unit.rmdir()

    assert (set(), set()) == (found.processes(), found.identities())


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/wgconfine.slice/wgconfine-vpn.slice/a.service\n", "a.service"),
        ("0::/system.slice/docker.service/x\n", "docker.service"),
        ("0::/system.slice/a.service/payload/b.service\n", "a.service"),
        ("0::/user.slice/user@1000.service/app.slice/a.service\n", "user@1000.service"),
        ("9:name=systemd:/\n2:cpu:/\n0::/system.slice/a.service\n", "a.service"),
        ("2:cpu:/y.service\n9:name=systemd:/user.slice/a.scope\n", "a.scope"),
        ("1:name=systemd:/system.slice/a.service\n0::/\n", "a.service"),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", "session-2.scope"),
        ("0::/system.slice/x\x0b0::/system.slice/a.service\n", "a.service"),
        ("0::/system.slice/b.service/x\x85y\u2028z\n", "b.service"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_the_unit_of_a_process(hierarchy: Path, cgroups: str, unit: str) -> None:
    """The outermost one is PID 1's; what is made below it may bear any name. None has ended."""
    (hierarchy / "proc/7").mkdir(parents=True)
    (hierarchy / "proc/7/cgroup").write_text(cgroups)

    assert (unit, "") == (unit_of(7), unit_of(8))
