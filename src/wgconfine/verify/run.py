"""All tunnels verified, area after area: what one can't find out hides nothing of the others."""

import os
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from wgconfine.config.words import refuse_strangers
from wgconfine.model.errors import ExitCode
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Backend, Settings, TunnelName, UnitName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.tree import Tree
from wgconfine.model.verify import Area, Check, Verdict, Verification, exit_code
from wgconfine.plan.aliases import resolve
from wgconfine.plan.desired import Machine, desired_tree
from wgconfine.render.places import record_path
from wgconfine.render.templates import PROXYD, interpreter_of
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import load
from wgconfine.system.host import kernel_has_wireguard
from wgconfine.system.installed import LIVE, PATTERNS, closed_services
from wgconfine.system.ports import find_proxy
from wgconfine.system.sources import PLACE, listed, read_all
from wgconfine.system.systemctl import Systemctl, systemd_version
from wgconfine.system.transient import commands_of
from wgconfine.system.tree import read_installed
from wgconfine.system.units import read_facts
from wgconfine.system.unitstates import unit_states
from wgconfine.verify.commands import check_commands
from wgconfine.verify.escapes import check_escapes
from wgconfine.verify.listeners import check_listeners
from wgconfine.verify.openings import check_openings
from wgconfine.verify.pin import check_pin
from wgconfine.verify.ports import check_ports
from wgconfine.verify.processes import check_processes
from wgconfine.verify.recorded import settings_of_record
from wgconfine.verify.structure import check_structure
from wgconfine.verify.subject import Origin, Subject, units_of_ports, units_of_tunnel
from wgconfine.verify.switch import check_switch
from wgconfine.verify.units import check_units
from wgconfine.verify.works import check_works

__all__ = ["AREAS", "Found", "Report", "verify_all"]

Look = Callable[[Subject], list[Check]]

AREAS: tuple[tuple[Area, Look], ...] = (
    (Area.STRUCTURE, check_structure),
    (Area.UNITS, check_units),
    (Area.UNITS, check_commands),
    (Area.UNITS, check_openings),
    (Area.STRUCTURE, check_ports),
    (Area.PROCESSES, check_processes),
    (Area.ESCAPES, check_escapes),
    (Area.ESCAPES, check_listeners),
    (Area.STRUCTURE, check_pin),
    (Area.STRUCTURE, check_switch),  # its counter has what the tries have sent
    (Area.WORKS, check_works),
)
"""In the order in which they are looked at; each is one module."""

ATTEMPTS = 3

