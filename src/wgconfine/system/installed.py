"""What of ours is installed: where it lies, and what that tells of services. Reads only."""

from __future__ import annotations

from wgconfine.model.names import UnitName
from wgconfine.model.tree import File
from wgconfine.render.places import (
    CATALOG,
    CLOSING_UNITS,
    COMMAND_DROPIN,
    COMMANDS,
    closing_path,
    dropin_path,
    unit_digest,
)
from wgconfine.system.sources import LIVE
from wgconfine.system.unitstates import unit_digest_now

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wgconfine.model.state import UnitState
    from wgconfine.model.tree import Tree
    from wgconfine.model.units import UnitFacts

__all__ = [
    "LIVE",
    "PATTERNS",
    "SERVICES",
    "TEMPLATES",
    "changed_units",
    "closed_services",
    "has_other_templates",
    "unit_facts",
]

SERVICES = (
    "/etc/systemd/system/*.service.d/zz-wgconfine.conf",
    f"{CLOSING_UNITS}/*.service.d/zz-wgconfine-closed.conf",
)
"""The files that tell which services are confined, or closed."""

TEMPLATES = "/etc/systemd/system/wgconfine*"
"""Our units, those of single tunnels among them."""

PATTERNS = (
    TEMPLATES,
    "/etc/systemd/system/wgconfine*.d/wgconfine.conf",
    "/etc/systemd/system/run-netns-*.mount.d/wgconfine.conf",
    "/etc/systemd/system/run-wgconfine-netns-*.mount.d/wgconfine.conf",
    "/etc/systemd/system/wgconfine-probe@*.service.d/zz-wgconfine-probe.conf",
    f"/etc/systemd/system/{COMMANDS}*.service.d/{COMMAND_DROPIN}",
    "/etc/systemd/system/multi-user.target.wants/wgconfine@*.service",
    "/etc/systemd/system/timers.target.wants/wgconfine-tick.timer",
    *SERVICES,
    str(CATALOG),
    "/etc/systemd/network/10-wgconfine.network",
    "/etc/NetworkManager/conf.d/wgconfine.conf",
    "/etc/wgconfine/*.json",
)
"""Every place where a file of ours may lie."""


def unit_facts(root: Path, names: Sequence[UnitName]) -> dict[UnitName, UnitFacts]:
    """Give what is known of each unit: of a tree from its files alone."""
    # Neither is needed where nothing has changed since `apply`.
    from wgconfine.system.systemctl import RealSystemctl  # noqa: PLC0415
    from wgconfine.system.units import read_facts  # noqa: PLC0415
    from wgconfine.system.unitsearch import find_facts  # noqa: PLC0415

    return read_facts(RealSystemctl(), names) if root == LIVE else find_facts(root, names)


def closed_services(installed: Tree) -> set[UnitName]:
    """Give the services that were confined once and not released since: either file tells it."""
    units = {UnitName(path.parent.name.removesuffix(".d")) for path in installed}
    return {
        unit for unit in units if closing_path(unit) in installed or dropin_path(unit) in installed
    }


def changed_units(installed: Tree, states: Mapping[str, UnitState]) -> set[UnitName]:
    """Give the units that are not any more what their drop-ins were written for."""
    written = {unit: installed.get(dropin_path(UnitName(unit))) for unit in states}
    return {
        UnitName(unit)
        for unit, file in written.items()
        if isinstance(file, File) and unit_digest(file.text) != digest_now(states[unit])
    }


def digest_now(state: UnitState) -> str:
    """Give the digest of a unit by its files, which are searched for where systemd knows others."""
    unit = UnitName(state.name)
    if not state.need_daemon_reload:
        return unit_digest_now(state)
    return unit_facts(LIVE, [unit])[unit].digest


def has_other_templates(installed: Tree) -> bool:
    """Tell whether our templates are not what this version writes: an upgrade is not applied yet.

    False where there are none.
    """
    from wgconfine.render.templates import interpreter_of, templates  # noqa: PLC0415 — its texts

    python = interpreter_of(installed)
    if python is None:
        return False
    return any(installed.get(each.path) != each for each in templates(python=python))
