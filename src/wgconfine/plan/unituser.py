"""As whom a unit runs, and what it keeps of root's rights. Pure."""

from collections.abc import Iterator

from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import expand, is_yes, last_line, list_lines
from wgconfine.plan.unitcommands import RUNS

__all__ = [
    "account_of",
    "gains_no_privileges",
    "groups_given",
    "is_dynamic",
    "is_root",
    "prefixes_of",
    "privileged_lines",
]

_FULL_RIGHTS = "+!"
_IMPLIES_NO_MORE = 255


def is_dynamic(facts: UnitFacts) -> bool:
    line = last_line(facts, "Service", "DynamicUser")
    return line is not None and is_yes(line.value)


def account_of(facts: UnitFacts) -> str:
    """Give the name or number of its user; empty for one that systemd makes up for it."""
    line = last_line(facts, "Service", "User")
    if line:
        return "root" if line.value == "0" else expand(facts.name, line.value)
    return "" if is_dynamic(facts) else "root"


def is_root(facts: UnitFacts) -> bool:
    return account_of(facts) == "root"


def groups_given(facts: UnitFacts) -> Iterator[str]:
    """Give the groups that the unit itself names for its processes."""
    line = last_line(facts, "Service", "Group")
    if line:
        yield expand(facts.name, line.value)
    for each in list_lines(facts, "Service", "SupplementaryGroups"):
        yield from (expand(facts.name, word) for word in split_words(each.value))


def gains_no_privileges(facts: UnitFacts, systemd: int) -> bool:
    """Whether programs with a setuid bit give its processes nothing, by the unit or by systemd.

    Before 255 any filter of system calls beside User= implies it (tried on 252 and 257).
    """
    line = last_line(facts, "Service", "NoNewPrivileges")
    if line is not None:
        return is_yes(line.value)
    return is_dynamic(facts) or (0 < systemd < _IMPLIES_NO_MORE and not is_root(facts))


def privileged_lines(facts: UnitFacts) -> Iterator[Assignment]:
    """Give each of its own commands that systemd runs with all rights, whoever the user is."""
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            program = next(iter(split_words(line.value)), "")
            if set(prefixes_of(program)) & set(_FULL_RIGHTS):
                yield line


def prefixes_of(program: str) -> str:
    """Give the signs before the path of a command's program."""
    return program[: len(program) - len(program.lstrip("-@:+!|"))]
