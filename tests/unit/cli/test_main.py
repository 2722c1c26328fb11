"""Every error is one clear message and its exit code."""

import errno
import io
import os
import re
import stat
import subprocess  # noqa: TID253 — the command as it is started
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from tests.unit.cli.conftest import Machine, Run
from wgconfine import __version__
from wgconfine.__main__ import main as entry_point
from wgconfine.cli import check
from wgconfine.cli.dialogue import complain
from wgconfine.cli.main import main
from wgconfine.model.errors import ExitCode
from wgconfine.runtime.failure import say


def raising(error: BaseException) -> Callable[..., ExitCode]:
    def run_check(*_: object) -> ExitCode:
        raise error

    return run_check


def test_wrong_settings_are_78_and_every_problem_is_said(
    machine: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every file, each on a line."""
    machine.write("/etc/wgconfine/vpn.toml", 'mtu = "big"\nmut = 1\n')
    machine.write("/etc/wgconfine/two.toml", "[")

    assert run("check") == ExitCode.SETTINGS
    lines = capsys.readouterr().err.splitlines()
    starts = ["two.toml:", "vpn.toml: mtu:", "vpn.toml: mut:"]
    assert [
        start
        for start in starts
        if not any(line.startswith(f"/etc/wgconfine/{start}") for line in lines)
    ] == []


def test_settings_without_a_problem_are_0(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, and nothing else."""
    assert run("check") == ExitCode.OK
    assert capsys.readouterr() == ("1 tunnel: no problem found.\n", "")


def test_changing_the_machine_without_root_is_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is looked at."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert main(["apply"]) == ExitCode.NEEDS_ROOT
    assert capsys.readouterr().err == "This changes the machine: run it as root.\n"


def test_what_only_root_may_read_is_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel's words, and what to do."""
    denied = PermissionError(13, "Permission denied", "/etc/wgconfine")
    monkeypatch.setattr(check, "run_check", raising(denied))

    assert main(["check"]) == ExitCode.NEEDS_ROOT
    assert capsys.readouterr().err == "/etc/wgconfine: Permission denied. Run it as root.\n"


def test_another_refusal_of_the_system_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No internal error: a full disk is nobody's defect."""
    full = OSError(28, "No space left on device", "/etc/x")
    monkeypatch.setattr(check, "run_check", raising(full))

    assert main(["check"]) == ExitCode.FAILED
    assert capsys.readouterr().err == "/etc/x: No space left on device.\n"


def test_an_interruption_is_1_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C."""
    monkeypatch.setattr(check, "run_check", raising(KeyboardInterrupt()))

    assert main(["check"]) == ExitCode.FAILED
    assert capsys.readouterr().err == "interrupted\n"


def test_an_interruption_before_there_is_a_command_line_is_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while Python still imports it."""
    monkeypatch.setattr("wgconfine.cli.main.main", raising(KeyboardInterrupt()))

    assert entry_point() == ExitCode.FAILED


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ENOSPC])
def test_complaints_that_nobody_hears_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """`wgconfine apply 2>&1 | head`: services are not left half-way."""

    class Deaf(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(sys, "stderr", Deaf())
    complain("[#] stop a.service")
    say("[#] ip link add")


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`check` has one, and reports go to a directory of the test's."""
    monkeypatch.setattr(check, "run_check", raising(KeyError("a defect")))
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))


@pytest.mark.usefixtures("defect")
def test_a_defect_is_70_one_line_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback on the terminal; the report has it, for its owner alone."""
    assert main(["check"]) == ExitCode.INTERNAL
    (report,) = tmp_path.glob("wgconfine-error-*.txt")
    assert capsys.readouterr().err == (
        f"Internal error: KeyError. This is a defect of wgconfine; see {report}.\n"
    )
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "Traceback" in report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("defect")
def test_a_defect_without_a_place_for_the_report_is_still_70_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full or read-only disk must not make a traceback of it."""
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path / "missing"))

    assert main(["check"]) == ExitCode.INTERNAL
    said = capsys.readouterr().err
    assert said.startswith("Internal error: KeyError. This is a defect of wgconfine; no report")
    assert said.count("\n") == 1


