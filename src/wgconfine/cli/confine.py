"""`wgconfine confine NAME UNIT…`: put services into a tunnel, also out of another one."""

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.cli.apply import approve, carry_out, verified
from wgconfine.cli.dialogue import complain
from wgconfine.cli.draft import read_publish
from wgconfine.cli.named import fitting, refusal, there
from wgconfine.cli.release import remove_from_settings, without
from wgconfine.cli.survey import survey
from wgconfine.config.edit import add_publish, add_refinement, add_service, take_refinement
from wgconfine.config.escape import quote
from wgconfine.config.ports import read_publish_text
from wgconfine.config.values import WrongValueError
from wgconfine.config.words import name_tunnels
from wgconfine.model.errors import ExitCode, Refused
from wgconfine.model.settings import Settings, UnitName
from wgconfine.system.installed import unit_facts
from wgconfine.system.lock import apply_lock
from wgconfine.system.offers import known_services
from wgconfine.system.sources import fragments_of, load_all, read_text, write_settings
from wgconfine.system.unfinished import keep_unfinished, read_unfinished

__all__ = ["Move", "confined_by", "run_confine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What one command changes in settings: of `target` and of the tunnels that services leave.

    `leaving` has the names by which each of these lists them, and what it says of them goes along.
    """

    target: Settings
    services: tuple[UnitName, ...]
    publish: tuple[str, ...]
    leaving: tuple[tuple[Settings, UnitName, UnitName], ...] = ()

    def edits(self) -> list[Settings]:
        """Give the tunnels as they are going to be."""
        sources: dict[str, Settings] = {}
        refinements = list(self.target.refinements)
        for settings, listed, real in self.leaving:
            source = sources.get(settings.name, settings)
            refinements += [
                replace(each, unit=real) for each in source.refinements if each.unit == listed
            ]
            sources[settings.name] = without(source, {listed})
        ports = tuple(read_publish_text(each) for each in self.publish)
        target = replace(
            self.target,
            services=(*self.target.services, *self.services),
            refinements=tuple(refinements),
            publish=(*self.target.publish, *ports),
        )
        return [*sources.values(), target]


def run_confine(
    root: Path,
    name: str,
    words: Sequence[str],
    *,
    publish: Sequence[str],
    yes: bool,
    python: PurePosixPath | None,
) -> ExitCode:
    """Write services and ports into the settings of a tunnel, apply, and verify.

    A service of another tunnel moves: it is stopped, and starts again inside of this one. Raises
    Refused for names of nothing, and as `survey` before anything is changed.
    """
    if not words and not publish:
        raise Refused("Name a service, or a port: wgconfine confine NAME UNIT… --publish PORT.")
    with apply_lock(root, complain):
        tunnels = load_all(root)
        earlier = read_unfinished(root)
        target = tunnel_of(name, tunnels)
        known = known_services(root)
        units = list(there(root, fitting(words, known), known))
        move = confined_by(target, tunnels, units, new_ports(target, publish), real(root, tunnels))
        look = partial(survey, root, python=python, earlier=earlier)
        found = look(edits=move.edits())
        complain(*moves(move))
        approve(found, yes=yes)
        keep_unfinished(root, found.unfinished)
        with undisturbed():
            write(root, move)
        found = look(again=True)
        code = carry_out(found, root, yes=True)
    return verified(found, code)


def tunnel_of(name: str, tunnels: Sequence[Settings]) -> Settings:
    for each in tunnels:
        if each.name == name and not each.enable:
            raise Refused(f"{name} is disabled. Take enable = false out of {each.path}.")
        if each.name == name:
            return each
    others = name_tunnels(each.name for each in tunnels)
    raise Refused(f"There is no tunnel {quote(name)}. {others}")


def real(root: Path, tunnels: Iterable[Settings]) -> dict[UnitName, UnitName]:
    """Give the unit that each listed name stands for."""
    listed = sorted({unit for each in tunnels for unit in each.services})
    return {name: facts.name for name, facts in unit_facts(root, listed).items()}


def new_ports(target: Settings, entries: Sequence[str]) -> tuple[str, ...]:
    """Give the entries that the tunnel has not yet, however it writes them."""
    try:
        given = read_publish(entries)
    except WrongValueError as error:
        raise refusal(error, "--publish:") from None
    return tuple(each for each in given if read_publish_text(each) not in target.publish)


def confined_by(
    target: Settings,
    tunnels: Iterable[Settings],
    units: Sequence[UnitName],
    publish: tuple[str, ...],
    real_names: Mapping[UnitName, UnitName],
) -> Move:
    """Give what is to be changed so that `target` has all of `units`, which are real names."""
    own = {real_names[listed] for listed in target.services}
    new = tuple(unit for unit in units if unit not in own)
    leaving = tuple(
        (settings, listed, real_names[listed])
        for settings in tunnels
        if settings.name != target.name
        for listed in settings.services
        if real_names[listed] in new
    )
    return Move(target=target, services=new, publish=publish, leaving=leaving)


def moves(move: Move) -> Iterator[str]:
    """Say which services come from elsewhere, and what stays there."""
    for settings, _, unit in move.leaving:
        yield f"{unit} moves from {settings.name} to {move.target.name}, stopped in between."
    for settings in {each.name: each for each, _, _ in move.leaving}.values():
        if settings.publish:
            yield f"The ports that {settings.name} publishes stay there; --publish is for new ones."


def write(root: Path, move: Move) -> None:
    """Change the settings. What leaves goes first: then no two tunnels ever have the same service.

    Killed in between, it is confined as before, and closed by the next `apply`.
    """
    taken: dict[UnitName, str] = {}
    for settings, listed, unit in move.leaving:
        for path in (settings.path, *fragments_of(root, settings.path)):
            table = take_refinement(read_text(root, path), listed)
            taken[unit] = taken.get(unit) or table.replace(f'"{listed}"', f'"{unit}"', 1)
        remove_from_settings(root, [settings], [listed])
    path = move.target.path
    for unit in move.services:
        write_settings(root, path, partial(add_service, unit=unit))
        table = taken.get(unit, "")
        write_settings(root, path, partial(add_refinement, unit=unit, table=table))
    for entry in move.publish:
        write_settings(root, path, partial(add_publish, entry=entry))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a Ctrl-C, and what else ends a command kindly, wait until several files agree."""
    waiting = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
