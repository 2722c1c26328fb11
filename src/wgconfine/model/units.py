"""What is known of a unit that shall be confined: its effective settings, in order."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from wgconfine.model.names import UnitName
from wgconfine.model.unittext import UnitText

__all__ = ["Assignment", "BusUser", "UnitFacts", "UnitText"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One `KEY=VALUE` line (continuations joined, value as written, specifiers not expanded)."""

    section: str
    key: str
    value: str
    path: PurePosixPath
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """The effective unit, less every file of ours.

    `texts` are the main file first and then the drop-ins in the order in which systemd reads them
    (systemd.unit(5): sorted by file name across all directories). `digest` is the SHA-256 (hex)
    over them: another digest means that the unit changed since it was rendered. `triggered_by` are
    the sockets, timers and paths that start it; `joined` are the units that share its namespace by
    `JoinsNamespaceOf=`, which counts in both directions. `load_state` is systemd's (`loaded`,
    `not-found`, `masked`, …); `user_unit` says that the name exists only among *user* units.
    """

    name: UnitName
    load_state: str
    names: tuple[str, ...] = ()
    texts: tuple[UnitText, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    triggered_by: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    user_unit: bool = False
    digest: str = ""

    def values(self, section: str, key: str) -> tuple[str, ...]:
        """What a *list* setting holds in the end: an empty line resets it (systemd.syntax(7))."""
        collected: list[str] = []
        for assignment in self.assignments:
            if (assignment.section, assignment.key) == (section, key):
                if assignment.value:
                    collected.append(assignment.value)
                else:
                    collected.clear()
        return tuple(collected)

    def value(self, section: str, key: str) -> str:
        """What a *scalar* setting holds in the end: the last line wins; empty if never set."""
        return next(
            (
                assignment.value
                for assignment in reversed(self.assignments)
                if (assignment.section, assignment.key) == (section, key)
            ),
            "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BusUser:
    """Who a unit is to the system bus: its user, its groups, and the name that it has there.

    Empty where the unit has none. A `dynamic` user is made by systemd when a unit of it starts.
    """

    user: str
    dynamic: bool = False
    group: str = ""
    groups: tuple[str, ...] = ()
    name: str = ""