NEED_A_TUNNEL = frozenset({Area.ESCAPES, Area.WORKS})
"""What is asked of a tunnel that is up alone: of another it is known that nothing gets out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was verified, tunnel by tunnel, and what is wrong in settings.

    `closed` are the checks of services that were confined once and are in no tunnel now. `seconds`
    is how long all of it took.
    """

    tunnels: tuple[Verification, ...]
    closed: Verification | None = None
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The tunnels that are declared or installed, with what was read once for all of them.

    `bare` are checks of tunnels of which nothing is installed that could be looked at.
    """

    subjects: tuple[Subject, ...]
    bare: tuple[Verification, ...]
    closed: tuple[UnitState, ...]
    problems: tuple[Problem, ...]


def verify_all(
    systemctl: Systemctl,
    names: Collection[str] = (),
    areas: Sequence[tuple[Area, Look]] = AREAS,
) -> Report:
    """Verify the named tunnels, or all of them with the services that are closed.

    Once more where a tunnel or a service was started or stopped meanwhile: what was seen half-way
    is no finding. A leak is one, whatever happened at the same time. Reads, and starts what looks
    from within; changes nothing. Raises OperationFailed where there is no such tunnel, or where
    systemd can't be asked.
    """
    begin = time.monotonic()

    def verify() -> tuple[Report, Callable[[], bool]]:
        found = find_tunnels(systemctl)
        return verify_found(found, names, areas), lambda: has_changed(found, systemctl)

    report = repeated(verify)
    return replace(report, seconds=round(time.monotonic() - begin, 3))


def repeated(verify: Callable[[], tuple[Report, Callable[[], bool]]]) -> Report:
    """Verify until nothing has changed meanwhile that could be the reason for what was found."""
    report, changed = verify()
    for _ in range(ATTEMPTS - 1):
        if is_certain(report) or not changed():
            break
        report, changed = verify()
    return report


def is_certain(report: Report) -> bool:
    code = exit_code([*report.tunnels, *([report.closed] if report.closed else [])])
    return code in {ExitCode.OK, ExitCode.LEAK}


def has_changed(found: Found, systemctl: Systemctl) -> bool:
    """Whether one of the units is another than when it was found: started, stopped or reloaded."""
    before = {
        unit: (state.invocation, state.active)
        for each in found.subjects
        for unit, state in each.states.items()
        if not is_proxy(unit)
    }
    now = unit_states(systemctl, list(before)) if before else {}
    return before != {unit: (state.invocation, state.active) for unit, state in now.items()}


def is_proxy(unit: str) -> bool:
    """Tell whether it is one that comes and goes with connections, and is judged as such."""
    return unit.startswith(("wgconfine-publish@", "wgconfine-reach@")) and unit.endswith(".service")


def verify_found(
    found: Found, names: Collection[str], areas: Sequence[tuple[Area, Look]]
) -> Report:
    known = {each.name for each in found.subjects} | {each.tunnel for each in found.bare}
    refuse_strangers(names, known)
    done = [verify_one(each, areas) for each in found.subjects if not names or each.name in names]
    done += [each for each in found.bare if not names or each.tunnel in names]
    closed = tuple(map(judge_closed, found.closed)) if not names else ()
    return Report(
        tunnels=tuple(sorted(done, key=lambda each: each.tunnel)),
        closed=Verification(tunnel="", checks=closed) if closed else None,
        problems=found.problems,
    )


def find_tunnels(systemctl: Systemctl) -> Found:
    """Read settings, files and units. Raises OperationFailed."""
    installed = read_installed(LIVE, PATTERNS)
    declared, problems = read_all(LIVE)
    lost, bare = read_lost(installed, {each.name for each in declared})
    applied = [each for each in declared if each.enable or record_path(each.name) in installed]
    bare += [disabled(each) for each in declared if each not in applied]
    everything = [*applied, *lost]
    in_force = {each.name: applied_settings(each) for each in everything}
    own = [
        unit
        for each in everything
        for unit in (*units_of_tunnel(each.name), *units_of_ports(in_force[each.name]))
    ]
    listed_services = [unit for each in everything for unit in each.services]
    facts = read_facts(systemctl, [*listed_services, *own])
    resolved = resolve(everything, facts)
    confined = {unit for each in resolved.tunnels for unit in each.services}
    closed = sorted(closed_services(installed) - confined)
    names = [*confined, *own, *closed]
    states = unit_states(systemctl, names) if names else {}
    machine = look_at_machine(installed)
    desired = desired_tree(
        [each for each in resolved.tunnels if each.enable],
        resolved.facts,
        machine,
        unreleased=closed_services(installed),
    )
    subjects = [
        Subject(
            settings=settings,
            applied=in_force[settings.name],
            backend=backend_of(settings, machine),
            facts=resolved.facts,
            states=states,
            desired=desired,
            installed=installed,
            systemctl=systemctl,
            origin=origin_of(settings, lost),
            confined=frozenset(confined),
            carried=tuple(name for name, each in in_force.items() if each.via == settings.name),
            commands=commands_of(settings.name),
        )
        for settings in resolved.tunnels
    ]
    return Found(
        subjects=tuple(subjects),
        bare=tuple(bare),
        closed=tuple(states[unit] for unit in closed),
        problems=(*problems, *resolved.problems),
    )


def read_lost(
    installed: Tree, declared: Collection[TunnelName]
) -> tuple[list[Settings], list[Verification]]:
    """Give tunnels whose settings can't be read: what is installed of them, or what is wrong."""
    found, bare = [], []
    stems = {path.stem for path in listed(LIVE, PLACE)}
    records = {path.stem for path in installed if path.parent == PLACE and path.suffix == ".json"}
    for name in sorted((stems | records) - set(declared)):
        unreadable = partial(
            unverified, name=TunnelName(name), word="settings", mend="wgconfine check"
        )
        if name not in records:
            bare.append(unreadable(why=f"/etc/wgconfine/{name}.toml is wrong"))
            continue
        try:
            found.append(settings_of_record(load(name)))
        except (Failure, ValueError, KeyError, TypeError) as error:
            bare.append(unreadable(why=str(error)))
    return found, bare


