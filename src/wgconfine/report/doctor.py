"""`doctor` as words for a terminal or a pipe, and as JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence

from wgconfine.config.escape import escape
from wgconfine.model.doctor import Finding, Grade, Subject, exit_code
from wgconfine.report.fold import INDENT, folded
from wgconfine.report.paint import painted

__all__ = ["as_json", "as_text"]

SCHEMA = 1
WORDS = {Grade.BROKEN: "WILL NOT WORK"}
"""What nobody should read over."""


def as_json(findings: Iterable[Finding]) -> str:
    """Give one JSON object: docs/json.md names its keys."""
    findings = sorted(findings, key=order)
    values = {
        "schema": SCHEMA,
        "exit_code": int(exit_code(findings)),
        "findings": [
            {
                "subject": each.subject.value,
                "name": each.name,
                "grade": each.grade.value,
                "words": each.words,
                "mend": each.mend,
                "lines": list(each.lines),
                "fix": each.fix,
            }
            for each in findings
        ],
    }
    return json.dumps(values, indent=2)


def as_text(findings: Iterable[Finding], *, width: int | None = None, colour: bool = False) -> str:
    """Give the sum, then each finding, the worst first, with the command that mends it below.

    `width` is in columns, None for lines as long as they come; a command is never broken.
    """
    findings = sorted(findings, key=order)
    lines = folded(sentence(findings), width, "", INDENT)
    for each in findings:
        lines += finding_lines(each, width)
    return "\n".join(map(painted, lines) if colour else lines)


def order(finding: Finding) -> tuple[int, int]:
    return [*Grade].index(finding.grade), [*Subject].index(finding.subject)


def sentence(findings: Sequence[Finding]) -> str:
    counts = {grade: sum(each.grade is grade for each in findings) for grade in Grade}
    words = [
        f"{counts[Grade.BROKEN]} will not work",
        f"{counts[Grade.UNKNOWN]} could not be looked at",
        f"{counts[Grade.NOTE]} worth knowing",
        f"{counts[Grade.OK]} fine",
    ]
    said = ", ".join(each for each in words if not each.startswith("0 "))
    mendable = sum(each.fix for each in findings)
    more = f"; wgconfine doctor --fix mends {mendable} of them" if mendable else ""
    return f"{len(findings)} things were looked at: {said}{more}."


def finding_lines(finding: Finding, width: int | None) -> Iterator[str]:
    word = WORDS.get(finding.grade, finding.grade.value)
    line = f"{word}: {finding.subject.value}: {finding.words}"
    yield from folded(line, width, INDENT, INDENT * 3)
    if finding.mend:
        yield f"{INDENT * 3}> {escape(finding.mend)}"
    yield from (f"{INDENT * 3}| {escape(each)}" for each in finding.lines)
