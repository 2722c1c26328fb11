"""Steps as a person reads them while they are done: what is alike is one line. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from wgconfine.plan.steps import FileStep, Step, UnitStep
from wgconfine.render.places import UNITS

__all__ = ["outlined"]

Numbered = tuple[int, Step]


def outlined(steps: Sequence[Step]) -> list[str]:
    """Give what is said before each step: nothing where the line of an earlier one has said it.

    Of files that are written in one go those of wgconfine's own are counted, and what several
    services get is one line with all of them; so are units that systemd is asked the same for.
    """
    said = [""] * len(steps)
    for alike in _stretches(steps):
        number, first = alike[0]
        said[number] = _line([step for _, step in alike]) if alike[1:] else first.describe()
    return said


def _stretches(steps: Sequence[Step]) -> Iterator[list[Numbered]]:
    """Give steps that are alike, with their numbers, and nothing else asked of systemd between."""
    for _, group in groupby(enumerate(steps), lambda each: _asked(each[1])):
        kinds: dict[tuple[str, ...], list[Numbered]] = {}
        for number, step in group:
            kinds.setdefault(_kind(step), []).append((number, step))
        yield from kinds.values()


def _asked(step: Step) -> tuple[str, ...]:
    return (step.action.value, step.why) if isinstance(step, UnitStep) else ()


def _kind(step: Step) -> tuple[str, ...]:
    if isinstance(step, UnitStep) or _is_own(step):
        return ()
    path = step.change.path
    return (step.change.kind.value, str(path.parent.parent), path.name)


def _is_own(step: FileStep) -> bool:
    path = step.change.path
    own_unit = path.is_relative_to(UNITS) and "wgconfine" in path.relative_to(UNITS).parts[0]
    return own_unit or not path.name.startswith("zz-wgconfine")


def _line(steps: Sequence[Step]) -> str:
    files = [step for step in steps if isinstance(step, FileStep)]
    asked = [step for step in steps if isinstance(step, UnitStep)]
    if asked:
        units = tuple(unit for step in asked for unit in step.units)
        return replace(asked[0], units=units).describe()
    if _is_own(files[0]):
        kinds = Counter(step.change.kind.value for step in files)
        counts = " and ".join(f"{kind} {count}" for kind, count in kinds.items())
        return f"{counts} files of wgconfine's own: its units, and what they are told"
    change = files[0].change
    place = change.path.parent.parent / "UNIT.d" / change.path.name
    services = (step.change.path.parent.name.removesuffix(".d") for step in files)
    return f"{change.kind.value} {place} of {' '.join(services)}"
