"""Which lines of a unit count in the end, the paths they name, and a problem that points at one."""

import posixpath
import re

from wgconfine.config.escape import escape
from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts

__all__ = ["all_lines", "expand_path", "is_below", "last_line", "list_lines", "problem_at"]

_SPECIFIER = re.compile("%(.)", re.DOTALL)


def all_lines(facts: UnitFacts, section: str, key: str) -> tuple[Assignment, ...]:
    """Every line with a value, for settings that no empty one resets: dependencies, `Sockets=`."""
    return tuple(
        assignment
        for assignment in facts.assignments
        if (assignment.section, assignment.key) == (section, key) and assignment.value
    )


def list_lines(facts: UnitFacts, section: str, key: str) -> tuple[Assignment, ...]:
    """The lines of a list setting that stand after the last empty one."""
    lines: list[Assignment] = []
    for assignment in facts.assignments:
        if (assignment.section, assignment.key) != (section, key):
            continue
        if assignment.value:
            lines.append(assignment)
        else:
            lines.clear()
    return tuple(lines)


def last_line(facts: UnitFacts, section: str, key: str) -> Assignment | None:
    """The line that decides a scalar setting; None where there is none or it is empty."""
    lines = list_lines(facts, section, key)
    return lines[-1] if lines else None


def problem_at(facts: UnitFacts, line: Assignment | None, what: str, hint: str = "") -> Problem:
    """A problem of the unit, pointing at the line of the file where it comes from."""
    place = f" ({escape(str(line.path))}:{line.line})" if line else ""
    return Problem(where=f"{escape(facts.name)}{place}", what=what, hint=hint)


def expand_path(facts: UnitFacts, path: str) -> str:
    """A path as systemd will see it: specifiers of the name and of /run put in, /var/run made /run.

    Specifiers that cannot lead below /run stay as they are.
    """
    stem = facts.name.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    known = {
        "%": "%",
        "n": facts.name,
        "N": stem,
        "p": prefix,
        "i": instance,
        "j": prefix.rpartition("-")[2],
        "t": "/run",
        "d": f"/run/credentials/{facts.name}",
    }
    expanded = _SPECIFIER.sub(lambda match: known.get(match[1], match[0]), path)
    normal = "/" + posixpath.normpath("/" + expanded).lstrip("/")
    if is_below(normal, "/var/run"):
        return normal.removeprefix("/var")
    return normal


def is_below(path: str, directory: str) -> bool:
    """Whether a normal path is `directory` or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
