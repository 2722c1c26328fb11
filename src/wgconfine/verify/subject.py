"""One tunnel to be verified, with what was read of the machine once for all checks."""

from collections.abc import Mapping
from dataclasses import dataclass

from wgconfine.model.settings import Backend, Settings, TunnelName, UnitName
from wgconfine.model.state import UnitState
from wgconfine.model.tree import Tree
from wgconfine.model.units import UnitFacts
from wgconfine.system.systemctl import Systemctl

__all__ = ["Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A tunnel as declared, its services as they are, and what is installed.

    `settings` list real names, not aliases. `backend` is the one that NAME.json names. `states` has
    the tunnel's own units and every service; `desired` and `installed` are all files of ours, of
    all tunnels.
    """

    settings: Settings
    backend: Backend
    facts: Mapping[UnitName, UnitFacts]
    states: Mapping[str, UnitState]
    desired: Tree
    installed: Tree
    systemctl: Systemctl

    @property
    def name(self) -> TunnelName:
        return self.settings.name

    @property
    def running(self) -> tuple[UnitName, ...]:
        """The services that have a process now."""
        alive = {"active", "activating", "reloading", "refreshing", "deactivating"}
        return tuple(unit for unit in self.settings.services if self.states[unit].active in alive)
