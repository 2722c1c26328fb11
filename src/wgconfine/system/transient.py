"""Which commands of `wgconfine exec` there are now, by one directory: `status` is asked often."""

from __future__ import annotations

import os

from wgconfine.model.names import UnitName
from wgconfine.render.places import command_prefix

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from wgconfine.model.names import TunnelName

__all__ = ["TRANSIENT", "commands_of", "is_loaded"]

TRANSIENT = "/run/systemd/transient"
"""Where systemd keeps the file of each transient unit for as long as it has the unit."""


def commands_of(name: TunnelName) -> tuple[UnitName, ...]:
    """Give the units of a tunnel's commands, in their order."""
    try:
        found = os.listdir(TRANSIENT)  # noqa: PTH208 — names, not paths
    except FileNotFoundError:  # there has been none since the machine started
        return ()
    prefix = command_prefix(name)
    names = (each for each in found if each.startswith(prefix) and each.endswith(".service"))
    return tuple(map(UnitName, sorted(names)))


def is_loaded(unit: str) -> bool:
    return os.path.exists(f"{TRANSIENT}/{unit}")  # noqa: PTH110 — by name
