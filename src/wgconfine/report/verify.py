"""`verify` as words for a terminal or a pipe, and as JSON."""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from wgconfine.config.escape import escape
from wgconfine.model.verify import Area, Check, Verdict, Verification, exit_code, values_of
from wgconfine.report.fold import INDENT, folded
from wgconfine.report.paint import painted
from wgconfine.report.status import NO_TUNNEL

__all__ = ["as_json", "as_text"]

SCHEMA = 1
SUMS = (
    (Verdict.LEAK, "LEAK"),
    (Verdict.NOT_CONFINED, "NOT CONFINED"),
    (Verdict.UNKNOWN, "not all could be checked"),
    (Verdict.BROKEN, "does not work"),
)
"""What a tunnel is called for the worst that was found of it: the order of the exit codes."""
WORDS = {Verdict.NOT_CONFINED: "NOT CONFINED"}
"""A verdict that is a failure of confinement is written so that nobody reads over it."""
ASKED = ("allow-bus:", "allow-path:", "system-bus")
BY_DESIGN = (
    *("containers", "full-rights:", "home", "io-uring", "root", "setuid", "shared-network"),
    *("spools", "unix-sockets"),
)
"""What is open by a line of its owner, and what no setting closes without breaking the service:
beginnings of names. It is the same every day, so that the names are all that is said of it.
"""
CLOSED = "closed"


def as_json(tunnels: Sequence[Verification], closed: Verification | None, *, seconds: float) -> str:
    """Give one JSON object: docs/json.md names its keys. `seconds` is how long it all took."""
    everything = [*tunnels, *([closed] if closed else [])]
    values = {
        "schema": SCHEMA,
        "exit_code": int(exit_code(everything)),
        "seconds": seconds,
        "tunnels": [
            {
                "name": each.tunnel,
                "sum": sum_of(each.checks),
                "seconds": each.seconds,
                "checks": [values_of(check) for check in each.checks],
            }
            for each in tunnels
        ],
        "closed": [values_of(check) for check in closed.checks] if closed else [],
    }
    return json.dumps(values, indent=2)


