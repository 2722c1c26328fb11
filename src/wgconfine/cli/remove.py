"""`wgconfine remove NAME`: take a tunnel away. Its services stay closed unless released too."""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.cli.apply import approve, carry_out
from wgconfine.cli.dialogue import complain
from wgconfine.cli.release import (
    confirm_release,
    real_names,
    remove_from_settings,
    running,
    without,
)
from wgconfine.cli.survey import survey
from wgconfine.config.edit import set_enable
from wgconfine.config.escape import escape
from wgconfine.config.words import name_tunnels
from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.settings import Settings, TunnelName, UnitName
from wgconfine.model.tree import File
from wgconfine.plan.unfinished import Unfinished
from wgconfine.render.places import record_path
from wgconfine.system.installed import PATTERNS, closed_services
from wgconfine.system.lock import apply_lock
from wgconfine.system.sources import PLACE, fragments_of, inside, load_all, write_settings
from wgconfine.system.tree import read_installed
from wgconfine.system.unfinished import keep_unfinished, read_unfinished

__all__ = ["run_remove"]


def run_remove(
    root: Path, name: str, *, release: bool, purge: bool, yes: bool, python: PurePosixPath | None
) -> ExitCode:
    """Stop the tunnel and take its files away. Keeps the settings, with `enable = false`, and keys.

    `release` lets its services run in the open again; without it they refuse to start until
    somebody releases them. Where the settings are gone, its record says which they are. `purge`
    deletes the settings too, and keys that lie in /etc/wgconfine.
    """
    with apply_lock(root, complain):
        tunnels = load_all(root)
        earlier = read_unfinished(root)
        settings = next((each for each in tunnels if each.name == name), None)
        listed = services_to_release(root, name, tunnels, earlier) if release else set()
        services = set(real_names(root, listed).values())
        if settings is None and not earlier:
            installed_record(root, name, tunnels)
        homes = dict.fromkeys(services, settings) if settings else {}
        confirm_release(services, homes, running(root, services), yes=yes)
        # What is wrong elsewhere is found, and a person asked, before the settings change.
        edits = [replace(without(settings, listed), enable=False)] if settings else []
        words = dict.fromkeys(services, name)
        look = partial(survey, root, python=python, released=words, earlier=earlier)
        found = look(edits=edits)
        approve(found, yes=yes)
        keep_unfinished(root, found.unfinished)
        remove_from_settings(root, tunnels, listed)
        if settings is not None:
            write_settings(root, settings.path, partial(set_enable, enable=False))
        done = carry_out(look(again=True), root, yes=True)
        for unit in sorted(services):
            print(f"released {unit}")
        if settings is not None and settings.enable and not release:
            closed = still_closed_of(root, settings)
            print(*closed_words(settings.name, closed, kept=not purge), sep="\n")
        if settings is not None and purge:
            for path in delete_settings(root, settings):
                print(f"deleted {path}")
    return done


def still_closed_of(root: Path, settings: Settings) -> list[UnitName]:
    """Give the services that do not start any more; one that was never confined is none."""
    named = set(real_names(root, settings.services).values())
    return sorted(named & set(closed_services(read_installed(root, PATTERNS))))


def closed_words(name: TunnelName, closed: Sequence[UnitName], *, kept: bool) -> Iterator[str]:
    """Give what is left of a tunnel whose services were not released, and what lets them go."""
    yield f"removed {name}" + ("; its settings stay, with enable = false" if kept else "")
    if closed:
        units = shlex.join(closed)
        yield f"Its services stay closed. They run in the open after: wgconfine release {units}"


def services_to_release(
    root: Path, name: str, tunnels: Sequence[Settings], earlier: Unfinished
) -> set[UnitName]:
    """Give the services that `remove NAME --release` lets go, also those that it began with."""
    others = {unit for each in tunnels if each.name != name for unit in each.services}
    elsewhere = set(real_names(root, others).values())
    begun = {unit for unit, word in earlier.released.items() if word == name} - elsewhere
    settings = next((each for each in tunnels if each.name == name), None)
    if settings is not None:
        return begun | {*settings.services}
    if begun and record_path(TunnelName(name)) not in read_installed(root, PATTERNS):
        return begun
    return begun | still_closed(root, installed_record(root, name, tunnels), tunnels)


def installed_record(root: Path, name: str, tunnels: Iterable[Settings]) -> File:
    """Give NAME.json, all that is left of a tunnel without settings. Raises OperationFailed."""
    record = read_installed(root, PATTERNS).get(record_path(TunnelName(name)))
    if not isinstance(record, File):
        known = [each.name for each in tunnels]
        hint = f"{name_tunnels(known)} " if known else ""
        hint += "A service of a tunnel that is gone is let out by: wgconfine release UNIT"
        raise OperationFailed(
            escape(name), "there is no tunnel of that name in /etc/wgconfine", hint
        )
    return record


def still_closed(root: Path, record: File, tunnels: Iterable[Settings]) -> set[UnitName]:
    """Give the services that a record lists and nobody has released since.

    One that another tunnel has by now is that tunnel's. Raises OperationFailed.
    """
    try:
        listed = set(json.loads(record.text)["services"])
    except (ValueError, KeyError, TypeError) as error:
        hint = "Name its services instead: wgconfine release UNIT"
        raise OperationFailed(str(record.path), "is damaged", hint) from error
    others = {unit for settings in tunnels for unit in settings.services}
    elsewhere = set(real_names(root, others).values())
    return closed_services(read_installed(root, PATTERNS)) & listed - elsewhere


def delete_settings(root: Path, settings: Settings) -> Iterator[PurePosixPath]:
    """Delete the settings, and the keys that lie beside them: other places are their owner's.

    Gives each path that was there. The settings go last: as long as they are there, so is the
    tunnel for who says the same again.
    """
    paths = list(fragments_of(root, settings.path))
    paths += settings.secret_files
    for path in paths:
        if path.is_relative_to(PLACE):
            with suppress(FileNotFoundError):
                inside(root, path).unlink()
                yield path
    fragments = settings.path.with_suffix(".d")
    with suppress(OSError):  # it is not there, or not empty
        inside(root, fragments).rmdir()
        yield fragments
    inside(root, settings.path).unlink()
    yield settings.path
