"""Programs that the runtime runs."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import process
from wgconfine.runtime.failure import Failure

SECRET = "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ="


def test_gives_what_the_program_wrote() -> None:
    """Standard output, with the text on its standard input."""
    assert process.run("cat", text="one\ntwo\n") == "one\ntwo\n"


def test_takes_more_than_a_pipe_holds() -> None:
    """A ruleset or a list of routes may be long: nothing blocks."""
    text = "x" * 300_000

    assert text == process.run("cat", text=text)


def test_a_failure_quotes_the_command_and_its_words() -> None:
    """Everything that is needed to try it again by hand."""
    with pytest.raises(Failure) as caught:
        process.run("sh", "-c", "echo no >&2; echo way >&2; exit 3")

    assert str(caught.value) == "sh -c echo no >&2; echo way >&2; exit 3: exit 3: no; way"


def test_a_failure_never_quotes_standard_input() -> None:
    """Invariant 8: that is where the keys go."""
    with pytest.raises(Failure) as caught:
        process.run("sh", "-c", "cat >/dev/null; exit 1", text=SECRET)

    assert SECRET not in str(caught.value)
    assert str(caught.value).endswith("exit 1: it said nothing")


def test_a_failure_never_quotes_what_a_program_repeats_of_it() -> None:
    """wg(8) names the line that it does not understand."""
    script = "read line; echo \"Line unrecognized: '$line'\" >&2; exit 1"
    with pytest.raises(Failure) as caught:
        process.run("sh", "-c", script, text=f"PresharedKex={SECRET}\n")

    assert str(caught.value).endswith("exit 1: Line unrecognized: (hidden)")


def test_a_signal_is_told_from_an_exit_status() -> None:
    """As a negative number."""
    status, _, _ = process.Running("sh", "-c", "kill -9 $$").wait()

    assert status == -9


def test_the_environment_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither PATH nor secrets of the caller reach a program."""
    monkeypatch.setenv("PRIVATE_KEY", SECRET)

    words = {line.partition("=")[0] for line in process.run("env").splitlines()}

    assert {"PATH", "LC_ALL"} == words - {"PWD", "_", "SHLVL"}


def test_a_missing_program_is_named() -> None:
    """With where it was looked for."""
    with pytest.raises(Failure, match="no-such-program: not found in /usr/sbin:"):
        process.run("no-such-program")


def test_a_missing_program_leaves_no_descriptor_open() -> None:
    """The look-up of endpoints tries again for ever."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Failure):
        process.run("no-such-program")

    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_programs_are_not_looked_up_by_the_callers_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units run as root."""
    (tmp_path / "cat").write_text("#!/bin/sh\necho hijacked\n", encoding="ascii")
    (tmp_path / "cat").chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))

    assert process.run("cat", text="mine") == "mine"
