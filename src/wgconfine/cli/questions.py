"""What `init` asks a person on a terminal: numbered lists of what was found, until it is clear."""

from collections.abc import Callable, Mapping, Sequence
from os import fspath
from pathlib import Path

from wgconfine.cli.dialogue import ask, complain
from wgconfine.config.escape import escape, quote
from wgconfine.config.values import WrongValueError
from wgconfine.model.errors import ProblemsFound, Refused
from wgconfine.model.settings import TunnelName, UnitName

__all__ = ["ask_conf", "ask_name", "ask_ports", "ask_resolvers", "ask_services", "words_of"]

Words = Callable[[Sequence[str]], tuple[str, ...]]
"""Reads the words of an answer. Raises WrongValueError."""


def ask_conf(found: Sequence[Path]) -> Path:
    """Ask for a .conf; a path may be typed, too."""
    show("The .conf files here:", list(map(fspath, found)))
    while True:
        answer = ask("Which .conf? A number, or a path:" if found else "Which .conf? A path:")
        for word in words_of([answer], list(map(fspath, found))) if answer else ():
            path = Path(word).expanduser()
            if path.is_file():
                return path
            complain(f"There is no file {quote(word)}.")


def ask_name(suggested: str, read: Callable[[str], TunnelName]) -> TunnelName:
    """Ask for a name; that of the .conf is offered, where it can be one."""
    plain = suggested.lower().replace("_", "-").replace(".", "-").lstrip("-")[:31]
    try:
        offer = read(plain)
    except WrongValueError:
        offer = None
    while True:
        answer = ask("What shall the tunnel be called?" + (f" [{offer}]" if offer else ""))
        if not answer and offer:
            return offer
        try:
            return read(answer)
        except WrongValueError as error:
            complain_of(error)


def ask_resolvers(read: Words) -> tuple[str, ...]:
    """Ask for the resolvers, which the .conf does not name."""
    complain(
        "The .conf names no DNS, and the host's resolver is never used: your provider's pages say",
        "which address answers inside of the tunnel.",
    )
    while True:
        answer = ask("Its address, or none:").split()
        try:
            if answer:
                return read(answer)
        except WrongValueError as error:
            complain_of(error)


def ask_services(
    running: Mapping[UnitName, str], read: Callable[[Sequence[str]], tuple[UnitName, ...]]
) -> tuple[UnitName, ...]:
    """Ask which services go inside; no answer is none."""
    units = list(running)
    words = {unit: text if text != unit else "" for unit, text in running.items()}
    show("These run now and can be confined:", [f"{unit}  {words[unit]}".strip() for unit in units])
    question = "Which services? Numbers or names, with spaces between; empty for none yet:"
    while True:
        answer = ask(question).split()
        try:
            return read(words_of(answer, units))
        except (Refused, ProblemsFound) as error:
            complain(str(error))


def ask_ports(found: Mapping[int, UnitName], read: Words) -> tuple[str, ...]:
    """Ask which ports this machine shall still connect to; no answer is none."""
    complain(
        "Inside, ports are reached from this machine only where they are published. In use now:",
        *(f"  {port}  by {unit}" for port, unit in found.items()),
    )
    while True:
        answer = ask("Publish which? Ports, with spaces between; empty for none:").split()
        try:
            return read(answer)
        except WrongValueError as error:
            complain_of(error)


def words_of(answer: Sequence[str], options: Sequence[str]) -> list[str]:
    """Put in what each number stands for; other words stay as they are."""
    return [
        options[int(word) - 1]
        if word.isascii() and word.isdecimal() and 0 < int(word) <= len(options)
        else word
        for word in answer
    ]


def show(heading: str, options: Sequence[str]) -> None:
    if options:
        complain(
            heading,
            *(f"{number:>4}  {escape(each)}" for number, each in enumerate(options, start=1)),
        )


def complain_of(error: WrongValueError) -> None:
    complain(f"{error.what}." + (f" {error.hint}" if error.hint else ""))
