"""Facts and states of the units of a running system, by a systemctl of the test."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import UnitName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.units import UnitFacts
from wgconfine.system.units import read_facts
from wgconfine.system.unitstates import unit_states, words_of

X = UnitName("x.service")


class FakeSystemctl:
    """Answers with what it was made with, and an empty string for the rest; takes no orders."""

    def __init__(self, **properties: str) -> None:
        self.properties = properties

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        return {unit: {key: self.properties.get(key, "") for key in properties} for unit in units}

    def daemon_reload(self) -> None:
        raise NotImplementedError

    def start(self, units: Sequence[str]) -> None:
        raise NotImplementedError(units)

    kill_all = start_no_block = stop = restart = reload = reset_failed = start
    update_catalog = daemon_reload


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def read(root: Path, **properties: str) -> UnitFacts:
    return read_facts(FakeSystemctl(**properties), [X], root=root)[X]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", []),
        ("/a/b.conf /c", ["/a/b.conf", "/c"]),
        (r'/a "/b c/x\\x2dy.conf"', ["/a", r"/b c/x\x2dy.conf"]),
        (r'"/a\"b\$c\`" /d', ['/a"b$c`', "/d"]),
        (r'"/zz\033[31m\a\b\t\r.conf"', ["/zz\x1b[31m\a\b\t\r.conf"]),
        ("/a\x85b\u2028c /d\xa0e", ["/a\x85b\u2028c", "/d\xa0e"]),
        ("/it's", ["/it's"]),
    ],
)
def test_a_list_is_read_as_systemctl_writes_it(value: str, words: list[str]) -> None:
    """Control characters of a file's name are escaped as in C: a drop-in is not to be missed."""
    assert words == words_of(value)


def test_files_of_the_unit(tmp_path: Path) -> None:
    """The files are those that systemd names, quoted where it quotes them, in its order."""
    put(tmp_path, "lib/y@.service", "[Service]\nNice=1\n")
    put(tmp_path, "etc/y@a\\x2db.service.d/a.conf", "[Service]\nNice=2\n")
    facts = read(
        tmp_path,
        Id="y.service",
        Names="y.service z.service",
        LoadState="loaded",
        FragmentPath="/lib/y@.service",
        DropInPaths='"/etc/y@a\\\\x2db.service.d/a.conf" /etc/gone.conf',
        TriggeredBy="y.timer y.socket",
    )
    assert ("y.service", "loaded", "2") == (
        facts.name,
        facts.load_state,
        facts.value("Service", "Nice"),
    )
    assert ("x.service", "y.service", "z.service") == facts.names
    assert ("y.socket", "y.timer") == facts.triggered_by
    assert ["/lib/y@.service", "/etc/y@a\\x2db.service.d/a.conf"] == [
        text.path.as_posix() for text in facts.texts
    ]


def test_changed_on_disk(tmp_path: Path) -> None:
    """Where a reload is due, drop-ins that systemd has not read yet count."""
    put(tmp_path, "etc/systemd/system/x.service", "[Service]\nNice=1\n")
    put(tmp_path, "etc/systemd/system/x.service.d/new.conf", "[Service]\nNice=2\n")
    facts = read(
        tmp_path,
        Id="x.service",
        LoadState="loaded",
        FragmentPath="/etc/systemd/system/x.service",
        TriggeredBy="x.socket",
        NeedDaemonReload="yes",
    )
    assert ("2", ("x.socket",)) == (facts.value("Service", "Nice"), facts.triggered_by)


@pytest.mark.parametrize("reload", ["no", "yes"])
def test_not_loaded_but_on_disk(tmp_path: Path, reload: str) -> None:
    """Systemd does not name a socket that it has not loaded, nor a unit that joins: files do."""
    put(tmp_path, "etc/systemd/system/x.service", "[Service]\nNice=1\n")
    put(tmp_path, "lib/systemd/system/x.socket", "[Socket]\nListenStream=80\n")
    put(tmp_path, "lib/systemd/system/b.service", "[Unit]\nJoinsNamespaceOf=x.service\n")
    facts = read(
        tmp_path,
        Id="x.service",
        LoadState="loaded",
        FragmentPath="/etc/systemd/system/x.service",
        TriggeredBy="x.timer",
        JoinsNamespaceOf="a.service x.service",
        NeedDaemonReload=reload,
    )
    assert ("x.socket", "x.timer") == facts.triggered_by
    assert ("a.service", "b.service") == facts.joined


