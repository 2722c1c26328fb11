"""`--debug` says each program that is run, and no secret."""

import subprocess  # noqa: TID253 — a test may take its time
import sys
from pathlib import Path

import pytest

from wgconfine.cli import check
from wgconfine.cli.debug import programs_shown
from wgconfine.cli.main import main
from wgconfine.model.errors import ExitCode
from wgconfine.runtime.process import run

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


def test_a_program_of_either_kind_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    """What the CLI runs by subprocess and what the runtime runs by itself, before it runs."""
    with programs_shown():
        subprocess.run(["/bin/echo", "a b"], check=True, stdout=subprocess.DEVNULL)
        run("echo", "two")

    assert "[$] /bin/echo 'a b'\n[$] echo two\n" == capfd.readouterr().err


def test_nothing_is_said_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    """The audit itself goes on for as long as the process does."""
    with programs_shown():
        pass
    run("true")

    assert "" == capfd.readouterr().err


def test_a_key_is_not_said(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither in a word of the command line nor on its standard input."""
    with programs_shown():
        run("echo", KEY, "--key", f"key={KEY}", "\x1b[2J")
        run("cat", text=KEY)

    assert "[$] echo '(hidden)' --key '(hidden)' '\\x1b[2J'\n[$] cat\n" == capfd.readouterr().err


def test_what_a_command_becomes_is_said(tmp_path: Path) -> None:
    """`logs` becomes journalctl."""
    script = "from wgconfine.cli.debug import programs_shown\nimport os\n"
    script += "with programs_shown():\n    os.execv('/bin/true', ['true', 'x'])\n"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path
    )

    assert "[$] true x\n" == done.stderr


def test_the_option_says_them_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The result stays alone on standard output, and without the option nothing is said."""

    def run_check(*_: object) -> ExitCode:
        print(run("echo", "the result"), end="")  # noqa: T201 — as a command does
        return ExitCode.OK

    monkeypatch.setattr(check, "run_check", run_check)

    assert main(["check"]) == ExitCode.OK
    assert ("the result\n", "") == capfd.readouterr()
    assert main(["--debug", "check"]) == ExitCode.OK
    assert ("the result\n", "[$] echo 'the result'\n") == capfd.readouterr()
