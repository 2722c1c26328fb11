"""Whether anything that others have set stands in the way of a command of `exec`. Pure.

Drop-ins win over what a transient unit itself says, whatever their names: `User=root` in one of
them would run as root what was asked for as somebody else.
"""

from collections.abc import Iterator

from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.settled import problem_at
from wgconfine.plan.unitcheck import check_unit
from wgconfine.render.command import command_settings

__all__ = ["check_command"]

_OWN = frozenset(
    {
        *("DynamicUser", "Group", "SupplementaryGroups", "User"),
        *("PrivateUsers", "UserNamespacePath"),
        *("Environment", "EnvironmentFile", "PassEnvironment", "SetLoginEnvironment"),
        *("Nice", "Type", "UMask", "WorkingDirectory"),
    }
)
_KINDS = ("Exec", "Root", "Standard", "TTY")
"""Beginnings of keys: commands, another root directory, descriptors, terminals."""


def check_command(facts: UnitFacts) -> list[Problem]:
    """Every reason why no command of a tunnel's may run; empty where it may."""
    return sorted({*check_unit(facts, command_settings()), *_beats_ours(facts)})


def _beats_ours(facts: UnitFacts) -> Iterator[Problem]:
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
    return line.section == "Service" and (line.key in _OWN or line.key.startswith(_KINDS))
