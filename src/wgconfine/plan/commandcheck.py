"""Whether anything that others have set stands in the way of a command of `exec`. Pure.

Drop-ins win over what a transient unit itself says, whatever their names: `User=root` in one of
them would run as root what was asked for as somebody else.
"""

from collections.abc import Iterator

from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import problem_at
from wgconfine.plan.unitcheck import check_unit
from wgconfine.render.command import OWN_VARIABLES, command_settings

__all__ = ["check_command", "why_refused", "why_weaker"]

_OWN = frozenset(
    {
        *("DynamicUser", "Group", "SupplementaryGroups", "User"),
        *("PrivateUsers", "UserNamespacePath"),
        *("EnvironmentFile", "SetLoginEnvironment", "Type", "WorkingDirectory"),
    }
)
_KINDS = ("Exec", "Root", "Standard", "TTY")
"""Beginnings of keys: commands, another root directory, descriptors, terminals."""


def check_command(facts: UnitFacts) -> list[Problem]:
    """Every reason why no command of a tunnel's may run; empty where it may."""
    return sorted({*why_weaker(facts), *why_refused(facts)})


def why_weaker(facts: UnitFacts) -> list[Problem]:
    """What would undo a line of what confines each command."""
    # Another root directory undoes none: it is among what a command has itself.
    roots = (line for line in facts.assignments if line.key.startswith("Root"))
    places = {problem_at(facts, line, "").where for line in roots}
    return [each for each in check_unit(facts, command_settings()) if each.where not in places]


def why_refused(facts: UnitFacts) -> Iterator[Problem]:
    """What would have each command be another than was asked for, confined though it is."""
    main = facts.texts[0].path
    for line in facts.assignments:
        if line.path != main and _is_commands_own(line):
            yield problem_at(
                facts,
                line,
                f"{line.key}= in this drop-in would win over what each command of exec has itself",
                "Remove it there, or give it to units by their own names",
            )


def _is_commands_own(line: Assignment) -> bool:
    if line.section != "Service":
        return False
    if line.key == "Environment":  # for all services, a proxy say, it is for commands, too
        names = {word.partition("=")[0] for word in split_words(line.value)}
        return not names or not names.isdisjoint(OWN_VARIABLES)
    return line.key in _OWN or line.key.startswith(_KINDS)
