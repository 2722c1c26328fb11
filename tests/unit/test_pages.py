"""What lies in share/ is what `make pages` would write."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages.__main__ import SHARE, made
from pages.completion import commands
from wgconfine.cli.main import build_parser

MADE = made()


@pytest.mark.parametrize("place", MADE)
def test_it_is_as_it_would_be_written(place: str) -> None:
    """Else `make pages` is to be run, and the difference read."""
    assert MADE[place] == (SHARE / place).read_text(encoding="utf-8")


def test_nothing_else_lies_there() -> None:
    """What is not written any more goes."""
    files = [path for path in SHARE.rglob("*") if path.is_file()]
    assert sorted(MADE) == sorted(path.relative_to(SHARE).as_posix() for path in files)


def options() -> Iterator[tuple[str, str]]:
    for name, parser in commands(build_parser()):
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                yield from ((name, option) for option in action.option_strings)


@pytest.mark.parametrize(
    "place", [each for each in MADE if each.startswith(("bash", "zsh", "fish"))]
)
def test_completions_have_every_option(place: str) -> None:
    """Each long one, of each command, and each command."""
    text = MADE[place]
    long = {option.removeprefix("--") for _, option in options() if option.startswith("--")}
    words = set(re.findall(r"[a-z][a-z-]+", text))
    assert set() == (long | {name for name, _ in options() if name}) - words


def test_the_manual_has_every_option() -> None:
    """In the synopsis of its command."""
    text = MADE["man/man1/wgconfine.1"].replace("\\-", "-")
    synopsis = text.partition(".SH SYNOPSIS")[2].partition(".SH ")[0]
    parts = dict(re.findall(r"\.B wgconfine (\S+)\n(.*?)(?=\n\.TP|\Z)", synopsis, re.DOTALL))
    wanted = [
        (name, option) for name, option in options() if name and option not in {"-h", "--help"}
    ]
    assert [] == [
        (name, option) for name, option in wanted if rf"\fB{option}\fR" not in parts[name]
    ]


@pytest.mark.parametrize("place", [each for each in MADE if each.startswith("man/")])
def test_no_markdown_is_left_in_a_man_page(place: str) -> None:
    """Neither quotes of code nor stars, brackets of links and bars of tables."""
    text = re.sub(r"^\.EX$.*?^\.EE$", "", MADE[place], flags=re.MULTILINE | re.DOTALL)
    assert [] == re.findall(r"`|\*\*|\]\(|^\|.*", text.partition("\n")[2], re.MULTILINE)


def test_the_wheel_brings_it_along() -> None:
    """And docs/ beside it, which the man pages name."""
    text = Path(SHARE.parent / "pyproject.toml").read_text(encoding="utf-8")
    shared = text.partition("shared-data]\n")[2].partition("\n\n")[0]
    assert '"share" = "share"\n"docs" = "share/doc/wgconfine"' == shared
