"""The control group of a unit and all below it: cgroups(7), /proc/PID/cgroup."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["Cgroup", "socket_units", "unit_in", "unit_of"]

_PROC = Path("/proc")
# systemd mounts the one hierarchy here; where it keeps to version 1, its own is one directory down.
_PLACES = tuple(
    Path(place) for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
)
_LIMIT = 10_000
_UNITS = (".service", ".scope", ".socket")
"""What a control group is called that systemd makes for a unit with processes."""


class Cgroup:
    """The control groups of a unit: its own and those that it or systemd made below."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @staticmethod
    def find(control_group: str) -> "Cgroup | None":
        """Give the one that systemd names `/a.slice/b.service`; None where there is none."""
        if not control_group.startswith("/") or control_group == "/":
            return None
        for place in _PLACES:
            directory = place / control_group[1:]
            if (directory / "cgroup.procs").exists():
                return Cgroup(directory)
        return None

    def processes(self) -> set[int]:
        """The processes in it now, by number. 0 is one of a PID namespace that we can't see into.

        Raises OSError where a control group can't be read. One that goes away has no processes.
        """
        return {pid for directory in self._directories() for pid in _processes(directory)}

    def identities(self) -> set[int]:
        """The numbers by which the kernel marks a socket that is made there; none on version 1."""
        found: set[int] = set()
        if not (self._directory / "cgroup.controllers").exists():
            return found
        for directory in self._directories():
            try:
                found.add(directory.stat().st_ino)
            except FileNotFoundError:
                continue
        return found

    def _directories(self) -> Iterator[Path]:
        waiting = [self._directory]
        for _ in range(_LIMIT):
            if not waiting:
                return
            directory = waiting.pop()
            yield directory
            try:
                with os.scandir(directory) as entries:
                    waiting += [
                        Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)
                    ]
            except FileNotFoundError:
                continue
        raise OSError(errno.E2BIG, f"more than {_LIMIT} control groups", os.fspath(self._directory))


def _processes(directory: Path) -> Iterator[int]:
    try:
        yield from map(int, (directory / "cgroup.procs").read_text().split())
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return
        if error.errno != errno.EOPNOTSUPP:
            raise
        # A threaded one lists threads alone, and its processes may be listed above of the unit's.
        for thread in map(int, (directory / "cgroup.threads").read_text().split()):
            yield from _leader(thread)


def _leader(thread: int) -> Iterator[int]:
    try:
        status = (_PROC / str(thread) / "status").read_text(errors="replace")
    except OSError:
        return
    # A thread's name may hold what str.splitlines() takes for the end of a line, but no newline.
    yield from (int(line[5:]) for line in status.split("\n") if line.startswith("Tgid:"))


def unit_of(pid: int) -> str:
    """Give the unit of PID 1's that a process is in; empty where it is in none or has ended."""
    try:
        return unit_in((_PROC / str(pid) / "cgroup").read_text(errors="replace"))
    except OSError:
        return ""


def unit_in(cgroups: str) -> str:
    """Give the unit that PID 1 itself manages out of /proc/PID/cgroup; empty for none.

    It is the outermost one. Below it lie what a user manager calls a unit, and what a service with
    Delegate= makes: both may bear the name of any service of PID 1's.
    """
    # Names of control groups may hold what str.splitlines() takes for an end, but no newline.
    for line in filter(None, cgroups.split("\n")):
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "name=systemd"}:  # version 2, and systemd's own of version 1
            units = [part for part in path.split("/") if part.endswith(_UNITS)]
            if units:  # cgroups(7): on one of two hierarchies, where both are mounted
                return units[0]
    return ""


def socket_units() -> dict[int, str]:
    """Give the unit of each control group of a `.socket`, by the number that its sockets bear."""
    found = {}
    for place in (_PLACES[0], _PLACES[2]):
        if (place / "cgroup.controllers").exists():
            for directory, names, _ in os.walk(place):
                for name in names:
                    if name.endswith(".socket"):
                        with suppress(OSError):
                            found[(Path(directory) / name).stat().st_ino] = name
    return found
