"""Settings and facts become the exact set of files that the machine should have. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from wgconfine.model.problem import Problem
from wgconfine.model.settings import Backend, Settings, UnitName
from wgconfine.model.tree import File, Link, Tree
from wgconfine.model.units import UnitFacts
from wgconfine.plan.unitcheck import check_unit
from wgconfine.render.record import record_file
from wgconfine.render.service import (
    KEPT,
    closing_file,
    dropin_file,
    dropin_settings,
    slice_file,
)
from wgconfine.render.templates import templates
from wgconfine.render.tunnel import boot_link, instance_dropins, unmanaged_link_files

__all__ = ["Machine", "check_services", "desired_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What rendering must know of the machine. `python` imports wgconfine, as root, at boot."""

    python: PurePosixPath
    kernel_wireguard: bool

    def backend(self, settings: Settings) -> Backend:
        """Give what `auto` comes to: the kernel's WireGuard where it is there."""
        if settings.backend is not Backend.AUTO:
            return settings.backend
        return Backend.KERNEL if self.kernel_wireguard else Backend.USERSPACE


def check_services(
    tunnels: Iterable[Settings], facts: Mapping[UnitName, UnitFacts]
) -> list[Problem]:
    """Give every reason why a service can't be confined, over all tunnels."""
    ours = dropin_settings()
    return [
        problem
        for settings in tunnels
        if settings.enable
        for unit in settings.services
        for problem in (*check_unit(facts[unit], ours), *check_alias(settings, unit, facts[unit]))
    ]


def check_alias(settings: Settings, unit: UnitName, facts: UnitFacts) -> list[Problem]:
    """Refuse an alias: a drop-in for it is not read where the unit is started by its own name."""
    if unit == facts.name:
        return []
    return [
        Problem(
            where=f"{settings.path}: services",
            what=f"{unit} is another name of {facts.name}",
            hint=f"Write {facts.name}",
        )
    ]


def desired_tree(
    tunnels: Sequence[Settings],
    facts: Mapping[UnitName, UnitFacts],
    machine: Machine,
    *,
    unreleased: Iterable[UnitName] = (),
) -> Tree:
    """Give all files of all tunnels, by path.

    `unreleased` are services that were confined once and that nobody has released: their closing
    file stays whatever the settings say now. Without any tunnel and any such service the tree is
    empty.
    """
    enabled = [settings for settings in tunnels if settings.enable]
    files: list[File | Link] = [] if not enabled else list(templates(python=machine.python))
    if any(machine.backend(settings) is Backend.USERSPACE for settings in enabled):
        files += unmanaged_link_files()
    for settings in enabled:
        files += tunnel_files(settings, facts, machine)
    closed = {unit for settings in enabled for unit in settings.services} | set(unreleased)
    files += [closing_file(unit) for unit in sorted(closed)]
    return {each.path: each for each in files}


def own_lines(facts: UnitFacts) -> dict[str, tuple[str, ...]]:
    """Give the unit's own lines that its drop-in repeats, by key."""
    return {key: facts.values("Service", key) for key in KEPT}


def tunnel_files(
    settings: Settings, facts: Mapping[UnitName, UnitFacts], machine: Machine
) -> list[File | Link]:
    backend = machine.backend(settings)
    return [
        record_file(settings, backend),
        *instance_dropins(settings, backend, python=machine.python),
        boot_link(settings),
        slice_file(settings),
        *(
            dropin_file(
                settings,
                unit,
                digest=facts[unit].digest,
                own=own_lines(facts[unit]),
            )
            for unit in settings.services
        ),
    ]
