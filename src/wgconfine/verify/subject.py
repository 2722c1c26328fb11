"""One tunnel to be verified, with what was read of the machine once for all checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from wgconfine.model.ports import Publish, Reach
from wgconfine.model.settings import Backend, Settings, TunnelName, UnitName
from wgconfine.model.state import ALIVE, UnitState
from wgconfine.model.tree import Tree
from wgconfine.model.units import UnitFacts
from wgconfine.render.ports import port_sockets
from wgconfine.system.systemctl import Systemctl

__all__ = ["Origin", "Subject", "units_of_ports", "units_of_tunnel"]


def units_of_tunnel(name: TunnelName) -> tuple[UnitName, ...]:
    """Give the units of ours that have an instance for each tunnel."""
    kinds = ("netns", "reload", "wireguard", "endpoint")
    return (
        UnitName(f"wgconfine@{name}.service"),
        *(UnitName(f"wgconfine-{kind}@{name}.service") for kind in kinds),
    )


def units_of_ports(settings: Settings) -> tuple[UnitName, ...]:
    """Give the socket of each published and reached port, and its proxy."""
    stems = (each.removesuffix(".socket") for each in port_sockets(settings))
    return tuple(UnitName(f"{stem}.{kind}") for stem in stems for kind in ("socket", "service"))


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
    NAME.json tells. `applied` are always those, as far as there are any: by them things run.
    `backend` is the one that NAME.json names. `facts` and `states` have the tunnel's own units, its
    ports' and every service; `desired` and `installed` are all files of ours, of all tunnels, and
    `confined` the services of all. `carried` are the tunnels that go through this one. `commands`
    are the units of what `wgconfine exec` runs in it.
    """

    settings: Settings
    applied: Settings
    backend: Backend
    facts: Mapping[UnitName, UnitFacts]
    states: Mapping[str, UnitState]
    desired: Tree
    installed: Tree
    systemctl: Systemctl
    origin: Origin = Origin.SETTINGS
    confined: frozenset[UnitName] = frozenset()
    carried: tuple[TunnelName, ...] = ()
    commands: tuple[UnitName, ...] = ()

    @property
    def name(self) -> TunnelName:
        return self.settings.name

    @property
    def publish(self) -> tuple[Publish, ...]:
        return self.applied.publish

    @property
    def reach(self) -> tuple[Reach, ...]:
        return self.applied.reach

    @property
    def running(self) -> tuple[UnitName, ...]:
        """The services that have a process now."""
        return tuple(unit for unit in self.settings.services if self.states[unit].active in ALIVE)
