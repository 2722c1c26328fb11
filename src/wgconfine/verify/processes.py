"""The processes of all that is confined: where they are, what they hold, what they see.

Observes; `verify/processjudge.py` judges. Two rounds of children of our own, each with a deadline:
the first looks at processes, the second at their files and at the host's sockets.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from wgconfine.model.settings import UnitName
from wgconfine.model.verify import Check
from wgconfine.render.service import slice_name
from wgconfine.runtime.paths import STATE, private_run, record_of_namespace, tunnel_state
from wgconfine.system.aside import Aside, Unanswered
from wgconfine.system.cgroup import Cgroup
from wgconfine.system.hostsockets import HostSockets, host_sockets_of
from wgconfine.system.transient import commands_of
from wgconfine.system.unitlook import UnitLook, look
from wgconfine.system.view import Found, View, look_from
from wgconfine.verify.processjudge import (
    HIDDEN,
    Expected,
    Observation,
    judge,
)
from wgconfine.verify.subject import Subject

__all__ = ["check_processes"]

LOOK_SECONDS = 8.0
"""After that a look tells what it has. All services are looked at at once."""
GRACE_SECONDS = 6.0
VIEW_SECONDS = 5.0
EACH_SECONDS = 0.3
"""More for each service: they share the processors."""

T = TypeVar("T")


def check_processes(subject: Subject) -> list[Check]:
    """Look at every process of every service and command. Needs root; takes seconds at most."""
    expected = {unit: expected_of(subject, unit) for unit in units_of(subject)}
    found = observe(subject)
    there = {*subject.settings.services, *commands_of(subject.name)}  # commands end at any time
    judged = [(unit, each) for unit, each in found.items() if unit in there]
    return [check for unit, each in judged for check in judge(unit, each, expected[unit])]


def units_of(subject: Subject) -> tuple[UnitName, ...]:
    return (*subject.settings.services, *subject.commands)


def observe(subject: Subject) -> dict[UnitName, Observation]:
    units = units_of(subject)
    shown = subject.systemctl.show(units, ("ControlGroup", "MainPID"))
    record = record_of_namespace(subject.name)
    cgroups = {unit: find_cgroup(subject, unit, shown[unit]["ControlGroup"]) for unit in units}
    looks = all_aside(
        {
            unit: partial(look, cgroup, record, int(shown[unit]["MainPID"] or "0"), LOOK_SECONDS)
            for unit, cgroup in cgroups.items()
            if cgroup is not None
        },
        UnitLook,
        LOOK_SECONDS + GRACE_SECONDS,
    )
    seen = {unit: each for unit, each in looks.items() if isinstance(each, UnitLook)}
    views = all_aside(
        {unit: partial(views_of, each, watched(subject, unit)) for unit, each in seen.items()},
        tuple[View, ...],
        VIEW_SECONDS,
    )
    of_units = frozenset(number for each in seen.values() for number in each.cgroups)
    sockets = all_aside({"": partial(host_sockets_of, of_units)}, HostSockets, VIEW_SECONDS)
    (of_host,) = sockets.values()
    return {
        unit: Observation(look=looks.get(unit), views=views.get(unit, ()), sockets=of_host)
        for unit in units
    }


def find_cgroup(subject: Subject, unit: UnitName, control_group: str) -> Cgroup | None:
    """A unit that has ended may have left processes behind: then only the place is known."""
    usual = f"/wgconfine.slice/{slice_name(subject.name)}/{unit}"
    return Cgroup.find(control_group) or Cgroup.find(usual)


def all_aside(
    looks: Mapping[str, Callable[[], object]], kind: type[T], seconds: float
) -> dict[UnitName, T | str]:
    """Run all at once, each in a child; give what each found, or why it found nothing."""
    from cattrs.preconf.json import make_converter  # noqa: PLC0415 — costs as much as the look

    converter = make_converter()
    until = time.monotonic() + seconds + EACH_SECONDS * len(looks)

    def told(each: Callable[[], object]) -> str:
        return json.dumps(converter.unstructure(each()))

    begun = {unit: Aside(partial(told, each)) for unit, each in looks.items()}
    found: dict[UnitName, T | str] = {}
    for unit, each in begun.items():
        try:
            found[UnitName(unit)] = converter.structure(json.loads(each.answer(until)), kind)
        except Unanswered as why:
            found[UnitName(unit)] = str(why)
    return found


def views_of(each: UnitLook, paths: tuple[str, ...]) -> tuple[View, ...]:
    """One view for each mount namespace and root: the first process of it that still lives."""
    found: dict[tuple[int, str], View] = {}
    for standpoint in each.standpoints:
        key = standpoint.mounts, standpoint.root
        view = None if key in found else look_from(standpoint, paths)
        if view is not None:
            found[key] = view
    return tuple(found.values())


def watched(subject: Subject, unit: UnitName) -> tuple[str, ...]:
    return ("/etc/resolv.conf", "/etc/nsswitch.conf", "/run", *hidden(subject, unit))


def hidden(subject: Subject, unit: UnitName) -> tuple[str, ...]:
    """What of the host's /run no service sees, but for what its owner has allowed."""
    allowed = subject.settings.refinement(unit).allow_paths
    return tuple(
        path for path in HIDDEN if not any(PurePosixPath(path).is_relative_to(a) for a in allowed)
    )


def expected_of(subject: Subject, unit: UnitName) -> Expected:
    state = tunnel_state(subject.name)
    sources = (f"{state}/resolv.conf", f"{state}/nsswitch.conf", private_run(unit))
    return Expected(
        tunnel=subject.name,
        sources=tuple(zip(sources, map(found_at, sources), strict=True)),
        hidden=tuple((path, found_at(path)) for path in hidden(subject, unit)),
        networks=named_networks(record_of_namespace(subject.name)),
    )


def found_at(path: str) -> Found:
    """What is at a path of the host's own, which is trusted."""
    try:
        status = Path(path).stat()
    except OSError:
        return Found(missing=True)
    return Found(device=status.st_dev, inode=status.st_ino)


def named_networks(own: str) -> dict[int, str]:
    """The network namespaces of the machine that have names, beside the tunnel's own."""
    names = {f"the namespace {path}": path for path in Path("/run/netns").glob("*")}
    names |= {f"tunnel {path.name}'s": path for path in Path(f"{STATE}/netns").glob("*")}
    names["the host's"] = Path("/proc/1/ns/net")
    inodes = {found_at(os.fspath(path)).inode: name for name, path in names.items()}
    inodes.pop(found_at(own).inode, None)
    return inodes
