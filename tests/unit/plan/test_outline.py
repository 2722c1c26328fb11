"""Steps as they are said: what is alike is one line, and nothing is left out."""

from pathlib import PurePosixPath

from wgconfine.model.settings import UnitName
from wgconfine.model.tree import MARK, File
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.plan.outline import outlined
from wgconfine.plan.steps import Action, FileStep, Step, UnitStep
from wgconfine.render.places import closing_path, dropin_path

A, B = UnitName("a.service"), UnitName("b.service")
OWN = "/etc/systemd/system/wgconfine@.service"
WHY = "it is confined"


def writing(path: PurePosixPath | str, kind: ChangeKind = ChangeKind.CREATE) -> FileStep:
    file = File(path=PurePosixPath(path), text=f"# {MARK}.\n")
    return FileStep(change=Change(kind=kind, path=file.path, before=None, after=file))


def asking(action: Action, *units: str, why: str = "") -> UnitStep:
    return UnitStep(action=action, units=units, why=why)


def test_own_files_are_counted() -> None:
    """By what becomes of them; the line stands where the first is."""
    steps = [
        writing(OWN),
        writing(dropin_path(A)),
        writing("/etc/wgconfine/vpn.json", ChangeKind.UPDATE),
        writing("/etc/systemd/system/wgconfine-vpn.slice"),
    ]
    assert [
        "create 2 and update 1 files of wgconfine's own: its units, and what they are told",
        f"create {dropin_path(A)}",
        "",
        "",
    ] == outlined(steps)


def test_a_single_file_is_named() -> None:
    """Whosever it is."""
    assert [f"create {OWN}"] == outlined([writing(OWN)])


def test_what_several_services_get_is_one_line() -> None:
    """With the names of all; another kind of file has another line."""
    steps = [writing(path(unit)) for path in (closing_path, dropin_path) for unit in (A, B)]
    closing, dropin = (
        f"create {path(A).parent.parent}/UNIT.d/{path(A).name} of a.service b.service"
        for path in (closing_path, dropin_path)
    )
    assert [closing, "", dropin, ""] == outlined(steps)


def test_the_same_asked_for_several_units_is_one_line() -> None:
    """With the reason; what has another one, or comes after something else, has its own line."""
    steps: list[Step] = [
        asking(Action.STOP, A, why=WHY),
        asking(Action.STOP, B, why=WHY),
        asking(Action.STOP, "c.service", why="another"),
        asking(Action.DAEMON_RELOAD),
        writing(OWN),
        asking(Action.DAEMON_RELOAD),
        asking(Action.STOP, A, why=WHY),
    ]
    assert [
        f"stop a.service b.service  ({WHY})",
        "",
        "stop c.service  (another)",
        "daemon-reload",
        f"create {OWN}",
        "daemon-reload",
        f"stop a.service  ({WHY})",
    ] == outlined(steps)


def test_nothing_is_nothing() -> None:
    """No step, no line."""
    assert [] == outlined([])
