"""What is to be done, in order, to bring a running machine from its files to others. Pure.

The order is the safety: what runs stops, closing files come first, then everything else is written
and read by systemd; then whatever was started meanwhile stops once more, and only then tunnels and
services start. Killed anywhere in between, a service is as it was, closed or confined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from wgconfine.config.escape import escape
from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.tree import File
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.plan.portsteps import gone_ports, is_port, ports_to_restart, ports_to_start
from wgconfine.plan.unfinished import Unfinished
from wgconfine.plan.unitdigest import without_comments
from wgconfine.render.catalog import CATALOG
from wgconfine.render.places import UNITS, closing_path, command_dropin_path, dropin_path
from wgconfine.render.templates import TICK

__all__ = [
    "Action",
    "FileStep",
    "Running",
    "Step",
    "UnitStep",
    "asked_units",
    "confined_unit",
    "file_steps",
    "live_steps",
    "under_way",
]


class Action(StrEnum):
    """What systemd is asked to do.

    The value is systemctl's own verb, but for ENSURE_STOPPED, and UPDATE_CATALOG, which is
    journalctl's.
    """

    DAEMON_RELOAD = "daemon-reload"
    STOP = "stop"
    ENSURE_STOPPED = "ensure stopped"
    START = "start"
    RESTART = "restart"
    RELOAD = "reload"
    RESET_FAILED = "reset-failed"
    UPDATE_CATALOG = "update-catalog"


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
        return f"{words}  ({escape(self.why)})" if self.why else words


Step = FileStep | UnitStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs at the moment.

    `units` are our services, tunnels and sockets that run or are about to, `failed_ports` the
    sockets that have failed; `outside` the confined services with a main process in another
    namespace than their tunnel's; `not_in_force` the running tunnels that were configured by
    another NAME.json than the one that lies there; `commands` what `wgconfine exec` runs in each
    tunnel, where that is anything. `stale_units` says that systemd has not read some unit of ours
    since it changed on disk; `idle_tick` that the timer is installed and does not run;
    `unread_catalog` that journalctl has not read our messages since they changed on disk.
    `unfinished` is what a run that was cut off has left to do, less
    what may not be done any more.
    """

    units: frozenset[str] = frozenset()
    failed_ports: frozenset[str] = frozenset()
    outside: frozenset[UnitName] = frozenset()
    not_in_force: frozenset[TunnelName] = frozenset()
    commands: Mapping[TunnelName, tuple[UnitName, ...]] = field(default_factory=dict)
    stale_units: bool = False
    idle_tick: bool = False
    unread_catalog: bool = False
    unfinished: Unfinished = field(default_factory=Unfinished)


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
        without_comments(file.text)
        for file in (change.before, change.after)
        if isinstance(file, File)
    ]
    return len(texts) == 2 and texts[0] == texts[1]  # noqa: PLR2004 — before and after


def live_steps(
    changes: Sequence[Change], machine: Running, released: frozenset[UnitName]
) -> list[Step]:
    """Give every step for this machine. `released` are the services just released by name."""
    closing = [change for change in changes if is_closing(change) and change.after is not None]
    others = [change for change in changes if change not in closing]
    concerned = [unit for change in changes if (unit := restarts(change))]
    concerned += sorted((machine.outside - released | machine.unfinished.stopped) - {*concerned})
    running = [unit for unit in concerned if unit in machine.units]
    starting = [unit for unit in running if unit in released or not leaves(changes, unit)]
    starting += left_stopped(machine, {*starting}, concerned)
    steps: list[Step] = [
        UnitStep(action=Action.STOP, units=(unit,), why=reason(changes, unit, released, machine))
        for unit in running
    ]
    starts = start_tunnels(others, machine)
    steps += stop_commands(others, machine, asked_units(starts, Action.RESTART))
    steps += [*file_steps(closing), *reload_if(closing)]
    steps += [*stop_tick(others, machine), *stop_tunnels(others, machine.units, concerned)]
    steps += [*stop_ports(others, machine), *stop_watches(others)]
    unread = others or machine.stale_units or machine.unfinished
    steps += [*file_steps(others), *reload_if(unread)]
    # Only now does systemd know the new files: whoever started one of them since is stopped again.
    steps += [UnitStep(action=Action.ENSURE_STOPPED, units=(unit,)) for unit in concerned]
    steps += forget_failures(others)
    steps += [*starts, *start_ports(others, machine)]
    steps += [
        UnitStep(
            action=Action.START,
            units=(unit,),
            why=f"{where(unit, released)}; {when(unit, running)}",
        )
        for unit in starting
    ]
    return [*steps, *start_tick(others, machine), *update_catalog(others, machine)]


