"""What a fault is: one thing that happens to a machine, what is expected of it, what was found."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faulttable.bench import Bench

__all__ = ["LIMITS", "PLACES", "TICK", "Fault", "Found", "Kind", "Place", "judge", "limit"]

TICK = 60
"""Seconds between two ticks, wgconfine's regular look at its tunnels."""


class Kind(StrEnum):
    """Where it happens, and so how fast all must be well again."""

    LOCAL = "local"
    ENDPOINT = "endpoint"


LIMITS = {Kind.LOCAL: 5.0, Kind.ENDPOINT: 2.0 * TICK}
"""Seconds from the moment the fault is over, or has struck, until every channel works again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A machine that faults happen to."""

    release: str
    systemd: int
    kernel: bool
    """It is a virtual machine, and WireGuard its kernel's; else a container with wireguard-go."""

    @property
    def name(self) -> str:
        return f"{self.release}-{'kernel' if self.kernel else 'userspace'}"


VERSIONS = {"bookworm": 252, "trixie": 257, "forky": 262}
PLACES = tuple(
    Place(release=release, systemd=version, kernel=kernel)
    for kernel in (False, True)
    for release, version in VERSIONS.items()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that happens while a confined service sends."""

    name: str
    title: str
    """What it is, in the table's words."""
    does: str
    """What is done, and what is expected: whole sentences."""
    strike: Callable[["Bench"], None]
    """Do it, and say by Bench.recovers() from when on the time counts until all is well."""
    kind: Kind = Kind.LOCAL
    same: bool = True
    """The service's process stays as it is; else it is another one."""
    mended: Callable[["Bench"], bool] = lambda _: True
    """What must be there again, beside every channel of the service."""
    restore: Callable[["Bench"], None] = lambda _: None
    """Take back what would be in the way of the next fault, once all has been looked at."""
    kernel: bool | None = None
    """Where it can happen: virtual machines alone, containers alone, or both."""
    since: int = 0
    """The systemd that brought it."""
    essential: bool = False
    """Tried by every run of the tests, on one systemd."""
    soak: bool = False
    """One of those that a soak picks from."""
    new_boot: bool = False
    """The network of the machine is another one afterwards."""

    def applies(self, place: Place) -> bool:
        return place.systemd >= self.since and self.kernel in {None, place.kernel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found of one fault on one machine."""

    foreign: int = 0
    """Packets on the uplink that are not the tunnel's."""
    seconds: float | None = None
    """From when it was over until every channel worked again; None where they never did."""
    ticks: int | None = None
    """How many ticks that took, where they were counted one by one."""
    same: bool | None = None
    """The service has the same process as before."""
    verified: int | None = None
    """The exit code of `wgconfine verify` afterwards."""
    slowness: float = 1.0
    """How many times longer a bare Python takes to start there than on what emulates it.

    In a container: how many times longer programs took than alone, where others had the processors.
    """
    failed: str = ""
    """Why the row failed; nothing where it did not."""


def limit(fault: Fault, slowness: float) -> float:
    """In how many seconds all must be well again.

    A local fault is mended by programs that start one after the other, and they alone are what an
    emulated machine is slow at, or one whose processors others want, too; ticks come by the clock.
    """
    return LIMITS[fault.kind] * (slowness if fault.kind is Kind.LOCAL else 1.0)


def judge(fault: Fault, found: Found) -> str:
    """Say why a row fails; nothing where all is as it has to be."""
    if found.failed:
        return found.failed
    if found.foreign:
        return f"{found.foreign} foreign packets"
    return too_late(limit(fault, found.slowness), found) or wrong_end(fault, found)


def too_late(seconds: float, found: Found) -> str:
    if found.seconds is None:
        return "not well again"
    if found.ticks is not None:
        return f"well after {found.ticks} ticks" if found.ticks > seconds / TICK else ""
    return f"well after {found.seconds:.1f} s" if found.seconds > seconds else ""


def wrong_end(fault: Fault, found: Found) -> str:
    if found.same is not fault.same:
        return f"the service was {'' if fault.same else 'not '}restarted"
    if found.verified != 0:
        return f"`wgconfine verify` exits with {found.verified}"
    return ""
