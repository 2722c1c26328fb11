"""What of ours is installed: where it lies, and what that tells of services. Reads only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wgconfine.model.settings import UnitName
from wgconfine.model.tree import File, Tree
from wgconfine.model.units import UnitFacts
from wgconfine.render.catalog import CATALOG
from wgconfine.render.service import CLOSING_UNITS, closing_path, dropin_path, unit_digest
from wgconfine.render.templates import interpreter_of, templates
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.system.units import read_facts
from wgconfine.system.unitsearch import find_facts

__all__ = [
    "LIVE",
    "PATTERNS",
    "changed_units",
    "closed_services",
    "has_other_templates",
    "unit_facts",
]

PATTERNS = (
    "/etc/systemd/system/wgconfine*",
    "/etc/systemd/system/wgconfine*.d/wgconfine.conf",
    "/etc/systemd/system/run-netns-*.mount.d/wgconfine.conf",
    "/etc/systemd/system/run-wgconfine-netns-*.mount.d/wgconfine.conf",
    "/etc/systemd/system/wgconfine-probe@*.service.d/zz-wgconfine-probe.conf",
    "/etc/systemd/system/multi-user.target.wants/wgconfine@*.service",
    "/etc/systemd/system/timers.target.wants/wgconfine-tick.timer",
    "/etc/systemd/system/*.service.d/zz-wgconfine.conf",
    f"{CLOSING_UNITS}/*.service.d/zz-wgconfine-closed.conf",
    str(CATALOG),
    "/etc/systemd/network/10-wgconfine.network",
    "/etc/NetworkManager/conf.d/wgconfine.conf",
    "/etc/wgconfine/*.json",
)
"""Every place where a file of ours may lie."""

LIVE = Path("/")
"""The running machine; any other root is a tree of files that no systemd runs from."""


def unit_facts(root: Path, names: Sequence[UnitName]) -> dict[UnitName, UnitFacts]:
    """Give what is known of each unit: of a tree from its files alone."""
    return read_facts(RealSystemctl(), names) if root == LIVE else find_facts(root, names)


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


def has_other_templates(installed: Tree) -> bool:
    """Tell whether our templates are not what this version writes: an upgrade is not applied yet.

    False where there are none.
    """
    python = interpreter_of(installed)
    if python is None:
        return False
    return any(installed.get(each.path) != each for each in templates(python=python))
