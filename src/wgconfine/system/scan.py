"""Walk over the processes of a unit until nobody is there who was not looked at.

A process that ends while it is looked at may have handed what it held to a child: so only a listing
in which each was looked at alive counts as whole.
"""

import time
from dataclasses import dataclass, replace

from wgconfine.system.cgroup import Cgroup
from wgconfine.system.holdings import Holdings
from wgconfine.system.networks import Networks
from wgconfine.system.process import OpenProcess, Thread, namespace_number
from wgconfine.system.servicestatus import is_set_up

__all__ = ["GONE", "Elsewhere", "Scan", "Standpoint"]

GONE = (FileNotFoundError, ProcessLookupError)
"""What /proc says of a process that has ended."""

SETTLE_SECONDS = 3.0
"""How long a unit whose processes come and go is looked at again and again."""

_PAUSE = 0.02  # a child of systemd is set up within that, so that one outside is seen twice
_VIEWS = 16
_EACH = 3  # processes that stand for one view, in case one of them ends

_Key = tuple[int, int]  # number and start: one process, and no other after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A thread in another network namespace than the tunnel's."""

    pid: int
    tid: int
    name: str
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """A process that sees the files as all others of that mount namespace and root do.

    `main` says that the main process is one of them.
    """

    pid: int
    start: int
    name: str
    mounts: int
    root: str
    main: bool = False


class Scan:
    """What was found so far; `tunnel` is the inode of its network namespace."""

    def __init__(
        self, cgroup: Cgroup, tunnel: int, holdings: Holdings, networks: Networks, until: float
    ) -> None:
        self._cgroup, self._tunnel, self._until = cgroup, tunnel, until
        self._holdings, self._networks = holdings, networks
        self._suspects: dict[_Key, float] = {}
        self._standpoints: dict[tuple[int, str], list[Standpoint]] = {}
        self.looked: set[_Key] = set()
        self.unseen: set[str] = set()
        self.elsewhere: dict[tuple[int, int], Elsewhere] = {}

    def settle(self) -> bool:
        """Tell whether a listing came in which each had been looked at, within a while."""
        until = min(self._until, time.monotonic() + SETTLE_SECONDS)
        while True:
            new = [pid for pid in sorted(self._cgroup.processes()) if not self._is_known(pid)]
            if all(is_set_up(pid) for pid in new):
                return True
            if time.monotonic() > until:
                return False
            if not all([self._look_at(pid) for pid in new]):  # noqa: C419 — look at each
                time.sleep(_PAUSE)

    def _is_known(self, pid: int) -> bool:
        if pid == 0:
            self.unseen.add("a process of a PID namespace that can't be seen from here")
            return True
        try:
            with OpenProcess(pid) as process:
                return (pid, process.start) in self.looked
        except GONE:
            return False

    def _look_at(self, pid: int) -> bool:
        """Tell whether it was looked at whole, or is still systemd's own."""
        if time.monotonic() > self._until:
            return False
        try:
            with OpenProcess(pid) as process:
                try:
                    return is_set_up(pid) or self._look_into(process)
                except PermissionError as error:
                    self.unseen.add(f"process {pid}: {error.strerror}")
                    self.looked.add((pid, process.start))
                    return True
        except GONE:
            return False

    def _look_into(self, process: OpenProcess) -> bool:
        threads = list(process.threads())
        key = process.pid, process.start
        outside = [thread for thread in threads if thread.network != self._tunnel]
        if outside and not self._suspected_long(key):
            return False
        for thread in outside:
            self._add_elsewhere(process, thread)
        self._holdings.add(process, [thread.tid for thread in threads])
        if threads:
            self._add_standpoint(process)
        now = {thread.tid for thread in process.threads()}
        if not now <= {thread.tid for thread in threads}:
            return False
        self.looked.add(key)
        return True

    def _suspected_long(self, key: _Key) -> bool:
        now = time.monotonic()
        return now - self._suspects.setdefault(key, now) >= _PAUSE / 2

    def _add_elsewhere(self, process: OpenProcess, thread: Thread) -> None:
        self.elsewhere[process.pid, thread.tid] = Elsewhere(
            pid=process.pid, tid=thread.tid, name=process.name, network=thread.network
        )
        link = f"task/{thread.tid}/ns/net"
        self._networks.keep(thread.network, lambda: process.open(link))

    def _add_standpoint(self, process: OpenProcess) -> None:
        mounts, root = namespace_number(process.link("ns/mnt")), process.link("root")
        seen = self._standpoints.setdefault((mounts, root), [])
        if len(seen) < _EACH:
            found = Standpoint(
                pid=process.pid,
                start=process.start,
                name=process.name,
                mounts=mounts,
                root=root,
            )
            seen.append(found)

    def standpoints_of(self, main_pid: int) -> tuple[Standpoint, ...]:
        """Give a few processes of each view, the main process' first."""
        main = None
        try:
            with OpenProcess(main_pid) as process:
                main = namespace_number(process.link("ns/mnt")), process.link("root")
        except OSError:
            pass  # there is none, or it has ended: then no view is the main one
        keys = sorted(self._standpoints, key=lambda key: key != main)
        if len(keys) > _VIEWS:
            self.unseen.add(f"more than {_VIEWS} mount namespaces")
        return tuple(
            replace(each, main=key == main)
            for key in keys[:_VIEWS]
            for each in self._standpoints[key]
        )
