"""Errors that a person is meant to read, and the exit codes they become."""

from __future__ import annotations

from enum import IntEnum

TYPE_CHECKING = False  # the idiom that saves importing typing; a Problem is a dataclass
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgconfine.model.problem import Problem

__all__ = [
    "CannotExecute",
    "ExitCode",
    "InTheWay",
    "NeedsRoot",
    "NotChecked",
    "OperationFailed",
    "ProblemsFound",
    "Refused",
    "WgconfineError",
]


class ExitCode(IntEnum):
    """What the process returns. 78 is EX_CONFIG and 70 EX_SOFTWARE of sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_CONFINED = 3
    NEEDS_ROOT = 4
    CHANGES = 5
    UNCHECKED = 6
    LEAK = 7
    INTERNAL = 70
    SETTINGS = 78


class WgconfineError(Exception):
    """Base of every error that ends in one clear message and never in a traceback."""

    exit_code: int = ExitCode.FAILED


class ProblemsFound(WgconfineError):
    """The settings, or the units they name, are wrong: every problem at once."""

    exit_code = ExitCode.SETTINGS

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=_in_order))
        super().__init__("\n".join(map(str, self.problems)))


def _in_order(problem: Problem) -> tuple[str, int, Problem]:
    """By file, and lines by their number."""
    place, _, line = problem.where.rstrip(")").rpartition(":")
    return (place, int(line), problem) if line.isdecimal() else (problem.where, 0, problem)


class InTheWay(ProblemsFound):
    """Something of somebody else's is where ours shall be: everything at once, nothing changed."""

    exit_code = ExitCode.FAILED


class OperationFailed(WgconfineError):
    """A step on the system failed; `step` is its description, `cause` the system's own words."""

    def __init__(self, step: str, cause: str, hint: str = "") -> None:
        self.step, self.cause, self.hint = step, cause, hint
        super().__init__(f"{step}: {cause}" + (f"\n{hint}" if hint else ""))


class NeedsRoot(WgconfineError):
    """The command changes the machine, or reads what only root may read."""

    exit_code = ExitCode.NEEDS_ROOT


class CannotExecute(WgconfineError):
    """A program that there is none of, or that a user may not execute: a shell's own exit codes."""

    def __init__(self, text: str, *, found: bool) -> None:
        super().__init__(text)
        self.exit_code = 126 if found else 127


class NotChecked(WgconfineError):
    """What was to be looked at could not be, and so nothing is known of it."""

    exit_code = ExitCode.UNCHECKED


class Refused(WgconfineError):
    """What was asked is possible but must not be done without a further word."""

    exit_code = ExitCode.USAGE
