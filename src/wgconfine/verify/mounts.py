"""What a process sees of the host's files, from its list of mounts and the modes of files. Pure.

The list is text (proc_pid_mountinfo(5)): no path of the process is walked, which could lead
anywhere or never end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from wgconfine.system.mounts import Mount

__all__ = [
    "Credentials",
    "foreign_mounts",
    "reachable",
    "seen_at",
    "top_at",
]

_WRITE, _SEARCH = 2, 1
CAP_DAC_OVERRIDE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """By what the kernel lets a process at a file."""

    user: int
    groups: frozenset[int]
    capabilities: int

    def has(self, capability: int) -> bool:
        return bool(self.capabilities >> capability & 1)

    def may(self, right: int, mode: int, owner: int, group: int) -> bool:
        """Whether the mode of a file gives it a right: path_resolution(7)."""
        if self.has(CAP_DAC_OVERRIDE):
            return True
        if owner == self.user:
            return bool(mode >> 6 & right)
        return bool(mode >> (3 if group in self.groups else 0) & right)


def top_at(mounts: Sequence[Mount], path: str) -> Mount | None:
    """The mount that a path leads into, walked from the root as the kernel does.

    The first mount met on the way is entered, so that those below what lies over them count not.
    """
    numbers = {each.number for each in mounts}
    entered = next((each for each in mounts if each.parent not in numbers), None)
    for _ in mounts:
        on_the_way = [
            each
            for each in mounts
            if entered and each.parent == entered.number and below(path, each.point) is not None
        ]
        if not on_the_way:
            break
        entered = min(on_the_way, key=lambda each: len(each.point))
    return entered


def below(path: str, directory: str) -> str | None:
    """What of a path comes after a directory, empty for that itself; None where it is elsewhere."""
    if path == directory:
        return ""
    start = directory.rstrip("/") + "/"
    return path.removeprefix(start) if path.startswith(start) else None


def join(directory: str, rest: str) -> str:
    return f"{directory.rstrip('/')}/{rest}" if rest else directory


def seen_at(host: Sequence[Mount], view: Sequence[Mount], path: str) -> Iterator[tuple[str, str]]:
    """Where a file of the host's is seen in a view: the path there, and what of the host's path
    was walked to get to it (modes of directories above a bind are of no account).
    """
    home = top_at(host, path)
    if home is None:
        return
    within = join(home.root, below(path, home.point) or "")
    for mount in view:
        rest = below(within, mount.root) if mount.device == home.device else None
        if rest is None:
            continue
        place = join(mount.point, rest)
        if top_at(view, place) is mount:
            yield place, rest


def foreign_mounts(
    view: Sequence[Mount],
    *,
    device: str,
    private: str,
    ours: Iterable[PurePosixPath],
    within: str = "",
) -> tuple[str, ...]:
    """What a view has of the host's /run (`device`) beside its own directory and what is ours.

    `private` is the root of its own /run on that device; `ours` are paths of the host. Where /run
    is a plain directory of a larger file system, it is `within` that.
    """
    roots = {f"{within}{str(path).removeprefix('/run')}" for path in ours}
    return tuple(
        f"/run{mount.root.removeprefix(within).rstrip('/')}"
        for mount in view
        if mount.device == device
        and below(mount.root, within or "/") is not None
        and below(mount.root, private) is None
        and not any(below(mount.root, root) is not None for root in roots)
        and top_at(view, mount.point) is mount
    )


def reachable(
    credentials: Credentials,
    path: str,
    walked: str,
    stat: Callable[[str], tuple[int, int, int] | None],
) -> bool:
    """Whether somebody may connect to a socket: write to it, and search what was walked.

    `stat` gives mode, owner and group of a path of the host's, None for one that is gone.
    """
    parts = PurePosixPath(path)
    depth = len(PurePosixPath(walked).parts)
    for directory in list(parts.parents)[: max(0, depth)]:
        found = stat(str(directory))
        if found is None or not credentials.may(_SEARCH, *found):
            return False
    found = stat(path)
    return found is not None and credentials.may(_WRITE, *found)