def as_text(
    tunnels: Sequence[Verification],
    closed: Verification | None,
    *,
    verbose: bool = False,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Give for each tunnel the sum, then all that is not well, then what is open and how much is.

    What several checks say in the same words is said once. `width` is in columns, None for lines as
    long as they come; a command to type is never broken. `verbose` lists every check.
    """
    lines = [line for each in tunnels for line in tunnel_lines(each, verbose=verbose, width=width)]
    if closed:
        bad = [each for each in closed.checks if each.verdict is not Verdict.OK]
        lines.append(f"{CLOSED}: {'NOT CONFINED' if bad else 'services that do not start'}")
        for check in closed.checks if verbose else at_once(closed.checks):
            lines += check_lines(check, width)
    if colour:
        lines = list(map(painted, lines))
    return "\n".join(lines) if lines else NO_TUNNEL


def at_once(closed: Iterable[Check]) -> list[Check]:
    """Make one of services that are closed as they should be, with one command for all of them."""
    well = [each for each in closed if each.verdict is Verdict.OK]
    others = [each for each in closed if each.verdict is not Verdict.OK]
    if well[1:]:
        units = [each.unit for each in well]
        mend = f"wgconfine release {shlex.join(units)}"
        well = [replace(well[0], unit=", ".join(units), mend=mend)]
    return [*others, *well]


def tunnel_lines(found: Verification, *, verbose: bool, width: int | None) -> list[str]:
    lines = folded(f"{found.tunnel}: {sentence(found.checks)}", width, "", INDENT)
    checks = sorted(found.checks, key=severity)
    if not verbose:
        checks = together([each for each in checks if not is_short(each)])
    for check in checks:
        lines += check_lines(check, width)
    if not verbose:
        lines += open_lines("open as asked for", ASKED, found.checks, width)
        lines += open_lines("open by design (-v says more)", BY_DESIGN, found.checks, width)
    if counts := list(ok_counts(found.checks)):
        lines += folded(f"ok: {', '.join(counts)}", width, INDENT, INDENT * 2)
    return lines


def severity(check: Check) -> int:
    """Give what comes first: the worst, and then what is open."""
    order = [verdict for verdict, _ in SUMS] + [Verdict.OPEN, Verdict.UNAVAILABLE, Verdict.OK]
    return order.index(check.verdict)


def is_short(check: Check) -> bool:
    """Whether it is told by its name alone, or counted."""
    return check.verdict is Verdict.OK or (
        check.verdict is Verdict.OPEN and check.name.startswith((*ASKED, *BY_DESIGN))
    )


def together(checks: Iterable[Check]) -> list[Check]:
    """Make one of checks that say the same of one service, and of those the same of several."""
    names: dict[Check, list[str]] = {}
    for check in checks:
        alike = replace(check, area=Area.STRUCTURE, name="")
        names.setdefault(alike, []).append(check.name)
    units: dict[Check, list[str]] = {}
    for check, found in names.items():
        alike = replace(check, name=", ".join(dict.fromkeys(found)), unit="")
        units.setdefault(alike, []).append(check.unit)
    return [replace(check, unit=", ".join(found)) for check, found in units.items()]


def open_lines(
    title: str, names: tuple[str, ...], checks: Iterable[Check], width: int | None
) -> list[str]:
    """Give the names of what is open of each service, in one line for those of which it is alike.

    The name alone says what is not: `-v` and docs/verify.md have the sentence.
    """
    of_units: dict[str, set[str]] = {}
    for check in checks:
        if check.verdict is Verdict.OPEN and check.name.startswith(names):
            of_units.setdefault(check.unit, set()).add(check.name)
    alike: dict[tuple[str, ...], list[str]] = {}
    for unit, found in of_units.items():
        alike.setdefault(tuple(sorted(found)), []).append(unit)
    lines = [f"{', '.join(units)}: {', '.join(found)}" for found, units in alike.items()]
    told = [line for each in lines for line in folded(each, width, INDENT * 2, INDENT * 3)]
    return [*folded(f"{title}:", width, INDENT, INDENT * 3), *told] if told else []


def sum_of(checks: Iterable[Check]) -> str:
    """Give the tunnel's state in a word: `confined`, `disabled`, or the worst verdict's."""
    verdicts = {each.verdict for each in checks}
    worst = next((word for verdict, word in SUMS if verdict in verdicts), None)
    if worst is not None:
        return worst
    return "confined" if Verdict.OK in verdicts else "disabled"


def sentence(checks: Sequence[Check]) -> str:
    word, count = sum_of(checks), len(checks)
    if word == "disabled":
        return "disabled."
    tries = (each.verdict for each in checks if each.area is Area.ESCAPES and each.unit)
    tried = Verdict.OK in tries
    if word == "confined":
        return f"confined. {count} checks" + (", nothing left by another way." if tried else ".")
    bad = sum(each.verdict in dict(SUMS) for each in checks)
    return f"{word}. {bad} of {count} checks:"


def ok_counts(checks: Iterable[Check]) -> Iterator[str]:
    areas = [each.area for each in checks if each.verdict is Verdict.OK]
    return (f"{area.value} {areas.count(area)}" for area in Area if area in areas)


def check_lines(check: Check, width: int | None) -> list[str]:
    """Give what it is, the verdict and the evidence, and below it what mends it."""
    word = WORDS.get(check.verdict, check.verdict.value)
    about = f" of {check.unit}" if check.unit else ""
    line = f"{word}: {check.name}{about}: {check.evidence}"
    lines = folded(line, width, INDENT, INDENT * 3)
    if check.mend:
        lines.append(f"{INDENT * 3}> {escape(check.mend)}")
    return lines