def test_masked(tmp_path: Path) -> None:
    """A masked unit has no texts."""
    facts = read(tmp_path, Id="x.service", LoadState="masked", FragmentPath="/dev/null")
    assert ("masked", ()) == (facts.load_state, facts.texts)


def test_user_unit(tmp_path: Path) -> None:
    """A unit that systemd does not find is looked for among the user units."""
    put(tmp_path, "usr/lib/systemd/user/x.service", "")
    assert read(tmp_path, Id="x.service", LoadState="not-found").user_unit


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is an error that names it."""
    put(tmp_path, "lib/x.service", "")

    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(OperationFailed, match=r"read /lib/x\.service: Permission denied"):
        read(tmp_path, LoadState="loaded", FragmentPath="/lib/x.service")


GUARD = "{ path=/bin/sh ; argv[]=/bin/sh -c x ; ; code=exited ; pid=0 ; code=%s ; status=%s }"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ("", 0)),
        (GUARD % ("(null)", "0/0"), ("", 0)),
        (GUARD % ("exited", "0"), ("exited", 0)),
        (GUARD % ("killed", "10/USR1"), ("killed", 10)),
        (GUARD % ("killed", "10/USR1") + "\n" + GUARD % ("(null)", "0/0"), ("killed", 10)),
        (GUARD % ("exited", "0") + "\n" + GUARD % ("exited", "226"), ("exited", 226)),
    ],
)
def test_exec_condition(lines: str, expected: tuple[str, int]) -> None:
    """The last condition that ran is told, whatever its arguments look like."""
    state = unit_states(FakeSystemctl(ExecCondition=lines), ["x.service"])["x.service"]
    assert expected == (state.condition_code, state.condition_status)


def test_never_tried() -> None:
    """A "no" of a condition that was never looked at is no answer."""
    properties = {"ConditionResult": "no", "AssertResult": "no"}
    state = unit_states(FakeSystemctl(**properties), ["x"])["x"]
    assert (None, None) == (state.condition, state.assertion)


def test_state() -> None:
    """Everything else is taken over, in the types of its kind."""
    shown = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "Result": "success",
        "ConditionResult": "yes",
        "ConditionTimestampMonotonic": "5",
        "AssertResult": "no",
        "AssertTimestampMonotonic": "5",
        "MainPID": "42",
        "NeedDaemonReload": "yes",
        "InvocationID": "ab",
    }
    expected = UnitState(
        name="x",
        active="active",
        sub="running",
        condition=True,
        assertion=False,
        main_pid=42,
        need_daemon_reload=True,
        invocation="ab",
    )
    assert expected == unit_states(FakeSystemctl(**shown), ["x"])["x"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (UnitState(name="x"), "stopped"),
        (UnitState(name="x", load="not-found"), "not-found"),
        (UnitState(name="x", load="masked"), "masked"),
        (UnitState(name="x", active="active", sub="running"), "running"),
        (UnitState(name="x", active="active", sub="exited"), "running"),
        (UnitState(name="x", active="activating", sub="start-pre"), "starting"),
        (UnitState(name="x", active="deactivating", sub="stop-sigterm"), "stopping"),
        (UnitState(name="x", active="failed", sub="failed", result="exit-code"), "failed"),
        (UnitState(name="x", active="activating", sub="auto-restart"), "failed"),
        (UnitState(name="x", condition=False), "refused"),
        (UnitState(name="x", assertion=False), "refused"),
        (UnitState(name="x", condition=True, assertion=True), "stopped"),
        (UnitState(name="x", result="exec-condition"), "refused"),
        (UnitState(name="x", condition_code="exited", condition_status=226), "refused"),
        (
            UnitState(name="x", active="failed", condition_code="killed", condition_status=10),
            "refused",
        ),
        (
            UnitState(
                name="x",
                active="activating",
                sub="auto-restart",
                condition_code="killed",
                condition_status=10,
            ),
            "refused",
        ),
        (
            UnitState(name="x", active="failed", condition_code="killed", condition_status=9),
            "failed",
        ),
    ],
)
def test_judge(state: UnitState, expected: str) -> None:
    """What was kept from running is refused, never stopped."""
    assert expected == judge(state)
