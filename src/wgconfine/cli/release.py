"""`wgconfine release UNIT…`: let services run in the open again. Nothing else ever does."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.cli.apply import carry_out, verified
from wgconfine.cli.dialogue import complain, confirm
from wgconfine.cli.named import fitting
from wgconfine.cli.survey import survey
from wgconfine.config.edit import remove_refinement, remove_service
from wgconfine.config.words import suggest_services
from wgconfine.model.errors import ExitCode, OperationFailed, Refused
from wgconfine.model.settings import Settings, UnitName
from wgconfine.model.state import ALIVE
from wgconfine.plan.unfinished import RELEASE
from wgconfine.system.installed import LIVE, PATTERNS, closed_services, unit_facts
from wgconfine.system.lock import apply_lock
from wgconfine.system.sources import fragments_of, load_all, write_settings
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.system.tree import read_installed
from wgconfine.system.unfinished import keep_unfinished, read_unfinished
from wgconfine.system.unitsearch import find_facts
from wgconfine.system.unitstates import unit_states

__all__ = [
    "confirm_release",
    "real_names",
    "release_words",
    "remove_from_settings",
    "run_release",
    "running",
    "without",
]


def run_release(
    root: Path, names: Sequence[str], *, yes: bool, python: PurePosixPath | None
) -> ExitCode:
    """Stop each service, take it out of `services` and of confinement, start it again if it ran.

    The tunnels that they leave are verified.
    A name may be without `.service`, or a pattern of what is confined. The same again finishes what
    was cut off. Raises Refused without a terminal and `--yes` and for what is no service's name,
    and OperationFailed for what is no service at all.
    """
    with apply_lock(root, complain):
        tunnels = load_all(root)
        earlier = read_unfinished(root)
        services = [unit for settings in tunnels for unit in settings.services]
        closed = closed_services(read_installed(root, PATTERNS)) | earlier.services()
        asked = fitting(names, {*services, *closed}, "confined service")
        real = real_names(root, {*asked, *services})
        units = {real[name] for name in asked}
        known = closed | {real[unit] for unit in services}
        strangers = refuse_unknown(root, units - known, known)
        for unit in strangers:
            print(f"Nothing to do: {unit} is not confined.")
        units -= {*strangers}
        if not units:
            return ExitCode.OK
        homes = {real[unit]: each for each in tunnels for unit in each.services}
        confirm_release(units, homes, running(root, units), yes=yes)
        # What is wrong elsewhere is found before the settings change.
        listed = {unit for unit in services if real[unit] in units}
        words = dict.fromkeys(units, RELEASE)
        look = partial(survey, root, python=python, released=words, earlier=earlier)
        keep_unfinished(root, look(edits=[without(each, listed) for each in tunnels]).unfinished)
        remove_from_settings(root, tunnels, listed)
        found = look(again=True)
        code = carry_out(found, root, yes=True)
    for unit in sorted(units):
        print(f"released {unit}")
    return verified(found, code)


def refuse_unknown(
    root: Path, units: Collection[UnitName], known: Collection[UnitName]
) -> list[UnitName]:
    """Give services that run in the open anyway. Raises OperationFailed for a name of none."""
    facts = find_facts(root, sorted(units))
    unknown = sorted(unit for unit in units if facts[unit].load_state == "not-found")
    if unknown:
        what = "there is no such service, and wgconfine has not confined it"
        hint = suggest_services(unknown[0], known) or "To see what is confined: wgconfine status"
        raise OperationFailed(", ".join(unknown), what, hint)
    return sorted(units)


def real_names(root: Path, names: Iterable[UnitName]) -> dict[UnitName, UnitName]:
    """Give the unit that each name stands for; files bear its name, settings maybe an alias."""
    return {name: facts.name for name, facts in unit_facts(root, sorted(names)).items()}


def without(settings: Settings, units: Collection[UnitName]) -> Settings:
    left = tuple(unit for unit in settings.services if unit not in units)
    refined = tuple(each for each in settings.refinements if each.unit not in units)
    return replace(settings, services=left, refinements=refined)


def running(root: Path, units: Collection[UnitName]) -> set[UnitName]:
    """Give those that run now: none of a tree of files."""
    if root != LIVE:
        return set()
    states = unit_states(RealSystemctl(), sorted(units))
    return {unit for unit in units if states[unit].active in ALIVE}


def release_words(
    units: Iterable[UnitName], homes: Mapping[UnitName, Settings], running: Collection[UnitName]
) -> Iterator[str]:
    """Give what a release will do, service by service. `homes` are the tunnels that they are in."""
    left = set(units)
    for unit in sorted(left):
        place = f"confined to {homes[unit].name}" if unit in homes else "closed, in no tunnel"
        if unit in running:
            yield f"{unit}: {place}, and runs. It is stopped, and starts again in the open."
        else:
            yield f"{unit}: {place}, and does not run. After this it may start in the open."
    yield "In the open it uses the address and the resolver of this machine, outside of any tunnel."
    for settings in {homes[unit].name: homes[unit] for unit in left & homes.keys()}.values():
        if settings.publish:
            yield f"The ports that {settings.name} publishes go on leading into that tunnel."


def confirm_release(
    units: Iterable[UnitName],
    homes: Mapping[UnitName, Settings],
    running: Collection[UnitName],
    *,
    yes: bool,
) -> None:
    """Have a person say that these may run in the open. Raises Refused."""
    units = sorted(units)
    if yes or not units:
        return
    if not sys.stdin.isatty():
        raise Refused(f"To release {', '.join(units)} without a terminal, say so: add --yes.")
    complain(*release_words(units, homes, running))
    confirm("Release?")


def remove_from_settings(
    root: Path, tunnels: Iterable[Settings], units: Iterable[UnitName]
) -> None:
    """Edit `services` in whichever file each unit stands; the next apply would close it again.

    Its own table goes before, in whichever file that is: without the service it would be wrong.
    """
    for settings in tunnels:
        for unit in units:
            if unit in settings.services:
                paths = (settings.path, *fragments_of(root, PurePosixPath(settings.path)))
                for edit in (remove_refinement, remove_service):
                    for path in paths:
                        write_settings(root, path, partial(edit, unit=unit))
