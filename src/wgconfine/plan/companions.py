"""Units that a confined one pulls in or calls, and that are not confined themselves. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import all_lines, expand

__all__ = ["Companion", "companions"]

_KEYS = {
    "OnFailure": "starts when it fails",
    "OnSuccess": "starts when it has succeeded",
    "Upholds": "is kept running with it",
    "Wants": "starts with it",
    "Requires": "starts with it",
    "BindsTo": "starts with it",
    "PropagatesReloadTo": "reloads with it",
}
"""Of these only services run something; a timer or a path that is named starts one in its turn."""

_OURS = "wgconfine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A service that runs in the open because of a confined one; `when` says how."""

    unit: str
    line: Assignment
    when: str


def companions(facts: UnitFacts, confined: Collection[str]) -> Iterator[Companion]:
    """Give each service named by the unit that no tunnel confines, once.

    Those that a link in UNIT.wants pulls in are not seen here.
    """
    seen = set()
    for key, when in _KEYS.items():
        for line in all_lines(facts, "Unit", key):
            for word in split_words(line.value):
                unit = expand(facts.name, word)
                if _is_foreign(unit, confined) and unit not in seen:
                    seen.add(unit)
                    yield Companion(unit=unit, line=line, when=when)


def _is_foreign(unit: str, confined: Collection[str]) -> bool:
    return unit.endswith(".service") and unit not in confined and not unit.startswith(_OURS)
