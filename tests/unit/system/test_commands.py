"""How a command of `wgconfine exec` ended, which there are, and what killed ones leave."""

import os
import signal
import subprocess  # noqa: TID253 — what starts a command
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wgconfine.model.names import TunnelName, UnitName
from wgconfine.runtime import paths, process
from wgconfine.system import commands, transient
from wgconfine.system.commands import (
    End,
    new_unit,
    read_end,
    run_unit,
    signal_number,
    sweep_commands,
)
from wgconfine.system.transient import commands_of

UNIT = UnitName("wgconfine-exec-vpn-4711_0a1b2c.service")
GONE = 1 << 22
"""No process has it: the most that Linux gives is one less (proc(5), pid_max)."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our own places of the machine, and systemd's for transient units."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    monkeypatch.setattr(transient, "TRANSIENT", os.fspath(tmp_path / "transient"))
    for each in ("exec", "run", "transient"):
        (tmp_path / each).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("begun", "ended", "end"),
    [
        (True, "success exited 0\n", End(begun=True, status=0)),
        (True, "exit-code exited 7\n", End(begun=True, status=7)),
        (True, "success killed TERM\n", End(begun=True, signal=15)),
        (True, "core-dump dumped SEGV\n", End(begun=True, signal=11)),
        (True, "exec-condition\n", End(begun=True)),
        (False, "exec-condition\n", End()),
        (True, None, End(begun=True)),
        (False, None, End()),
        (True, "", End(begun=True)),
    ],
)
def test_how_it_ended(state: Path, *, begun: bool, ended: str | None, end: End) -> None:
    """By what systemd has told the last command of the unit; nothing is known without that."""
    stem = state / "exec" / UNIT.removesuffix(".service")
    if begun:
        Path(f"{stem}.begun").touch()
    if ended is not None:
        Path(f"{stem}.ended").write_text(ended)

    assert end == read_end(UNIT)
    assert end.known == (end.status is not None or end.signal > 0)


@pytest.mark.parametrize(
    ("name", "number"),
    [("KILL", 9), ("RTMIN", signal.SIGRTMIN), ("RTMIN+3", signal.SIGRTMIN + 3), ("NONE", 0)],
)
def test_signals_as_systemd_calls_them(name: str, number: int) -> None:
    """Without SIG, and those of real time by their distance."""
    assert number == signal_number(name)


def test_each_command_has_a_name_of_its_own() -> None:
    """Also two of one process."""
    assert new_unit(TunnelName("vpn")) != new_unit(TunnelName("vpn"))


def test_commands_of_a_tunnel(state: Path) -> None:
    """Of that one alone, though its name begins another's."""
    names = (
        "wgconfine-exec-vpn-2_b.service",
        "wgconfine-exec-vpn-1_a.service",
        r"wgconfine-exec-vpn\x2db-1_a.service",
        "wgconfine-exec-vpn-3_c.scope",
        "run-u1.service",
    )
    for each in names:
        (state / "transient" / each).touch()

    assert (names[1], names[0]) == commands_of(TunnelName("vpn"))
    assert (names[2],) == commands_of(TunnelName("vpn-b"))


def test_without_any_transient_unit(state: Path) -> None:
    """systemd makes the directory with the first one."""
    (state / "transient").rmdir()

    assert () == commands_of(TunnelName("vpn"))


def test_what_killed_ones_have_left_is_swept(state: Path) -> None:
    """But of no command that runs, or whose `wgconfine exec` is about to begin it."""
    gone, runs, begins = (f"wgconfine-exec-vpn-{pid}_aa" for pid in (GONE, GONE + 1, os.getpid()))
    (state / "transient" / f"{runs}.service").touch()
    for stem in (gone, runs, begins, "nginx"):
        (state / "run" / stem / "user").mkdir(parents=True)
        (state / "exec" / f"{stem}.begun").touch()

    sweep_commands()

    left = {runs, begins, "nginx"}
    assert left == {path.name for path in (state / "run").iterdir()}
    assert left == {path.stem for path in (state / "exec").iterdir()}


def test_nothing_is_swept_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first tunnel has started."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path / "none"))

    commands.sweep_commands()


class Interrupted(subprocess.Popen[bytes]):
    """A program whose starter is sent a signal before it knows that it has begun."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if "--wait" in arguments[0]:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    # Where nothing catches it, it would end the test's own process.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


@pytest.mark.usefixtures("_signals_as_before")
def test_a_signal_that_comes_at_the_very_start_ends_it(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody goes on running whom it can't be handed on to."""
    monkeypatch.setattr(process, "SEARCH", (os.fspath(state), *process.SEARCH))
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    for name, line in (("systemd-run", "exec sleep 30"), ("systemctl", "exit 1")):
        (state / name).write_text(f"#!/bin/sh\n{line}\n")
        (state / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(state), prepend=os.pathsep)

    begun = time.monotonic()
    assert End(signal=signal.SIGTERM) == run_unit(UNIT, [], terminal=False)
    assert time.monotonic() - begun < 20