def update_catalog(changes: Iterable[Change], machine: Running) -> list[Step]:
    """Have journalctl(1) read the messages, last of all: nothing depends on it."""
    changed = any(change.path == CATALOG for change in changes)
    why = "what journalctl -x says"
    wanted = changed or machine.unread_catalog
    return [UnitStep(action=Action.UPDATE_CATALOG, why=why)] if wanted else []


def of_tick(changes: Iterable[Change]) -> Change | None:
    return next((change for change in changes if change.path == UNITS / TICK), None)


def stop_tick(changes: Iterable[Change], machine: Running) -> list[Step]:
    """Stop the timer when the last tunnel goes: without its file systemd would let it run on."""
    change = of_tick(changes)
    gone = change is not None and change.after is None and TICK in machine.units
    return [UnitStep(action=Action.STOP, units=(TICK,), why="no tunnel is left")] if gone else []


def start_tick(changes: Iterable[Change], machine: Running) -> list[Step]:
    """Start the timer with the first tunnel, and whenever it does not run: nobody would verify."""
    change = of_tick(changes)
    if TICK in machine.units and change is not None and change.after is not None:
        return [UnitStep(action=Action.RESTART, units=(TICK,), why="its unit changed")]
    new = change is not None and change.kind is ChangeKind.CREATE
    idle = machine.idle_tick and (change is None or change.after is not None)
    return [UnitStep(action=Action.START, units=(TICK,))] if new or idle else []


def left_stopped(
    machine: Running, known: set[UnitName], concerned: Sequence[UnitName]
) -> list[UnitName]:
    """Give the services that a run stopped, or did not bring up, before it was cut off."""
    asked = machine.unfinished.starting
    found = {UnitName(unit) for unit in asked if not is_tunnel(unit) and not is_port(unit)}
    return sorted(unit for unit in found - known if unit in concerned or unit not in machine.units)


def is_tunnel(unit: str) -> bool:
    return unit.startswith("wgconfine@")


def tunnel_named(unit: str) -> TunnelName:
    return TunnelName(unit.removeprefix("wgconfine@").removesuffix(".service"))


def when(unit: UnitName, running: Sequence[UnitName]) -> str:
    return (
        "it ran before"
        if unit in running
        else "it ran before an apply that did not come to its end"
    )


def asked_units(steps: Iterable[Step], action: Action) -> frozenset[str]:
    """Give the units that some steps ask one thing of."""
    asked = (step for step in steps if isinstance(step, UnitStep) and step.action is action)
    return frozenset(unit for step in asked for unit in step.units)


def under_way(steps: Sequence[Step]) -> Unfinished:
    """Give what the next run must know if these steps are cut off, or do not work."""
    return Unfinished(
        stopped=frozenset(map(UnitName, asked_units(steps, Action.ENSURE_STOPPED))),
        # Of the timer the machine itself tells whether it is to be started.
        starting=asked_units(steps, Action.START) - {TICK},
        restarting=asked_units(steps, Action.RESTART) - {TICK},
    )


def reload_if(reason: object) -> list[Step]:
    return [UnitStep(action=Action.DAEMON_RELOAD)] if reason else []


