"""Look at settings, units and files, and find what is to be done: the first half of `apply`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wgconfine.cli.check import show_warnings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Settings, TunnelName, UnitName
from wgconfine.model.tree import File, Tree
from wgconfine.model.units import UnitFacts
from wgconfine.plan.aliases import enabled_services, resolve
from wgconfine.plan.desired import Machine, check_services, desired_tree, replaced_slices
from wgconfine.plan.difference import Change, compare
from wgconfine.plan.steps import Running, Step, file_steps, live_steps
from wgconfine.render.service import CLOSING_UNITS, closing_path, dropin_path, unit_digest
from wgconfine.render.templates import interpreter_of
from wgconfine.runtime.paths import IN_FORCE, tunnel_state
from wgconfine.system.confcheck import check_sources
from wgconfine.system.host import fit_for_units, kernel_has_wireguard, trusted_interpreter
from wgconfine.system.observe import runs_outside
from wgconfine.system.sources import PLACE, load_all
from wgconfine.system.systemctl import RealSystemctl, Systemctl, systemd_version
from wgconfine.system.tree import read_installed
from wgconfine.system.units import read_facts, unit_states
from wgconfine.system.unitsearch import find_facts

__all__ = [
    "DEFAULT_PYTHON",
    "LIVE",
    "PATTERNS",
    "Survey",
    "changed_units",
    "closed_services",
    "survey",
    "unit_facts",
]

PATTERNS = (
    "/etc/systemd/system/wgconfine*",
    "/etc/systemd/system/wgconfine*.d/wgconfine.conf",
    "/etc/systemd/system/multi-user.target.wants/wgconfine@*.service",
    "/etc/systemd/system/*.service.d/zz-wgconfine.conf",
    f"{CLOSING_UNITS}/*.service.d/zz-wgconfine-closed.conf",
    "/etc/systemd/network/10-wgconfine.network",
    "/etc/NetworkManager/conf.d/wgconfine.conf",
    "/etc/wgconfine/*.json",
)
"""Every place where a file of ours may lie."""

DEFAULT_PYTHON = PurePosixPath("/usr/bin/python3")

LIVE = Path("/")
ACTIVE = {"active", "activating", "reloading", "refreshing", "deactivating"}
"""The running machine; any other root is a tree of files that no systemd runs from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The settings, what differs from them, and the steps that would mend it, in order."""

    tunnels: tuple[Settings, ...]
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    systemctl: Systemctl | None


def survey(
    root: Path,
    *,
    python: PurePosixPath | None = None,
    released: Iterable[UnitName] = (),
    edits: Iterable[Settings] = (),
) -> Survey:
    """Find out what `apply` would do below `root`, and change nothing.

    `released` are services that somebody releases with this very command, `edits` tunnels as they
    are going to be. `python` is for a tree alone: this machine's units run our own interpreter.
    Raises ProblemsFound with everything that is wrong.
    """
    installed = read_installed(root, PATTERNS)
    interpreter = None if root == LIVE else interpreter_of_tree(installed, python)
    edited = {settings.name: settings for settings in edits}
    declared = tuple(edited.get(each.name, each) for each in load_all(root))
    systemctl = RealSystemctl() if root == LIVE else None
    resolved = resolve(declared, unit_facts(root, enabled_services(declared)))
    tunnels, facts = resolved.tunnels, resolved.facts
    enabled = [settings for settings in tunnels if settings.enable]
    problems = [*resolved.problems, *check_services(enabled, facts)]
    if root == LIVE:
        findings = check_sources(enabled)
        problems += findings.problems
        findings.warnings.extend(replaced_slices(enabled, facts))
        show_warnings(findings)
    if problems:
        raise ProblemsFound(problems)
    live = root == LIVE
    machine = Machine(
        python=interpreter or (trusted_interpreter() if enabled else DEFAULT_PYTHON),
        kernel_wireguard=kernel_has_wireguard() if live and enabled else True,
        systemd=systemd_version() if live and enabled else 0,
    )
    free = frozenset(released)
    unreleased = closed_services(installed) - free
    changes = compare(desired_tree(tunnels, facts, machine, unreleased=unreleased), installed)
    if systemctl is None:
        steps = file_steps(changes)
    else:
        steps = live_steps(changes, look(systemctl, tunnels, installed), free)
    return Survey(tunnels=tunnels, changes=changes, steps=tuple(steps), systemctl=systemctl)


def unit_facts(root: Path, names: Sequence[UnitName]) -> dict[UnitName, UnitFacts]:
    """Give what is known of each unit: of a tree from its files alone."""
    return read_facts(RealSystemctl(), names) if root == LIVE else find_facts(root, names)


def interpreter_of_tree(installed: Tree, python: PurePosixPath | None) -> PurePosixPath | None:
    """Give what `--python` says, else what it said when the tree was last applied."""
    return interpreter_of(installed) if python is None else fit_for_units(python)


def closed_services(installed: Tree) -> set[UnitName]:
    """Give the services that were confined once and not released since: either file tells it."""
    units = {UnitName(path.parent.name.removesuffix(".d")) for path in installed}
    return {
        unit for unit in units if closing_path(unit) in installed or dropin_path(unit) in installed
    }


def changed_units(installed: Tree, facts: Mapping[UnitName, UnitFacts]) -> set[UnitName]:
    """Give the units that are not any more what their drop-ins were written for."""
    written = {unit: installed.get(dropin_path(unit)) for unit in facts}
    return {
        unit
        for unit, file in written.items()
        if isinstance(file, File) and unit_digest(file.text) != facts[unit].digest
    }


def look(systemctl: Systemctl, tunnels: Iterable[Settings], installed: Tree) -> Running:
    """Give what runs now of our services and tunnels, and whether it is what the files say."""
    tunnels = list(tunnels)
    digests = installed_digests(installed)
    homes = {unit: each.name for each in tunnels if each.enable for unit in each.services}
    units: set[str] = {*homes, *closed_services(installed)}
    for name in {*digests, *(settings.name for settings in tunnels)}:
        units |= {f"wgconfine@{name}.service", f"wgconfine-netns@{name}.service"}
    states = unit_states(systemctl, sorted(units)) if units else {}
    active = frozenset(unit for unit, state in states.items() if state.active in ACTIVE)
    return Running(
        units=active,
        outside=frozenset(
            unit
            for unit, name in homes.items()
            if unit in active and (pid := states[unit].main_pid) and runs_outside(name, pid)
        ),
        not_in_force=frozenset(
            name
            for name, digest in digests.items()
            if f"wgconfine@{name}.service" in active and digest_in_force(name) != digest
        ),
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


def digest_in_force(name: TunnelName) -> str:
    try:
        return Path(tunnel_state(name), IN_FORCE).read_text(encoding="utf-8")
    except OSError:
        return ""
