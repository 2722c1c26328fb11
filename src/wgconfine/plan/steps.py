"""What is to be done, in order, to bring a running machine from its files to others. Pure.

The order is the safety: closing files first, then services stop, then everything else is written,
then tunnels, and only then services start. Killed anywhere in between, a service is closed or
confined.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.tree import File
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.render.service import closing_path, dropin_path

__all__ = ["Action", "FileStep", "Step", "UnitStep", "confined_unit", "file_steps", "live_steps"]


class Action(StrEnum):
    """What systemd is asked to do; the value is systemctl's own verb."""

    DAEMON_RELOAD = "daemon-reload"
    STOP = "stop"
    START = "start"
    RESTART = "restart"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStep:
    """Write or remove one file."""

    change: Change

    def describe(self) -> str:
        return f"{self.change.kind.value} {self.change.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStep:
    """Ask systemd for something. `why` is shown to the person who decides."""

    action: Action
    units: tuple[str, ...] = ()
    why: str = ""

    def describe(self) -> str:
        words = " ".join((self.action.value, *self.units))
        return f"{words}  ({self.why})" if self.why else words


Step = FileStep | UnitStep


def confined_unit(change: Change) -> UnitName | None:
    """Give the service whose drop-in this change is about."""
    unit = UnitName(change.path.parent.name.removesuffix(".d"))
    return unit if change.path == dropin_path(unit) else None


def is_closing(change: Change) -> bool:
    return change.path == closing_path(UnitName(change.path.parent.name.removesuffix(".d")))


def file_steps(changes: Iterable[Change]) -> list[Step]:
    """Give the steps for a tree of files that no systemd runs from: closing files come first."""
    ordered = sorted(changes, key=lambda change: (not is_closing(change), change.path))
    return [FileStep(change=change) for change in ordered]


def same_settings(change: Change) -> bool:
    """Tell whether a drop-in differs in its comments alone, such as the digest of the unit."""
    texts = [
        [line for line in file.text.splitlines() if not line.startswith("#")]
        for file in (change.before, change.after)
        if isinstance(file, File)
    ]
    return len(texts) == 2 and texts[0] == texts[1]  # noqa: PLR2004 — before and after


def live_steps(
    changes: Sequence[Change], running: frozenset[str], released: frozenset[UnitName]
) -> list[Step]:
    """Give every step for this machine, `running` being the services and tunnels that run now.

    `released` are the services that somebody has just released by name.
    """
    if not changes:
        return []
    closing = [change for change in changes if is_closing(change) and change.after is not None]
    others = [change for change in changes if change not in closing]
    services = [unit for change in changes if (unit := restarts(change)) and unit in running]
    starting = [unit for unit in services if unit in released or enters(changes, unit)]
    steps = file_steps(closing)
    if closing:
        steps.append(UnitStep(action=Action.DAEMON_RELOAD))
    steps += [
        UnitStep(action=Action.STOP, units=(unit,), why=reason(changes, unit, released))
        for unit in services
    ]
    steps += stop_tunnels(others, running)
    steps += file_steps(others)
    if others:
        steps.append(UnitStep(action=Action.DAEMON_RELOAD))
    steps += start_tunnels(others, running)
    steps += [
        UnitStep(action=Action.START, units=(unit,), why=f"{where(unit, released)}; it ran before")
        for unit in starting
    ]
    return steps


def where(unit: UnitName, released: frozenset[UnitName]) -> str:
    return "in the open" if unit in released else "inside"


def restarts(change: Change) -> UnitName | None:
    """Give the service that can't go on running across this change."""
    unit = confined_unit(change)
    return None if unit is None or same_settings(change) else unit


def enters(changes: Sequence[Change], unit: UnitName) -> bool:
    return any(change.path == dropin_path(unit) and change.after is not None for change in changes)


def reason(changes: Sequence[Change], unit: UnitName, released: frozenset[UnitName]) -> str:
    if unit in released:
        return "it is released"
    if enters(changes, unit):
        return "it may not run while its confinement changes"
    return "it is confined no longer and not released: it will refuse to start"


def tunnel_of(change: Change) -> TunnelName | None:
    """Give the tunnel whose record this change is about."""
    parent, suffix = str(change.path.parent), change.path.suffix
    return TunnelName(change.path.stem) if (parent, suffix) == ("/etc/wgconfine", ".json") else None


def units_of(name: TunnelName) -> tuple[str, str]:
    return f"wgconfine@{name}.service", f"wgconfine-netns@{name}.service"


def stop_tunnels(changes: Sequence[Change], running: frozenset[str]) -> list[Step]:
    return [
        UnitStep(action=Action.STOP, units=units, why="the tunnel is removed or disabled")
        for change in changes
        if (name := tunnel_of(change)) and change.after is None
        if (units := tuple(unit for unit in units_of(name) if unit in running))
    ]


def start_tunnels(changes: Sequence[Change], running: frozenset[str]) -> list[Step]:
    """Start new tunnels; bring changes into running ones, by a restart if their units changed."""
    steps: list[Step] = []
    for change in changes:
        name = tunnel_of(change)
        if name is None or change.after is None:
            continue
        tunnel = units_of(name)[0]
        own_dropins = {f"{tunnel}.d", f"wgconfine-wireguard@{name}.service.d"}
        if change.kind is ChangeKind.CREATE and tunnel not in running:
            steps.append(UnitStep(action=Action.START, units=(tunnel,)))
        elif tunnel not in running:
            continue  # its owner stopped it, and starts it again with the new settings
        elif any(each.path.parent.name in own_dropins for each in changes):
            steps.append(UnitStep(action=Action.RESTART, units=(tunnel,), why="its units changed"))
        else:
            steps.append(UnitStep(action=Action.RELOAD, units=(tunnel,)))
    return steps
