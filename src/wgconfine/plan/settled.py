"""Which lines of a unit count in the end, the paths they name, and a problem that points at one."""

import posixpath
import re

from wgconfine.config.escape import escape
from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts

__all__ = [
    "all_lines",
    "expand",
    "expand_path",
    "is_below",
    "is_yes",
    "last_line",
    "list_lines",
    "problem_at",
]

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


def is_yes(value: str) -> bool:
    """Whether systemd takes a value for true: parse_boolean()."""
    return value.lower() in {"1", "yes", "y", "true", "t", "on"}


def expand(name: str, text: str) -> str:
    """A text of unit `name` with the specifiers of its name and of /run put in, no others."""
    stem = name.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    known = {
        "%": "%",
        "n": name,
        "N": stem,
        "p": prefix,
        "i": instance,
        "j": prefix.rpartition("-")[2],
        "t": "/run",
        "d": f"/run/credentials/{name}",
    }
    return _SPECIFIER.sub(lambda match: known.get(match[1], match[0]), text)


def expand_path(facts: UnitFacts, path: str) -> str:
    """A path as systemd will see it: specifiers of the name and of /run put in, /var/run made /run.

    Specifiers that cannot lead below /run stay as they are.
    """
    normal = "/" + posixpath.normpath("/" + expand(facts.name, path)).lstrip("/")
    if is_below(normal, "/var/run"):
        return normal.removeprefix("/var")
    return normal


def is_below(path: str, directory: str) -> bool:
    """Whether a normal path is `directory` or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
