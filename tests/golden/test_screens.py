"""Every screen at the usual widths, and what hostile text in it does to a terminal: nothing."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.conftest import EXPECTED
from tests.golden.screens import SCREENS, Screen, Stage, parsers
from wgconfine.cli.commands import COMMANDS

WIDTHS = (60, 80, 120)
MARK = "zqx"
"""What is foreign is known by it."""
FORGED = "vpn: confined. 130 checks"
HOSTILE = {
    "C0": "".join(map(chr, [*range(1, 32), 127])),
    "C1": "".join(map(chr, range(128, 160))),
    "sequences": "\x1b]0;title\x07\x1b[2J\x1b[1;31m\x1bP1$r\x1b\\\x9b31m\x08\x08\r",
    "lines": f"\n{FORGED}\r{FORGED}\x0b{FORGED}\x85{FORGED}\u2028{FORGED}\u2029{FORGED}",
    "bidi": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff\u00ad",
    "tags": "\U000e0041\U000e007f\ue000\ufff9",
    "markup": "[bold red]x[/bold red] {0} {evil} %s %n %(x)s $(id) `id` &lt;b>",
    "no UTF-8": "\udc80\udcff\udcfe",
}
BAD = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that do something, or that one can't see."""
OURS = re.compile(r"\x1b\[(?:0|1;31|31|32|33)m")


def by_name(screen: Screen) -> str:
    return screen.name


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("screen", SCREENS, ids=by_name)
def test_screen(
    screen: Screen, width: int, tmp_path: Path, compare_text: Callable[[str, str], None]
) -> None:
    """As somebody has read it. What is not folded is the same at every width."""
    name = f"{screen.name}-{width}.txt" if screen.folds else f"{screen.name}.txt"
    text = Stage(tmp_path, width).seen(screen.show, screen.answers)

    compare_text(f"screens/{name}", text)


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("screen", SCREENS, ids=by_name)
def test_foreign_text_does_nothing_to_a_terminal(screen: Screen, kind: str, tmp_path: Path) -> None:
    """Whoever wrote it: nothing but lines and colours of ours reaches it (invariant 14)."""
    hostile = f"{MARK}{HOSTILE[kind]}{MARK}"
    said = Stage(tmp_path, 80, hostile, colour=True).seen(screen.show, screen.answers)
    left = OURS.sub("", said).replace("\n", "")

    assert set() == {each for each in left if unicodedata.category(each) in BAD}
    assert [] == [line for line in said.splitlines() if line.startswith(FORGED)]


@pytest.mark.parametrize("screen", SCREENS, ids=by_name)
def test_foreign_text_is_shown_as_it_is_written(screen: Screen, tmp_path: Path) -> None:
    """Markup is text. It is the control of the test above: the screen has what was looked for."""
    hostile = f"{MARK}{HOSTILE['markup'].replace(' ', '')}{MARK}"
    said = Stage(tmp_path, 80, hostile).seen(screen.show, screen.answers)

    assert screen.shows == (MARK in said)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_screen(command: str) -> None:
    """One of its own beside its help: a row of `SCREENS`."""
    screens = [each.name for each in SCREENS if each.command == command]

    assert f"help-{command}" in screens
    assert 2 <= len(screens)


def test_every_file_is_a_screen() -> None:
    """What is not compared any more goes."""
    names = {
        f"{each.name}-{width}.txt" if each.folds else f"{each.name}.txt"
        for each in SCREENS
        for width in WIDTHS
    }

    assert sorted(names) == sorted(path.name for path in (EXPECTED / "screens").iterdir())


def test_help_is_there_of_every_parser() -> None:
    """The rows are made from the parser."""
    assert {name for name, _ in parsers()} == {"", *COMMANDS}