def where(unit: UnitName, released: frozenset[UnitName]) -> str:
    return "in the open" if unit in released else "inside"


def restarts(change: Change) -> UnitName | None:
    """Give the service that can't go on running across this change."""
    unit = confined_unit(change)
    return None if unit is None or same_settings(change) else unit


def leaves(changes: Sequence[Change], unit: UnitName) -> bool:
    return any(change.path == dropin_path(unit) and change.after is None for change in changes)


def reason(
    changes: Sequence[Change], unit: UnitName, released: frozenset[UnitName], machine: Running
) -> str:
    if unit in released:
        return "it is released"
    if leaves(changes, unit):
        return "it is confined no longer and not released: it will refuse to start"
    if any(restarts(change) == unit for change in changes):
        return "it may not run while its confinement changes"
    if unit in machine.unfinished.stopped:
        return "an apply did not come to its end while its confinement changed"
    return "it runs outside of its tunnel"


def tunnel_of(change: Change) -> TunnelName | None:
    """Give the tunnel whose record this change is about."""
    parent, suffix = str(change.path.parent), change.path.suffix
    return TunnelName(change.path.stem) if (parent, suffix) == ("/etc/wgconfine", ".json") else None


def units_of(name: TunnelName) -> tuple[str, str]:
    return f"wgconfine@{name}.service", f"wgconfine-netns@{name}.service"


def switch_of(name: TunnelName) -> str:
    return f"wgconfine-switch@{name}.service"


def verify_of(name: TunnelName) -> str:
    return f"wgconfine-verify@{name}.service"


def stop_tunnels(
    changes: Sequence[Change], running: frozenset[str], concerned: Sequence[UnitName]
) -> list[Step]:
    """Stop tunnels that go, and then their second switches, which they uphold.

    What a service has left behind is killed before: as long as it is there the rule stays.
    """
    steps: list[Step] = []
    why = "the tunnel is removed or disabled"
    for name in [name for each in changes if (name := tunnel_of(each)) and each.after is None]:
        units = (*units_of(name), verify_of(name))
        if stopped := tuple(unit for unit in units if unit in running):
            steps.append(UnitStep(action=Action.STOP, units=stopped, why=why))
        if (switch := switch_of(name)) in running:
            if concerned:
                steps.append(UnitStep(action=Action.ENSURE_STOPPED, units=tuple(concerned)))
            steps.append(UnitStep(action=Action.STOP, units=(switch,), why=why))
    return steps


def forget_failures(changes: Sequence[Change]) -> list[Step]:
    """Have systemd forget what failed of units that are gone: no file is left to mend it by.

    By patterns, to which it is no error that nothing has failed.
    """
    gone = [each for each in changes if each.after is None]
    patterns = [f"wgconfine*@{name}.*" for each in gone if (name := tunnel_of(each))]
    # A backslash, as in escaped names of instances, is an escape in patterns.
    units = [str(unit).replace("\\", "\\\\") for each in gone if (unit := confined_unit(each))]
    patterns += [f"wgconfine-*@{unit}" for unit in units]
    patterns += [f"{unit.removesuffix('.socket')}.*" for unit in gone_ports(changes)]
    patterns += ["wgconfine-tick.*"] if of_tick(gone) else []
    return [UnitStep(action=Action.RESET_FAILED, units=tuple(patterns))] if patterns else []


