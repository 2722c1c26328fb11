"""What is seen of the processes of one unit from outside: frozen values, and how they are got."""

import os
import time
from dataclasses import dataclass

from wgconfine.system.cgroup import Cgroup
from wgconfine.system.holdings import Connection, Held, Holdings
from wgconfine.system.networks import Network, Networks
from wgconfine.system.scan import Elsewhere, Scan, Standpoint

__all__ = ["UnitLook", "look"]

_MOST = 50
"""Of one kind that is wrong are told; who has more has the same problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLook:
    """A snapshot. What is as it should be, in the tunnel's network namespace, is left out.

    `settled`: every process was looked at while it lived, and no other came meanwhile. `unseen`
    says in words what could not be looked at, `unread` the same of descriptors. `cgroups` are the
    numbers by which the kernel marks the unit's sockets.
    """

    processes: int
    settled: bool
    unseen: tuple[str, ...]
    unread: tuple[str, ...]
    elsewhere: tuple[Elsewhere, ...]
    held: tuple[Held, ...]
    connections: tuple[Connection, ...]
    networks: tuple[Network, ...]
    standpoints: tuple[Standpoint, ...]
    cgroups: tuple[int, ...]


def look(cgroup: Cgroup, tunnel: str, main_pid: int, seconds: float) -> UnitLook:
    """Look at every process of a unit for at most about `seconds`; in a child (system/aside.py).

    `tunnel` is the path of the tunnel's network namespace. Raises OSError where that or the control
    groups can't be read.
    """
    inode = os.stat(tunnel).st_ino  # noqa: PTH116 — a path of runtime/paths.py
    until = time.monotonic() + seconds
    with Networks() as networks:
        holdings = Holdings(inode, networks, until)
        scan = Scan(cgroup, inode, holdings, networks, until)
        settled = scan.settle()
        holdings.ask_peers(tunnel)
        standpoints = scan.standpoints_of(main_pid)
        return UnitLook(
            processes=len(scan.looked),
            settled=settled,
            unseen=tuple(sorted(scan.unseen | networks.unseen)[:_MOST]),
            unread=tuple(sorted(holdings.unseen)[:_MOST]),
            elsewhere=tuple(scan.elsewhere.values())[:_MOST],
            held=tuple(holdings.held)[:_MOST],
            connections=tuple(holdings.connections({pid for pid, _ in scan.looked}))[:_MOST],
            networks=tuple(networks.describe()),
            standpoints=standpoints,
            cgroups=tuple(sorted(cgroup.identities())),
        )