def unverified(*, name: TunnelName, word: str, why: str, mend: str) -> Verification:
    found = Check(area=Area.UNITS, name=word, verdict=Verdict.UNKNOWN, evidence=why, mend=mend)
    return Verification(tunnel=name, checks=(found,))


def disabled(settings: Settings) -> Verification:
    """Say of a tunnel that its owner has disabled that there is none: no failure, and not green."""
    found = Check(
        area=Area.STRUCTURE,
        name="tunnel",
        verdict=Verdict.UNAVAILABLE,
        evidence="disabled in its settings: nothing is installed, and nothing confined by it",
    )
    return Verification(tunnel=settings.name, checks=(found,))


def applied_settings(settings: Settings) -> Settings:
    """Give what NAME.json tells of a tunnel, by which it runs; its settings where there is none."""
    try:
        return settings_of_record(load(settings.name))
    except (Failure, ValueError, KeyError, TypeError):
        return settings


def origin_of(settings: Settings, lost: Iterable[Settings]) -> Origin:
    if settings.name not in {each.name for each in lost}:
        return Origin.SETTINGS
    return Origin.INSTALLED if os.path.lexists(settings.path) else Origin.ORPHANED


def look_at_machine(installed: Tree) -> Machine:
    """Give what `apply` would render for, but with the interpreter that it was run by."""
    return Machine(
        python=interpreter_of(installed) or PurePosixPath("/usr/bin/python3"),
        kernel_wireguard=kernel_has_wireguard(),
        systemd=systemd_version(),
        proxy=find_proxy() or PROXYD,
    )


def backend_of(settings: Settings, machine: Machine) -> Backend:
    try:
        return Backend(load(settings.name).backend)
    except (Failure, ValueError):
        return machine.backend(settings)


def verify_one(subject: Subject, areas: Sequence[tuple[Area, Look]] = AREAS) -> Verification:
    """Run every area that can be asked."""
    begin = time.monotonic()
    up = judge(subject.states[f"wgconfine@{subject.name}.service"]) == "running"
    checks = [
        found
        for area, look in areas
        if up or area not in NEED_A_TUNNEL
        for found in guarded(area, look, subject)
    ]
    seconds = round(time.monotonic() - begin, 3)
    return Verification(tunnel=subject.name, checks=tuple(checks), seconds=seconds)


def guarded(area: Area, look: Look, subject: Subject) -> list[Check]:
    """Give what an area found; what goes wrong in it is a check of its own, and unknown."""
    try:
        return look(subject)
    except Exception as error:  # noqa: BLE001 — no defect of one area may hide what others find
        words = str(error) or "no more is known"
        evidence = f"could not be checked: {type(error).__name__}: {words}"
        return [Check(area=area, name="unchecked", verdict=Verdict.UNKNOWN, evidence=evidence)]


def judge_closed(state: UnitState) -> Check:
    """Judge a service that is confined no longer and not released: it may not run."""
    unit, word = UnitName(state.name), judge(state)
    closed = partial(Check, area=Area.UNITS, name="closed", unit=unit)
    mend = f"wgconfine release {shlex.quote(unit)}"
    if word in {"running", "starting", "stopping"}:
        evidence = "closed, and runs in the open all the same"
        return closed(
            verdict=Verdict.NOT_CONFINED,
            evidence=evidence,
            mend=f"systemctl stop {shlex.quote(unit)}",
        )
    return closed(
        verdict=Verdict.OK, evidence="closed: it does not start until it is released", mend=mend
    )