def start_tunnels(changes: Sequence[Change], machine: Running) -> list[Step]:
    """Start new tunnels; bring changes into running ones, by a restart if their units changed."""
    steps: list[Step] = []
    changed = {
        name: change
        for change in changes
        if (name := tunnel_of(change)) and change.after is not None
    }
    unfinished = machine.unfinished
    left = {
        tunnel_named(unit)
        for unit in unfinished.starting | unfinished.restarting
        if is_tunnel(unit)
    }
    # One that goes and whose start failed until now is by no record of ours, and stays stopped.
    gone = {tunnel_of(each) for each in changes if each.after is None}
    for name in sorted((changed.keys() | machine.not_in_force | left) - gone):
        tunnel = units_of(name)[0]
        own_dropins = {f"{tunnel}.d", f"wgconfine-wireguard@{name}.service.d"}
        its_units = any(each.path.parent.name in own_dropins for each in changes)
        if tunnel not in machine.units:
            # One that its owner stopped starts again with the new settings when he says so.
            new = name in changed and changed[name].kind is ChangeKind.CREATE
            if new or name in left:
                steps.append(UnitStep(action=Action.START, units=(tunnel,)))
        elif its_units or tunnel in unfinished.restarting:
            steps.append(UnitStep(action=Action.RESTART, units=(tunnel,), why="its units changed"))
        elif name in changed or name in machine.not_in_force:
            steps.append(UnitStep(action=Action.RELOAD, units=(tunnel,)))
    return [*steps, *bring_switches_up(changes, machine)]


def bring_switches_up(changes: Sequence[Change], machine: Running) -> list[Step]:
    """Give running tunnels the second switch where it is new, as after an upgrade.

    A tunnel that starts or restarts brings its own along. It goes on counting: never a restart.
    """
    steps: list[Step] = []
    template = UNITS / "wgconfine-switch@.service"
    changed = any(each.path == template and each.after is not None for each in changes)
    made = {each.path.parent.name for each in changes if each.kind is ChangeKind.CREATE}
    left = {tunnel_of(each) for each in changes if each.after is None}
    for name in sorted(map(tunnel_named, filter(is_tunnel, machine.units))):
        switch = switch_of(name)
        if name not in left and (changed or f"{switch}.d" in made):
            action = Action.RELOAD if switch in machine.units else Action.START
            steps.append(UnitStep(action=action, units=(switch,), why="its rule is new"))
    return steps


def stop_commands(
    changes: Sequence[Change], machine: Running, restarting: frozenset[str]
) -> list[Step]:
    """Stop what `wgconfine exec` runs in a tunnel that goes or restarts, or that changes for it."""
    steps: list[Step] = []
    for name, units in sorted(machine.commands.items()):
        own = [each for each in changes if each.path == command_dropin_path(name)]
        if any(tunnel_of(each) == name and each.after is None for each in changes):
            why = "the tunnel is removed or disabled"
        elif any(not same_settings(each) for each in own):
            why = "it may not run while its confinement changes"
        elif units_of(name)[0] in restarting:
            why = "its tunnel restarts"
        else:
            continue
        steps.append(UnitStep(action=Action.STOP, units=units, why=why))
    return steps


def stop_watches(changes: Sequence[Change]) -> list[Step]:
    """Stop what watches files that it should not any more: systemd has its unit no longer."""
    gone = tuple(
        each.path.name
        for each in changes
        if each.after is None and each.path.name.startswith("wgconfine-watch@")
    )
    why = "its file is not watched any more"
    return [UnitStep(action=Action.STOP, units=gone, why=why)] if gone else []


def stop_ports(changes: Sequence[Change], machine: Running) -> list[Step]:
    """Stop sockets that go, before another may listen where they did."""
    gone = tuple(unit for unit in gone_ports(changes) if unit in machine.units)
    why = "it is in the settings no longer"
    return [UnitStep(action=Action.STOP, units=gone, why=why)] if gone else []


def start_ports(changes: Sequence[Change], machine: Running) -> list[Step]:
    """Start what is new of a tunnel that runs, or has failed; what has changed listens anew."""
    restarting = ports_to_restart(changes, machine.units)
    unfinished = {unit for unit in machine.unfinished.starting if is_port(unit)}
    failed = machine.failed_ports | unfinished
    starting = ports_to_start(changes, machine.units, failed)
    why = "it has changed; its connections end"
    return [
        *(UnitStep(action=Action.RESTART, units=(unit,), why=why) for unit in restarting),
        *(UnitStep(action=Action.START, units=(unit,)) for unit in starting),
    ]