def test_a_locale_that_lacks_a_letter_is_no_error(
    machine: Machine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be written is written as an escape, on both streams."""
    machine.write("/etc/wgconfine/vpn.toml", '"gr\u00fc\u00dfe" = 1\n')
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])

    assert run("check") == ExitCode.SETTINGS
    print("…")  # noqa: T201 — as `status` does
    said = []
    for stream in streams:
        stream.seek(0)
        said.append(stream.read())
    assert said[0] == "\\u2026\n"
    assert "gr\\xfc\\xdfe" in said[1]


@pytest.mark.usefixtures("defect")
def test_debug_shows_where_a_defect_is(capsys: pytest.CaptureFixture[str]) -> None:
    """For who reports it."""
    assert main(["--debug", "check"]) == ExitCode.INTERNAL
    assert "KeyError: 'a defect'" in capsys.readouterr().err


def test_foreign_text_in_an_error_is_escaped(
    machine: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Invariant 14: neither a key of the settings nor a file's name moves the cursor."""
    machine.write("/etc/wgconfine/vpn.toml", '"\\u001b[2J\\u202e" = 1\n')
    machine.write("/etc/wgconfine/\x1b[2J.toml", "")

    assert run("check") == ExitCode.SETTINGS
    assert re.findall("[\x00-\x09\x0b-\x1f\x7f\u202e]", capsys.readouterr().err) == []


@pytest.mark.parametrize(
    "words", [[], ["frobnicate"], ["apply", "--frobnicate"], ["render"], ["release"], ["remove"]]
)
def test_wrong_words_are_2_and_two_lines(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and where to read on; no wall of usage."""
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == ExitCode.USAGE
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"See wgconfine( \w+)? --help\.", lines[1])


def test_options_are_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--rel` would become another option's beginning one day."""
    with pytest.raises(SystemExit) as ended:
        main(["remove", "vpn", "--rel"])

    assert ended.value.code == ExitCode.USAGE
    assert "--rel" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The one of the package."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"wgconfine {__version__}\n"


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("vpn", "'vpn' is no number of seconds; a tunnel is named before --watch"),
        ("0.4", "'0.4' is not from 0.5 to 86400 seconds"),
        ("86401", "'86401' is not from 0.5 to 86400 seconds"),
        ("nan", "'nan' is not from 0.5 to 86400 seconds"),
        ("inf", "'inf' is not from 0.5 to 86400 seconds"),
    ],
)
def test_how_often_to_watch_is_a_number_of_seconds(
    word: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the name of a tunnel behind the option is not taken for one."""
    with pytest.raises(SystemExit) as ended:
        main(["status", "--watch", word])

    assert ExitCode.USAGE == ended.value.code
    assert f"argument --watch: {what}\n" in capsys.readouterr().err


def started(machine: Machine, output: int | IO[bytes]) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "wgconfine", "plan", "-v", "--root", os.fspath(machine.root)]
    argv += ["--python", "/usr/bin/python3"]
    return subprocess.run(argv, check=False, stdout=output, stderr=subprocess.PIPE)


def test_its_end_keeps_nothing_back(
    machine: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long as it is, all of the output comes out of a pipe, and the exit code is the command's."""
    assert run("plan", "-v") == ExitCode.CHANGES
    done = started(machine, subprocess.PIPE)

    assert ExitCode.CHANGES == done.returncode
    assert capsys.readouterr().out == done.stdout.decode()
    assert b"" == done.stderr


def test_its_end_says_what_could_not_be_written(machine: Machine) -> None:
    """Once, and with an exit code."""
    with Path("/dev/full").open("wb") as full:
        done = started(machine, full)

    assert ExitCode.FAILED == done.returncode
    assert b"standard output: No space left on device.\n" == done.stderr
