"""What `init` asks, answered from a file: wrong answers are named, and asked again."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from wgconfine.cli.dialogue import CutOff, ask
from wgconfine.cli.draft import read_publish, read_resolvers
from wgconfine.cli.questions import (
    ask_conf,
    ask_name,
    ask_ports,
    ask_resolvers,
    ask_services,
    words_of,
)
from wgconfine.config.values import read_tunnel_name
from wgconfine.model.errors import Refused
from wgconfine.model.settings import UnitName

Type = Callable[[str], None]


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Have a person type these lines."""

    def give(lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))

    return give


def units(words: Sequence[str]) -> tuple[UnitName, ...]:
    if "wrong" in words:
        raise Refused("There is no service 'wrong'.")
    return tuple(map(UnitName, words))


def test_a_number_is_the_conf_of_the_list(types: Type, tmp_path: Path) -> None:
    """A path is one, too; nothing, and what is no file, is asked again."""
    first, second = tmp_path / "a b.conf", tmp_path / "b.conf"
    first.touch()
    second.touch()

    types("\nnone\n3\n1\n")
    assert first == ask_conf([first, second])
    types(f"{second}\n")
    assert second == ask_conf([])


def test_the_name_of_the_conf_is_offered(types: Type, capsys: pytest.CaptureFixture[str]) -> None:
    """In the letters that a tunnel's name may have; where none is left, nothing is offered."""
    types("\n")
    assert "se-1-wg" == ask_name("SE_1.wg", read_tunnel_name)
    types("\nÜ\nhome\n")
    assert "home" == ask_name("Ünterwegs", read_tunnel_name)
    assert "is not the name of a tunnel" in capsys.readouterr().err


def test_resolvers_must_be_said(types: Type, capsys: pytest.CaptureFixture[str]) -> None:
    """Addresses or the word none; an empty answer is no answer."""
    types("\nresolver\n10.64.0.1 fd00::1\n")
    assert ("10.64.0.1", "fd00::1") == ask_resolvers(read_resolvers)
    assert capsys.readouterr().err.startswith(
        "The .conf names no DNS, and the host's resolver is never used: your provider's pages say\n"
        "which address answers inside of the tunnel.\n"
    )
    types("none\n")
    assert () == ask_resolvers(read_resolvers)


def test_services_by_number_and_name(types: Type, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line; what is wrong with one is said, and an empty answer is none."""
    running = {UnitName("a.service"): "A", UnitName("b.service"): "b.service"}
    types("wrong\n2 c 1\n")
    assert ("b.service", "c", "a.service") == ask_services(running, units)
    said = capsys.readouterr().err
    assert "   1  a.service  A\n   2  b.service\n" in said
    assert "There is no service 'wrong'." in said
    types("\n")
    assert () == ask_services({}, units)


def test_ports_are_offered_by_who_uses_them(
    types: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number is a port, not a place in a list."""
    types("x\n8080 9091:80\n")
    assert ("8080", "9091:80") == ask_ports({8080: UnitName("a.service")}, read_publish)
    said = capsys.readouterr().err
    assert "Inside, ports are reached from this machine only where they are published." in said
    assert "  8080  by a.service\n" in said


def test_the_end_of_input_is_a_no(types: Type) -> None:
    """Nobody is there who could be asked again."""
    types("")
    with pytest.raises(Refused, match=r"Nothing was changed\."):
        ask_resolvers(read_resolvers)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (["2", "1"], ["y", "x"]),
        (["0", "3", "-1", "²", "01"], ["0", "3", "-1", "²", "x"]),
        (["z"], ["z"]),
        ([], []),
    ],
)
def test_numbers_of_a_list(answer: list[str], words: list[str]) -> None:
    """What is no place in it is a word."""
    assert words == words_of(answer, ["x", "y"])


class CutOffInWriting(io.StringIO):
    """A terminal whose person has seen the question before `print` has come back."""

    def flush(self) -> None:
        if self.getvalue().endswith("? "):
            raise KeyboardInterrupt


def test_ctrl_c_at_the_first_sight_of_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that nothing was changed, however early it comes."""
    terminal = CutOffInWriting()
    monkeypatch.setattr(sys, "stderr", terminal)

    with pytest.raises(CutOff):
        ask("Go on?")

    assert "Go on? \nNothing was changed.\n" == terminal.getvalue()
