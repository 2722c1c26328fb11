"""What `verify` found: one Check for each thing that was looked at, and what they come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wgconfine.model.errors import ExitCode
from wgconfine.model.verdict import Verdict

__all__ = ["Area", "Check", "Verdict", "Verification", "exit_code", "values_of", "worst"]


class Area(StrEnum):
    """The five questions of `verify`, in the order in which they are shown."""

    STRUCTURE = "structure"
    UNITS = "units"
    PROCESSES = "processes"
    ESCAPES = "escapes"
    WORKS = "works"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    `name` is a stable word for JSON and tests (`routes`, `dns-varlink`); `unit` the service that it
    is about, empty for the tunnel itself; `evidence` what was seen, `mend` the one command that
    mends it, empty where there is nothing to mend. Foreign text in them is escaped where it is
    shown.
    """

    area: Area
    name: str
    verdict: Verdict
    evidence: str
    unit: str = ""
    mend: str = ""


def values_of(check: Check) -> dict[str, str]:
    """Give a check as JSON has it, for programs and for `status`."""
    return {
        "area": check.area.value,
        "name": check.name,
        "unit": check.unit,
        "verdict": check.verdict.value,
        "evidence": check.evidence,
        "mend": check.mend,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All checks of one tunnel; `seconds` is how long they took."""

    tunnel: str
    checks: tuple[Check, ...]
    seconds: float = 0.0


_CODES = (
    (Verdict.LEAK, ExitCode.LEAK),
    (Verdict.NOT_CONFINED, ExitCode.NOT_CONFINED),
    (Verdict.UNKNOWN, ExitCode.UNCHECKED),
    (Verdict.BROKEN, ExitCode.FAILED),
)


def exit_code(verifications: Iterable[Verification]) -> ExitCode:
    """Give what the process returns: the worst wins, a leak before what is not confined."""
    return dict(_CODES).get(worst(verifications), ExitCode.OK)


def worst(verifications: Iterable[Verification]) -> Verdict:
    """Give the worst verdict that is a failure; OK where there is none."""
    found = {check.verdict for each in verifications for check in each.checks}
    return next((verdict for verdict, _ in _CODES if verdict in found), Verdict.OK)
