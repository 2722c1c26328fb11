"""Services that the settings list by another name become the units that they stand for. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wgconfine.config.escape import escape
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Settings, UnitName
from wgconfine.model.units import UnitFacts

__all__ = ["Resolved", "enabled_services", "resolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Settings that list real names alone, and the facts by real name.

    A drop-in for an alias would not be read where the unit is started by its own name. `problems`
    are units that are listed twice, by different names.
    """

    tunnels: tuple[Settings, ...]
    facts: Mapping[UnitName, UnitFacts]
    problems: tuple[Problem, ...]


def enabled_services(tunnels: Iterable[Settings]) -> list[UnitName]:
    """Give what shall be confined, as the settings name it."""
    return [unit for settings in tunnels if settings.enable for unit in settings.services]


def resolve(tunnels: Iterable[Settings], facts: Mapping[UnitName, UnitFacts]) -> Resolved:
    """Put in the real name for each alias; `facts` are by the name that was asked for.

    A name that nothing is known of stays as it is.
    """
    listed: dict[UnitName, tuple[Settings, UnitName]] = {}
    resolved: list[Settings] = []
    problems: list[Problem] = []
    for settings in tunnels:
        services: list[UnitName] = []
        for name in settings.services:
            real = facts[name].name if name in facts else name
            first = listed.setdefault(real, (settings, name))
            if first[1] == name:  # the same name twice is a problem of the settings themselves
                services.append(real)
            else:
                problems.append(_listed_twice(settings, name, real, first))
        refinements = tuple(
            replace(each, unit=facts[each.unit].name) if each.unit in facts else each
            for each in settings.refinements
        )
        resolved.append(replace(settings, services=tuple(services), refinements=refinements))
    return Resolved(
        tunnels=tuple(resolved),
        facts={each.name: each for each in facts.values()},
        problems=tuple(problems),
    )


def _listed_twice(
    settings: Settings, name: UnitName, real: UnitName, first: tuple[Settings, UnitName]
) -> Problem:
    owner, known_as = first
    elsewhere = "" if owner is settings else f", and {known_as} is in {escape(str(owner.path))}"
    return Problem(
        where=f"{escape(str(settings.path))}: services",
        what=f"{known_as} and {name} are names of the same unit{elsewhere}",
        hint=f"List it once, as {real}",
    )
