"""What a run that is cut off would forget, and what the next one makes of it. Pure.

The files and units of a machine tell what is still to be done, but not which services ran before
they were stopped, nor that a release was said. That is kept in /run while a run changes things.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wgconfine.model.settings import UnitName

__all__ = ["RELEASE", "Unfinished"]

RELEASE = ""
"""The word was `release UNIT`; a tunnel's name stands for `remove NAME --release`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What is under way, or was when a run was cut off.

    `stopped` are the services that are stopped until their files are in place, `starting` what is
    to be started in the end: services that ran, new tunnels. `restarting` are tunnels whose units
    changed. `released` are the services that somebody let go, with the word for it.
    """

    stopped: frozenset[UnitName] = frozenset()
    starting: frozenset[str] = frozenset()
    restarting: frozenset[str] = frozenset()
    released: Mapping[UnitName, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.stopped or self.starting or self.restarting or self.released)

    def __or__(self, other: "Unfinished") -> "Unfinished":
        return Unfinished(
            stopped=self.stopped | other.stopped,
            starting=self.starting | other.starting,
            restarting=self.restarting | other.restarting,
            released={**self.released, **other.released},
        )

    def services(self) -> frozenset[UnitName]:
        """Every service that a run has touched and not come to the end with."""
        return self.stopped | self.released.keys()

    def only(self, units: Iterable[str]) -> "Unfinished":
        """The part of it that is about these services and tunnels."""
        kept = frozenset(units)
        return Unfinished(
            stopped=frozenset(unit for unit in self.stopped if unit in kept),
            starting=self.starting & kept,
            restarting=self.restarting & kept,
            released={unit: word for unit, word in self.released.items() if unit in kept},
        )

    def words_of(self, left: "Unfinished") -> "Unfinished":
        """The words that were said of what is left to be done."""
        words = {unit: word for unit, word in self.released.items() if unit in left.starting}
        return Unfinished(released=words)

    def half_released(
        self, *, confined: Iterable[UnitName], released: Iterable[UnitName]
    ) -> frozenset[UnitName]:
        """The services whose release was cut off, and that nobody says it of again.

        They are left as they are: another command must not finish a word that it was not told. One
        that the settings confine again is no longer among them.
        """
        return frozenset(self.released.keys() - {*confined, *released})
