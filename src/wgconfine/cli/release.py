"""`wgconfine release UNIT…`: let services run in the open again. Nothing else ever does."""

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.cli.apply import carry_out
from wgconfine.cli.dialogue import complain, confirm
from wgconfine.cli.survey import survey
from wgconfine.config.edit import remove_refinement, remove_service
from wgconfine.config.unitnames import parse_service
from wgconfine.config.values import WrongValueError
from wgconfine.model.errors import ExitCode, OperationFailed, Refused
from wgconfine.model.settings import Settings, UnitName
from wgconfine.plan.unfinished import RELEASE
from wgconfine.system.installed import PATTERNS, closed_services, unit_facts
from wgconfine.system.lock import apply_lock
from wgconfine.system.sources import fragments_of, load_all, write_settings
from wgconfine.system.tree import read_installed
from wgconfine.system.unfinished import keep_unfinished, read_unfinished
from wgconfine.system.unitsearch import find_facts

__all__ = ["confirm_release", "real_names", "remove_from_settings", "run_release", "without"]


def run_release(
    root: Path, names: Sequence[str], *, yes: bool, python: PurePosixPath | None
) -> ExitCode:
    """Stop each service, take it out of `services` and of confinement, start it again if it ran.

    The same again finishes what was cut off. Raises Refused without a terminal and `--yes` and for
    what is no service's name, and OperationFailed for what is no service at all.
    """
    asked = parse_units(names)
    with apply_lock(root, complain):
        tunnels = load_all(root)
        earlier = read_unfinished(root)
        services = [unit for settings in tunnels for unit in settings.services]
        real = real_names(root, {*asked, *services})
        units = {real[name] for name in asked}
        known = closed_services(read_installed(root, PATTERNS)) | earlier.services()
        known |= {real[unit] for unit in services}
        strangers = refuse_unknown(root, units - known)
        for unit in strangers:
            print(f"Nothing to do: {unit} is not confined.")
        units -= {*strangers}
        if not units:
            return ExitCode.OK
        confirm_release(units, yes=yes)
        # What is wrong elsewhere is found before the settings change.
        listed = {unit for unit in services if real[unit] in units}
        words = dict.fromkeys(units, RELEASE)
        look = partial(survey, root, python=python, released=words, earlier=earlier)
        keep_unfinished(root, look(edits=[without(each, listed) for each in tunnels]).unfinished)
        remove_from_settings(root, tunnels, listed)
        return carry_out(look(again=True), root, yes=True)


def refuse_unknown(root: Path, units: Collection[UnitName]) -> list[UnitName]:
    """Give services that run in the open anyway. Raises OperationFailed for a name of none."""
    facts = find_facts(root, sorted(units))
    unknown = sorted(unit for unit in units if facts[unit].load_state == "not-found")
    if unknown:
        what = "there is no such service, and wgconfine has not confined it"
        raise OperationFailed(", ".join(unknown), what)
    return sorted(units)


def parse_units(names: Iterable[str]) -> set[UnitName]:
    try:
        return {parse_service(name) for name in names}
    except WrongValueError as error:
        raise Refused(f"{error.what}." + (f" {error.hint}." if error.hint else "")) from None


def real_names(root: Path, names: Iterable[UnitName]) -> dict[UnitName, UnitName]:
    """Give the unit that each name stands for; files bear its name, settings maybe an alias."""
    return {name: facts.name for name, facts in unit_facts(root, sorted(names)).items()}


def without(settings: Settings, units: Collection[UnitName]) -> Settings:
    left = tuple(unit for unit in settings.services if unit not in units)
    refined = tuple(each for each in settings.refinements if each.unit not in units)
    return replace(settings, services=left, refinements=refined)


def confirm_release(units: Iterable[UnitName], *, yes: bool) -> None:
    """Have a person say that these may run in the open. Raises Refused."""
    words = ", ".join(sorted(units))
    if yes or not words:
        return
    if not sys.stdin.isatty():
        raise Refused(f"To release {words} without a terminal, say so: add --yes.")
    complain(f"{words}: will reach the network in the open, outside of any tunnel.")
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
