"""Settings and facts become the exact set of files that the machine should have. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Backend, Ready, Refinement, Settings, UnitName
from wgconfine.model.tree import File, Link, Tree
from wgconfine.model.units import UnitFacts
from wgconfine.plan.hardening import COMMAND_RIGHTS, check_hardening, rights_of
from wgconfine.plan.probed import reach_settings
from wgconfine.plan.settled import last_line, problem_at
from wgconfine.plan.unitcheck import check_unit
from wgconfine.plan.unitholes import bus_user
from wgconfine.plan.unitmounts import pid_file_in_run
from wgconfine.plan.unitrights import allows_no_family
from wgconfine.render.catalog import catalog_file
from wgconfine.render.command import command_dropin
from wgconfine.render.probe import probe_files
from wgconfine.render.publish import port_files
from wgconfine.render.record import record_file
from wgconfine.render.service import (
    KEPT,
    closing_file,
    dropin_file,
    dropin_settings,
    slice_file,
    slice_name,
)
from wgconfine.render.templates import PROXYD, templates
from wgconfine.render.tunnel import (
    boot_link,
    bus_dropin,
    instance_dropins,
    source_watches,
    tick_link,
    unmanaged_link_files,
    watches,
)

__all__ = ["Machine", "check_services", "desired_tree", "replaced_slices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What rendering must know of the machine.

    `python` imports wgconfine, as root, at boot; `systemd` is its version, 0 where it is not known;
    `proxy` is where systemd-socket-proxyd lies.
    """

    python: PurePosixPath
    kernel_wireguard: bool
    systemd: int = 0
    proxy: PurePosixPath = PROXYD

    def backend(self, settings: Settings) -> Backend:
        """Give what `auto` comes to: the kernel's WireGuard where it is there."""
        if settings.backend is not Backend.AUTO:
            return settings.backend
        return Backend.KERNEL if self.kernel_wireguard else Backend.USERSPACE


def check_services(
    tunnels: Iterable[Settings], facts: Mapping[UnitName, UnitFacts]
) -> list[Problem]:
    """Give every reason why a service can't be confined, over all tunnels."""
    return [
        problem
        for settings in tunnels
        if settings.enable
        for unit in settings.services
        for problem in check_service(facts[unit], settings.refinement(unit))
    ]


def check_service(facts: UnitFacts, said: Refinement) -> list[Problem]:
    found = check_unit(facts, dropin_settings(said.hardening), said)
    return found or sorted(set(check_hardening(facts, said.hardening)))


def replaced_slices(
    tunnels: Iterable[Settings], facts: Mapping[UnitName, UnitFacts]
) -> Iterator[Problem]:
    """Give a word for each service that has a slice of its own, which its tunnel's replaces."""
    for settings in tunnels:
        for unit in settings.services:
            line = last_line(facts[unit], "Service", "Slice")
            if line:
                ours = slice_name(settings.name)
                what = f"Slice={quote(line.value)} is replaced by {ours} while it is confined"
                yield problem_at(facts[unit], line, what, f"Set its limits on {ours} or on itself")


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
    bus = any(each.allow_bus for settings in enabled for each in settings.refinements)
    files: list[File | Link] = []
    if enabled:
        publish = any(settings.publish for settings in enabled)
        reach = any(settings.reach for settings in enabled)
        files += templates(
            python=machine.python,
            proxy=machine.proxy,
            bus=bus,
            publish=publish,
            reach=reach,
            watching=any(settings.reload_on_change for settings in enabled),
            ready=any(settings.ready is Ready.HANDSHAKE for settings in enabled),
        )
        files += [tick_link(), catalog_file()]
    if any(machine.backend(settings) is Backend.USERSPACE for settings in enabled):
        files += unmanaged_link_files()
    for settings in enabled:
        files += tunnel_files(settings, facts, machine)
    closed = {unit for settings in enabled for unit in settings.services} | set(unreleased)
    files += [closing_file(unit) for unit in sorted(closed)]
    return {each.path: each for each in files}


def own_lines(facts: UnitFacts) -> dict[str, tuple[str, ...]]:
    """Give the unit's own lines that its drop-in repeats, by key, as they count in the end.

    PIDFile= only where it lies in the private /run, and from there on.
    """
    pid_file = pid_file_in_run(facts)
    return {key: facts.values("Service", key) for key in KEPT} | {
        "PIDFile": (pid_file,) if pid_file else (),
        "RestrictAddressFamilies": ("none",) if allows_no_family(facts) else (),
    }


def tunnel_files(
    settings: Settings, facts: Mapping[UnitName, UnitFacts], machine: Machine
) -> list[File | Link]:
    backend = machine.backend(settings)
    return [
        record_file(settings, backend),
        *instance_dropins(settings, backend, python=machine.python),
        *watches(settings, python=machine.python),
        *source_watches(settings),
        *port_files(settings, python=machine.python),
        *(
            bus_dropin(settings, each, bus_user(facts[each.unit]))
            for each in settings.refinements
            if each.allow_bus
        ),
        boot_link(settings),
        slice_file(settings),
        command_dropin(settings, COMMAND_RIGHTS, machine.systemd),
        *(
            each
            for unit in settings.services
            for each in service_files(settings, facts[unit], machine, unit)
        ),
    ]


def service_files(
    settings: Settings, facts: UnitFacts, machine: Machine, unit: UnitName
) -> list[File]:
    """Give the drop-in of a service and the probe that is confined by the same lines."""
    dropin = dropin_file(
        settings,
        unit,
        digest=facts.digest,
        own=own_lines(facts),
        rights=rights_of(facts, settings.refinement(unit).hardening),
        systemd=machine.systemd,
    )
    own = reach_settings(facts)
    probe = probe_files(settings.name, unit, dropin=dropin.text, own=own, python=machine.python)
    return [dropin, *probe]
