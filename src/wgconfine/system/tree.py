"""The files of ours on a root directory: which are there, and how one is written or removed.

No file that lacks our mark is touched. The last name of a path is never followed; what holds of the
directories before it is said in `walk`.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wgconfine.config.escape import escape
from wgconfine.model.errors import OperationFailed
from wgconfine.model.problem import Problem
from wgconfine.model.tree import MARK, File, Link, Tree
from wgconfine.plan.unitdigest import MARK_WITHIN, is_ours, without_comments
from wgconfine.system.replacing import aside, new_name, replace_file
from wgconfine.system.walk import ReadOnlyPlace, Walk, opened_root, told

__all__ = ["ReadOnlyPlace", "TreeWriter", "obstacles", "read_installed"]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class _Foreign:
    """Something of somebody else's; `kind` says what."""

    kind: str


def read_installed(root: Path, patterns: Iterable[str]) -> Tree:
    """Every file and link of ours below `root` whose path matches one of the patterns.

    A pattern is an absolute path whose components may have `*`, `?` and `[…]` (never across a `/`).
    Raises OperationFailed for what cannot be read.
    """
    tree: Tree = {}
    with opened_root(root) as walk:
        for pattern in patterns:
            for path in walk.matching(pattern):
                with told(f"read {path}", path), walk.directory(path.parent) as directory:
                    found = _look(directory, path)
                if isinstance(found, (File, Link)):
                    tree[path] = found
    return dict(sorted(tree.items()))


class TreeWriter:
    """Writes and removes files of ours below `root`, each at once or not at all.

    Every method raises OperationFailed, with ReadOnlyPlace for a read-only file system below /usr;
    a file of somebody else's is named and left alone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, entry: File | Link) -> None:
        """Write a file or make a link, whichever it is."""
        if isinstance(entry, File):
            self.write(entry)
        else:
            self.link(entry)

    def write(self, file: File) -> None:
        """Write a file, with its parents (0755) where they are missing. It must carry our mark."""
        if not is_ours(file.text):
            raise ValueError(f"{file.path} would be written without our mark")
        step = f"write {file.path}"
        with self._parent(step, file.path, create=True) as directory:
            standing = _look(directory, file.path)
            _refuse(step, _obstacle(standing, file))
            data = file.text.encode(errors="surrogateescape")
            # The time tells `verify` whether a process was started with these settings.
            times = _times(directory, file.path) if _same_settings(standing, file) else None
            replace_file(directory, file.path.name, data, file.mode, times=times)

    def link(self, link: Link) -> None:
        """Make a link; one of ours to another place of the same file is replaced."""
        step = f"link {link.path} to {link.target}"
        with self._parent(step, link.path, create=True) as directory:
            standing = _look(directory, link.path)
            if standing == link:
                return
            _refuse(step, _obstacle(standing, link))
            with aside(directory, link.path.name) as new:
                os.symlink(link.target, new, dir_fd=directory)

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file or link of ours, and the `.d` of its unit when that is then empty."""
        step = f"remove {path}"
        try:
            with self._parent(step, path, create=False) as directory:
                standing = _look(directory, path)
                _refuse(step, standing.kind if isinstance(standing, _Foreign) else "")
                for name in (path.name, new_name(path.name)):  # a SIGKILL may have left the latter
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory)
                os.fsync(directory)
        except FileNotFoundError:
            return
        if path.parent.name.endswith((".service.d", ".mount.d")):
            self.remove_empty(path.parent)

    def remove_empty(self, path: PurePosixPath) -> None:
        """Remove a directory, if it is there and has nothing in it."""
        step = f"remove {path}"
        with (
            suppress(FileNotFoundError),
            self._parent(step, path, create=False) as above,
            _unless_in_use(),
        ):
            os.rmdir(path.name, dir_fd=above)
            os.fsync(above)

    def sweep(self, patterns: Iterable[str], *, directories: Iterable[str]) -> None:
        """Remove what a killed run left unfinished beside paths that match one of the patterns.

        And those of the directories, which are ours by their names, that are empty.
        """
        with opened_root(self._root) as walk:
            found = [path for each in patterns for path in walk.matching(_unfinished(each))]
            empty = [path for each in directories for path in walk.matching(each)]
        for path in found:
            with self._parent(f"remove {path}", path, create=False) as directory:
                status = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    os.unlink(path.name, dir_fd=directory)
        for path in empty:
            self.remove_empty(path)

    @contextmanager
    def _parent(self, step: str, path: PurePosixPath, *, create: bool) -> Iterator[int]:
        with (
            told(step, path, pass_missing=not create),
            opened_root(self._root) as walk,
            walk.directory(path.parent, create=create) as directory,
        ):
            yield directory


