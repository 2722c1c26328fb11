"""The command line as its help describes it.

argparse lays its text out differently from one Python to the next, so that commands, options and
their words are compared, in a layout of our own, and the real help only for having them all.
"""

import argparse
from collections.abc import Callable, Iterator

import pytest

from wgconfine.cli.main import build_parser, main


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    actions = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return {"": parser, **actions[0].choices}


def described() -> Iterator[str]:
    """One line for each command, option and argument."""
    for name, parser in commands().items():
        yield f"wgconfine {name}".rstrip()
        for action in parser._actions:
            words = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            if action.option_strings and action.nargs != 0:
                words += f" {action.metavar or action.dest.upper()}"
            yield f"  {words}: {action.help or '(no help)'}"


def shown(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_commands_and_options(compare_text: Callable[[str, str], None]) -> None:
    """Each with its help."""
    compare_text("commands.txt", "\n".join(described()) + "\n")


@pytest.mark.parametrize("name", commands())
def test_help_shows_every_option(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But those that are hidden on purpose; exit code 0."""
    text = shown([name] if name else [], capsys, monkeypatch)

    options = [
        option
        for action in commands()[name]._actions
        if action.help != argparse.SUPPRESS
        for option in action.option_strings
    ]
    assert [] == [option for option in options if option not in text]


def test_help_shows_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every exit code."""
    text = shown([], capsys, monkeypatch)

    assert [] == [name for name in commands() if name not in text]
    assert "78 settings are wrong" in text
