"""Steps are carried out in their order, said first, and stop where going on would be unsafe."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import UnitName
from wgconfine.model.tree import MARK, File
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.plan.steps import Action, FileStep, Step, UnitStep
from wgconfine.render.catalog import CATALOG
from wgconfine.render.places import closing_path, dropin_path
from wgconfine.system import cgroup
from wgconfine.system import execute as module
from wgconfine.system.execute import execute
from wgconfine.system.tree import TreeWriter

A = UnitName("a.service")


class RecordingSystemctl:
    """Takes every order but those that it was told to fail at."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.orders = failing, list[str]()

    def order(self, *words: str) -> None:
        self.orders.append(" ".join(words))
        if words[0] in self.failing:
            raise OperationFailed(self.orders[-1], "no")

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        """Say of every unit that it does not run and that its control group is gone."""
        gone = dict.fromkeys(properties, "") | {"ActiveState": "inactive"}
        return dict.fromkeys(units, gone)

    def daemon_reload(self) -> None:
        self.order("daemon-reload")

    def start(self, units: Sequence[str]) -> None:
        self.order("start", *units)

    def start_no_block(self, units: Sequence[str]) -> None:
        raise NotImplementedError

    def stop(self, units: Sequence[str]) -> None:
        self.order("stop", *units)

    def kill_all(self, units: Sequence[str]) -> None:
        self.order("kill", *units)

    def restart(self, units: Sequence[str]) -> None:
        self.order("restart", *units)

    def reload(self, units: Sequence[str]) -> None:
        self.order("reload", *units)

    def reset_failed(self, units: Sequence[str]) -> None:
        self.order("reset-failed", *units)

    def update_catalog(self) -> None:
        self.order("update-catalog")


def writing(path: PurePosixPath) -> FileStep:
    file = File(path=path, text=f"# {MARK}.\n")
    return FileStep(change=Change(kind=ChangeKind.CREATE, path=path, before=None, after=file))


def removing(path: PurePosixPath) -> FileStep:
    file = File(path=path, text=f"# {MARK}.\n")
    return FileStep(change=Change(kind=ChangeKind.REMOVE, path=path, before=file, after=None))


EVERY: list[Step] = [
    writing(PurePosixPath("/etc/x")),
    UnitStep(action=Action.DAEMON_RELOAD),
    UnitStep(action=Action.STOP, units=("a.service",)),
    UnitStep(action=Action.RESTART, units=("b.service",), why="because"),
    UnitStep(action=Action.RELOAD, units=("c.service",)),
    UnitStep(action=Action.START, units=("d.service",)),
    removing(PurePosixPath("/etc/x")),
]
ORDERS = ["daemon-reload", "stop a.service", "restart b.service", "reload c.service"]


def test_every_step_is_said_and_done(tmp_path: Path) -> None:
    """In its order, with the sign that WireGuard's users know."""
    systemctl, said = RecordingSystemctl(), list[str]()

    assert execute(EVERY, TreeWriter(tmp_path), systemctl, said.append) == []
    assert [*ORDERS, "start d.service"] == systemctl.orders
    assert [
        "[#] create /etc/x",
        "[#] daemon-reload",
        "[#] stop a.service",
        "[#] restart b.service  (because)",
        "[#] reload c.service",
        "[#] start d.service",
        "[#] remove /etc/x",
    ] == said
    assert not (tmp_path / "etc/x").exists()


def test_a_tree_has_no_systemd(tmp_path: Path) -> None:
    """Its files are written, and nobody is asked for the rest."""
    assert execute(EVERY[:-1], TreeWriter(tmp_path), None, lambda _: None) == []
    assert MARK in (tmp_path / "etc/x").read_text()


def test_what_does_not_start_keeps_nothing_else_from_being_done(tmp_path: Path) -> None:
    """It is refused by its own guard: each failure is given back, and the last step is done."""
    systemctl = RecordingSystemctl("restart", "reload", "start")

    failures = execute(EVERY, TreeWriter(tmp_path), systemctl, lambda _: None)

    assert ["restart b.service", "reload c.service", "start d.service"] == [
        failure.step for _, failure in failures
    ]
    assert not (tmp_path / "etc/x").exists()