def _look(directory: int, path: PurePosixPath) -> File | Link | _Foreign | None:
    """What stands under the last name of `path`, without following it."""
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        target = PurePosixPath(os.readlink(path.name, dir_fd=directory))
        ours = target.name.startswith("wgconfine")
        return (
            Link(path=path, target=target)
            if ours
            else _Foreign(f"a link to {escape(os.fspath(target))}")
        )
    if not stat.S_ISREG(found.st_mode):
        return _Foreign("a directory" if stat.S_ISDIR(found.st_mode) else "a special file")
    with os.fdopen(os.open(path.name, _READ, dir_fd=directory), "rb") as file:
        head = file.read(MARK_WITHIN)
        if MARK.encode() not in head:
            return _Foreign("a file without our mark")
        text = (head + file.read()).decode(errors="surrogateescape")
    return File(path=path, text=text, mode=stat.S_IMODE(found.st_mode))


def _same_settings(standing: File | Link | _Foreign | None, file: File) -> bool:
    return isinstance(standing, File) and without_comments(standing.text) == without_comments(
        file.text
    )


def _times(directory: int, path: PurePosixPath) -> tuple[int, int]:
    status = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    return status.st_atime_ns, status.st_mtime_ns


def obstacles(root: Path, entries: Iterable[File | Link]) -> list[Problem]:
    """Give everything of somebody else's that is where a file of ours shall be."""
    found = []
    with opened_root(root) as walk:
        for entry in entries:
            where, kind = entry.path, ""
            if entry.path.parent.name.endswith(".d"):
                where, kind = entry.path.parent, _kind_of_directory(walk, entry.path.parent)
            if not kind:
                where, kind = entry.path, _standing(walk, entry)
            if kind:
                found.append(Problem(where=str(where), what=f"{kind} is in the way", hint=_HINT))
    return found


def _standing(walk: Walk, entry: File | Link) -> str:
    try:
        with walk.directory(entry.path.parent) as directory:
            return _obstacle(_look(directory, entry.path), entry)
    except NotADirectoryError:
        return "something above it that is no directory"
    except OSError:  # nothing is there, or it can't be seen; writing says what there is to say
        return ""


def _kind_of_directory(walk: Walk, path: PurePosixPath) -> str:
    """Say what is there if it is no directory; one that a link leads to is not listed, either."""
    try:
        with walk.directory(path.parent) as above:
            mode = os.stat(path.name, dir_fd=above, follow_symlinks=False).st_mode
    except OSError:
        return ""
    if stat.S_ISDIR(mode):
        return ""
    return "a symbolic link" if stat.S_ISLNK(mode) else "a file that is no directory"


def _obstacle(standing: File | Link | _Foreign | None, entry: File | Link) -> str:
    """Say what keeps an entry from being put in its place; empty for nothing."""
    match standing, entry:
        case (None, _) | (File(), File()):
            return ""
        case Link(target=there), Link(target=wanted) if there.name == wanted.name:
            return ""
        case _Foreign(kind=kind), _:
            return kind
        case Link(target=there), _:
            return f"a link to {escape(os.fspath(there))}"
        case _:
            return "a file of ours"


_HINT = "Move it away, if it may go: wgconfine changes only files of its own"


def _refuse(step: str, kind: str) -> None:
    if kind:
        raise OperationFailed(step, f"{kind} is in the way", _HINT)


def _unfinished(pattern: str) -> str:
    path = PurePosixPath(pattern)
    return os.fspath(path.with_name(new_name(path.name)))


@contextmanager
def _unless_in_use() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT}:
            raise
