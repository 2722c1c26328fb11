"""What a confined service sees as resolv.conf, nsswitch.conf and /run, looked at from outside.

Runs in a child with a deadline (system/aside.py). Nothing is entered, opened for reading or
executed: each path is walked name by name with O_PATH from the root that the process has, symbolic
links are read and followed below that root alone, and a file system of the service's own making
(FUSE) is not even asked.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wgconfine.system.mounts import parse_mounts
from wgconfine.system.process import OpenProcess
from wgconfine.system.scan import Standpoint

__all__ = ["Found", "View", "look_from"]

_LINKS = 40  # as many as the kernel follows: path_resolution(7)
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is at a path: device and inode, or the reason why there is none in `problem`.

    `missing` tells that nothing is there.
    """

    device: int = 0
    inode: int = 0
    missing: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one process sees at each path, in the order asked for. `root` is what it sees at /."""

    standpoint: Standpoint
    root: Found
    found: tuple[Found, ...]


class _Stopped(Exception):
    """The walk went no further; the text says why."""


def look_from(standpoint: Standpoint, paths: tuple[str, ...]) -> View | None:
    """Give what a process sees; None where it has ended."""
    try:
        with OpenProcess(standpoint.pid) as process:
            if process.start != standpoint.start:
                return None
            walk = _Walk(process)
            view = View(
                standpoint=standpoint,
                root=walk.look("/"),
                found=tuple(walk.look(path) for path in paths),
            )
            return view if process.start == standpoint.start else None
    except (FileNotFoundError, ProcessLookupError):
        return None


class _Walk:
    """Paths as one process sees them."""

    def __init__(self, process: OpenProcess) -> None:
        self._process = process
        mounts = parse_mounts(process.read("mountinfo", limit=64 << 20))
        self._kinds = {str(each.number): each.kind for each in mounts}

    def look(self, path: str) -> Found:
        try:
            with self._reached(path) as descriptor:
                status = os.fstat(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return Found(missing=True)
        except _Stopped as stopped:
            return Found(problem=str(stopped))
        except OSError as error:
            return Found(problem=str(error.strerror))
        return Found(device=status.st_dev, inode=status.st_ino)

    @contextmanager
    def _reached(self, path: str) -> Iterator[int]:
        """A descriptor of what a path leads to, the last name's link followed as well."""
        above = [self._process.open("root", flags=os.O_PATH | os.O_DIRECTORY)]
        waiting = [part for part in reversed(path.split("/")) if part]
        links = 0
        try:
            self._must_answer(above[0])
            while waiting:
                part = waiting.pop()
                if part == ".":
                    continue
                if part == "..":
                    if len(above) > 1:
                        os.close(above.pop())
                    continue
                below = os.open(part, _PATH, dir_fd=above[-1])
                above.append(below)
                self._must_answer(below)
                if stat.S_ISLNK(os.fstat(below).st_mode):
                    links += 1
                    waiting += self._target(above, links)
            yield above[-1]
        finally:
            for descriptor in above:
                os.close(descriptor)

    def _target(self, above: list[int], links: int) -> list[str]:
        """Take a link off the way, and give the names that it stands for, the first one last."""
        if links > _LINKS:
            raise _Stopped("symbolic links lead in a circle there")
        link = above.pop()
        try:
            target = os.readlink("", dir_fd=link)
        finally:
            os.close(link)
        while target.startswith("/") and len(above) > 1:
            os.close(above.pop())
        return [part for part in reversed(target.split("/")) if part]

    def _must_answer(self, descriptor: int) -> None:
        """Stop before a file system is asked that a service can hold up: the mount tells."""
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:  # noqa: PTH123 — by number
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        kind = self._kinds.get(lines["mnt_id"].strip(), "")
        if kind.startswith("fuse"):
            raise _Stopped(f"a file system of the kind {kind} is mounted there")
        if kind == "proc" and stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise _Stopped("a link of /proc is there, which leads where its text does not say")