@pytest.mark.parametrize(("action", "done"), [("stop", 2), ("daemon-reload", 1)])
def test_what_cannot_be_stopped_ends_it(tmp_path: Path, action: str, done: int) -> None:
    """What follows relies on it: a running service must not lose its confinement."""
    systemctl = RecordingSystemctl(action)

    with pytest.raises(OperationFailed):
        execute(EVERY, TreeWriter(tmp_path), systemctl, lambda _: None)
    assert ORDERS[:done] == systemctl.orders


def test_a_command_that_has_ended_by_itself_is_stopped(tmp_path: Path) -> None:
    """systemd has no such unit any more, which is what was wanted."""
    systemctl = RecordingSystemctl("stop")
    steps: list[Step] = [UnitStep(action=Action.STOP, units=("wgconfine-exec-vpn-1_a.service",))]

    assert [] == execute(steps, TreeWriter(tmp_path), systemctl, lambda _: None)


def test_a_file_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    """Before anything starts."""
    (tmp_path / "etc").write_text("in the way")
    systemctl = RecordingSystemctl()

    with pytest.raises(OperationFailed):
        execute(EVERY, TreeWriter(tmp_path), systemctl, lambda _: None)
    assert systemctl.orders == []


@pytest.fixture
def read_only_usr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose /usr is on a read-only file system: nothing can be made in it."""
    (tmp_path / "usr").mkdir()
    inode = (tmp_path / "usr").stat().st_ino
    mkdir = os.mkdir

    def refusing(name: str, mode: int = 0o777, *, dir_fd: int) -> None:
        if os.fstat(dir_fd).st_ino == inode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", refusing)
    return tmp_path


def test_a_read_only_usr_can_be_done_without(read_only_usr: Path) -> None:
    """The drop-in alone confines; that the closing file is missing is said."""
    said: list[str] = []
    steps = [writing(closing_path(A)), writing(dropin_path(A))]

    execute(steps, TreeWriter(read_only_usr), None, said.append)

    assert (read_only_usr / str(dropin_path(A)).lstrip("/")).exists()
    assert any(line.startswith("[!] closing file not available: ") for line in said)


def test_without_its_closing_file_no_drop_in_is_removed(read_only_usr: Path) -> None:
    """Invariant 12: the service would run in the open, and nobody has said so."""
    writer = TreeWriter(read_only_usr)
    execute([writing(dropin_path(A))], writer, None, lambda _: None)

    with pytest.raises(OperationFailed, match="it would run in the open"):
        execute([writing(closing_path(A)), removing(dropin_path(A))], writer, None, lambda _: None)
    assert (read_only_usr / str(dropin_path(A)).lstrip("/")).exists()


def test_what_only_words_depend_on_fails_nothing(tmp_path: Path) -> None:
    """A machine without the database of catalogs has its tunnels all the same."""
    said = list[str]()
    steps = [UnitStep(action=Action.UPDATE_CATALOG), *EVERY]

    assert (
        execute(steps, TreeWriter(tmp_path), RecordingSystemctl("update-catalog"), said.append)
        == []
    )
    assert "[!] message catalog not available: update-catalog: no" in said


def test_a_catalog_that_cannot_be_written_is_said(read_only_usr: Path) -> None:
    """As a closing file that cannot be."""
    said = list[str]()

    execute([writing(CATALOG)], TreeWriter(read_only_usr), None, said.append)
    assert said[-1].startswith("[!] message catalog not available: ")


def test_a_process_that_cannot_be_killed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on in the open: nothing that follows is done."""

    class Stuck(RecordingSystemctl):
        def show(
            self, units: Sequence[str], properties: Sequence[str]
        ) -> dict[str, dict[str, str]]:
            return {unit: dict.fromkeys(properties, "/a") for unit in units}

    (tmp_path / "a").mkdir()
    (tmp_path / "a/cgroup.procs").write_text("7\n")
    monkeypatch.setattr(cgroup, "_PLACES", (tmp_path,))
    monkeypatch.setattr(module, "PATIENCE", 0.0)

    with pytest.raises(
        OperationFailed, match=r"^stop a\.service: processes are left in /a\nEnd what"
    ):
        module.ensure_stopped([A], Stuck())
