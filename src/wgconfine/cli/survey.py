"""Look at settings, units and files, and find what is to be done: the first half of `apply`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wgconfine.cli.check import show_warnings
from wgconfine.config.check import check_all
from wgconfine.config.via import check_via
from wgconfine.model.errors import InTheWay, ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Settings, TunnelName, UnitName
from wgconfine.model.state import ALIVE
from wgconfine.model.tree import File, Tree
from wgconfine.model.units import UnitFacts
from wgconfine.plan.aliases import enabled_services, resolve
from wgconfine.plan.desired import Machine, check_services, desired_tree, replaced_slices
from wgconfine.plan.difference import Change, compare
from wgconfine.plan.ports import check_ports, port_remarks
from wgconfine.plan.portsteps import is_port
from wgconfine.plan.remarks import remarks
from wgconfine.plan.steps import (
    Action,
    Running,
    Step,
    asked_units,
    file_steps,
    live_steps,
    under_way,
)
from wgconfine.plan.unfinished import Unfinished
from wgconfine.plan.unituser import account_of
from wgconfine.render.catalog import CATALOG
from wgconfine.render.places import UNITS, dropin_path
from wgconfine.render.ports import port_sockets
from wgconfine.render.templates import PROXYD, TICK, interpreter_of
from wgconfine.runtime.paths import IN_FORCE, record_of_namespace, tunnel_state
from wgconfine.system.catalog import is_unread
from wgconfine.system.confcheck import Findings, check_sources
from wgconfine.system.host import fit_for_units, kernel_has_wireguard, trusted_interpreter
from wgconfine.system.installed import LIVE, PATTERNS, closed_services, unit_facts
from wgconfine.system.obstacles import foreign_obstacles
from wgconfine.system.ports import find_proxy, own_listens, port_facts
from wgconfine.system.servicestatus import runs_outside
from wgconfine.system.sources import PLACE, load_all
from wgconfine.system.systemctl import RealSystemctl, Systemctl, systemd_version
from wgconfine.system.transient import commands_of
from wgconfine.system.tree import obstacles, read_installed
from wgconfine.system.unfinished import read_unfinished
from wgconfine.system.unitstates import unit_states
from wgconfine.system.users import read_user

__all__ = [
    "DEFAULT_PYTHON",
    "Survey",
    "survey",
]

DEFAULT_PYTHON = PurePosixPath("/usr/bin/python3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The settings, what differs from them, and the steps that would mend it, in order.

    `desired` are all files of ours as they should be. `unfinished` is what the next run must know
    if these steps are cut off; of it, `half_released` is what this run leaves as it is.
    """

    tunnels: tuple[Settings, ...]
    desired: Tree
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    systemctl: Systemctl | None
    unfinished: Unfinished
    half_released: Unfinished


def survey(
    root: Path,
    *,
    python: PurePosixPath | None = None,
    released: Mapping[UnitName, str] | None = None,
    edits: Iterable[Settings] = (),
    written: Mapping[PurePosixPath, bytes] | None = None,
    earlier: Unfinished | None = None,
    again: bool = False,
) -> Survey:
    """Find out what `apply` would do below `root`, and change nothing.

    `released` are services that somebody releases with this very command, and the word for it,
    `edits` tunnels as they are going to be, new ones too, `written` the secret files that come with
    them, `earlier` what a run left that was cut off before this command began. `again` says that
    the warnings have been shown. `python` is for a tree alone: this machine's units run our own
    interpreter.

    Raises ProblemsFound with everything that is wrong, InTheWay with what is somebody else's.
    """
    live = root == LIVE
    installed = read_installed(root, PATTERNS)
    interpreter = None if live else interpreter_of_tree(installed, python)
    declared = edited(load_all(root), edits)
    systemctl = RealSystemctl() if live else None
    resolved = resolve(declared, unit_facts(root, enabled_services(declared)))
    tunnels, facts = resolved.tunnels, resolved.facts
    enabled = [settings for settings in tunnels if settings.enable]
    ports = port_problems(enabled, installed, systemctl)
    known = [*resolved.problems, *check_via(declared), *ports]  # by the edits, too
    findings = said(enabled, facts, installed, written or {}) if live else Findings()
    if not again:
        show_warnings(findings)
    refuse_problems(enabled, facts, known, findings)
    machine = Machine(
        python=interpreter or (trusted_interpreter() if enabled else DEFAULT_PYTHON),
        kernel_wireguard=kernel_has_wireguard() if live and enabled else True,
        systemd=systemd_version() if live and enabled else 0,
        proxy=(live and find_proxy()) or PROXYD,
    )
    words = dict(released or {})
    unreleased = closed_services(installed) - words.keys()
    desired = desired_tree(tunnels, facts, machine, unreleased=unreleased)
    changes = compare(desired, installed)
    in_the_way = obstacles(root, [each.after for each in changes if each.after is not None])
    left = read_unfinished(root) if earlier is None else earlier
    half = left.only(left.half_released(confined=enabled_services(tunnels), released=words))
    if systemctl is None:
        steps = file_steps(changes)
    else:
        resumed = resumable(left, enabled, words, closed_services(installed) - half.services())
        running = replace(look(systemctl, tunnels, installed, words), unfinished=resumed)
        steps = live_steps(changes, running, frozenset(words))
        in_the_way += foreign_obstacles(systemctl, started(steps, enabled), machine)
    if in_the_way:
        raise InTheWay(in_the_way)
    return Survey(
        tunnels=tunnels,
        desired=desired,
        changes=changes,
        steps=tuple(steps),
        systemctl=systemctl,
        unfinished=under_way(steps) | Unfinished(released=words) | half,
        half_released=half,
    )


