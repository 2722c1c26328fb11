"""One tunnel to be verified, with what was read of the machine once for all checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from wgconfine.model.settings import Backend, Settings, TunnelName, UnitName
from wgconfine.model.state import ALIVE, UnitState
from wgconfine.model.tree import Tree
from wgconfine.model.units import UnitFacts
from wgconfine.system.systemctl import Systemctl

__all__ = ["Origin", "Subject", "units_of_tunnel"]


def units_of_tunnel(name: TunnelName) -> tuple[UnitName, ...]:
    """Give the units of ours that have an instance for each tunnel."""
    kinds = ("netns", "reload", "wireguard", "endpoint")
    return (
        UnitName(f"wgconfine@{name}.service"),
        *(UnitName(f"wgconfine-{kind}@{name}.service") for kind in kinds),
    )


class Origin(Enum):
    """Where what is known of a tunnel comes from.

    INSTALLED and ORPHANED are known by NAME.json alone: the settings are wrong, or gone.
    """

    SETTINGS = auto()
    INSTALLED = auto()
    ORPHANED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A tunnel as declared, its services as they are, and what is installed.

    `settings` list real names, not aliases; where they are not to be had (`origin`) they are what
    NAME.json tells. `backend` is the one that NAME.json names. `facts` and `states` have the
    tunnel's own units and every service; `desired` and `installed` are all files of ours, of all
    tunnels, and `confined` the services of all.
    """

    settings: Settings
    backend: Backend
    facts: Mapping[UnitName, UnitFacts]
    states: Mapping[str, UnitState]
    desired: Tree
    installed: Tree
    systemctl: Systemctl
    origin: Origin = Origin.SETTINGS
    confined: frozenset[UnitName] = frozenset()

    @property
    def name(self) -> TunnelName:
        return self.settings.name

    @property
    def running(self) -> tuple[UnitName, ...]:
        """The services that have a process now."""
        return tuple(unit for unit in self.settings.services if self.states[unit].active in ALIVE)