def edited(loaded: Iterable[Settings], edits: Iterable[Settings]) -> tuple[Settings, ...]:
    """Give all tunnels as they are going to be. Raises ProblemsFound where they don't agree."""
    tunnels = {each.name: each for each in (*loaded, *edits)}
    if problems := check_all(tuple(tunnels.values())):
        raise ProblemsFound(problems)
    return tuple(tunnels.values())


def refuse_problems(
    enabled: Sequence[Settings],
    facts: Mapping[UnitName, UnitFacts],
    known: Iterable[Problem],
    findings: Findings,
) -> None:
    """Raise ProblemsFound with all that is wrong in units and, on this machine, in .conf files."""
    problems = [*known, *check_services(enabled, facts), *findings.problems]
    if problems:
        raise ProblemsFound(problems)


def port_problems(
    enabled: Sequence[Settings], installed: Tree, systemctl: Systemctl | None
) -> list[Problem]:
    """Give why a port can't listen: of a tree what two tunnels both want, here all that is."""
    if systemctl is None:
        return check_ports(enabled, None)
    return check_ports(
        enabled,
        port_facts(enabled, own_listens(systemctl, installed)),
        leaving=enabled_services(enabled),
    )


def said(
    enabled: Sequence[Settings],
    facts: Mapping[UnitName, UnitFacts],
    installed: Tree,
    written: Mapping[PurePosixPath, bytes],
) -> Findings:
    """Give what this machine has to say of .conf files and services."""
    findings = check_sources(enabled, written)
    findings.warnings.extend(replaced_slices(enabled, facts))
    findings.warnings.extend(port_remarks(enabled))
    units = [unit for settings in enabled for unit in settings.services]
    seen = {
        unit: read_user(
            account,
            namespace=Path(record_of_namespace(settings.name)),
            services=settings.services,
        )
        for settings in enabled
        for unit in settings.services
        if (account := account_of(facts[unit]))
    }
    findings.warnings.extend(
        remarks(
            enabled,
            facts,
            users={unit: user for unit, user in seen.items() if user},
            systemd=systemd_version() if enabled else 0,
            new=[unit for unit in units if dropin_path(unit) not in installed],
        )
    )
    return findings


def resumable(
    left: Unfinished, enabled: Iterable[Settings], words: Iterable[UnitName], closed: set[UnitName]
) -> Unfinished:
    """Give what of an earlier run is still to be done by the settings, or by this very command.

    A service that neither confines nor releases is not started; what is closed stays stopped.
    """
    mine = {*words}
    for settings in enabled:
        mine |= {*settings.services, UnitName(f"wgconfine@{settings.name}.service")}
        mine |= set(map(UnitName, port_sockets(settings)))
    return left.only(mine) | Unfinished(stopped=left.stopped & closed)


def started(steps: Iterable[Step], enabled: Iterable[Settings]) -> list[Settings]:
    """Give the tunnels that some steps start."""
    steps = list(steps)
    units = asked_units(steps, Action.START) | asked_units(steps, Action.RESTART)
    return [each for each in enabled if f"wgconfine@{each.name}.service" in units]


def interpreter_of_tree(installed: Tree, python: PurePosixPath | None) -> PurePosixPath | None:
    """Give what `--python` says, else what it said when the tree was last applied."""
    return interpreter_of(installed) if python is None else fit_for_units(python)


def look(
    systemctl: Systemctl,
    tunnels: Iterable[Settings],
    installed: Tree,
    released: Iterable[UnitName],
) -> Running:
    """Give what runs now of our services and tunnels, and whether it is what the files say."""
    tunnels = list(tunnels)
    digests = installed_digests(installed)
    homes = {unit: each.name for each in tunnels if each.enable for unit in each.services}
    tick = {TICK} if UNITS / TICK in installed else set()
    ports = {path.name for path in installed if path.parent == UNITS and is_port(path.name)}
    units: set[str] = {*tick, *homes, *closed_services(installed), *released, *ports}
    names = {*digests, *(settings.name for settings in tunnels)}
    for name in names:
        own = ("wgconfine", "wgconfine-netns", "wgconfine-switch", "wgconfine-verify")
        units |= {f"{each}@{name}.service" for each in own}
    states = unit_states(systemctl, sorted(units))
    active = frozenset(unit for unit, state in states.items() if state.active in ALIVE)
    return Running(
        units=active,
        failed_ports=frozenset(unit for unit in ports if states[unit].active == "failed"),
        outside=frozenset(
            unit
            for unit, name in homes.items()
            if unit in active and (pid := states[unit].main_pid) and runs_outside(name, pid)
        ),
        not_in_force=frozenset(
            name
            for name, digest in digests.items()
            if f"wgconfine@{name}.service" in active and digest_in_force(name) not in {digest, None}
        ),
        commands={name: found for name in names if (found := commands_of(name))},
        idle_tick=bool(tick - active),
        unread_catalog=CATALOG in installed and is_unread(),
        stale_units=any(state.need_daemon_reload for state in states.values()),
    )


def installed_digests(installed: Tree) -> dict[TunnelName, str]:
    """Give what each installed NAME.json calls its own digest; empty where it is damaged."""
    found: dict[TunnelName, str] = {}
    for path, file in installed.items():
        if path.parent == PLACE and isinstance(file, File):
            try:
                found[TunnelName(path.stem)] = str(json.loads(file.text)["digest"])
            except (ValueError, KeyError, TypeError):
                found[TunnelName(path.stem)] = ""
    return found


def digest_in_force(name: TunnelName) -> str | None:
    """Give what a tunnel was configured by; None where only root may know."""
    try:
        return Path(tunnel_state(name), IN_FORCE).read_text(encoding="utf-8")
    except PermissionError:
        return None
    except OSError:
        return ""
