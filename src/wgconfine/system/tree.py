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
from wgconfine.model.tree import MARK, File, Link, Tree
from wgconfine.plan.unitfile import MARK_WITHIN, is_ours
from wgconfine.system.walk import ReadOnlyPlace, opened_root, told

__all__ = ["ReadOnlyPlace", "TreeWriter", "read_installed"]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


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
            if not isinstance(standing, File | None):
                _refuse(step, standing)
            new = _new_name(file.path)
            with _removed_on_failure(directory, new):
                _write_synced(directory, new, file)
                os.replace(new, file.path.name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def link(self, link: Link) -> None:
        """Make a link; one of ours to another place of the same file is replaced."""
        step = f"link {link.path} to {link.target}"
        with self._parent(step, link.path, create=True) as directory:
            standing = _look(directory, link.path)
            if standing == link:
                return
            if standing is not None and not (
                isinstance(standing, Link) and standing.target.name == link.target.name
            ):
                _refuse(step, standing)
            new = _new_name(link.path)
            with _removed_on_failure(directory, new):
                os.symlink(link.target, new, dir_fd=directory)
                os.replace(new, link.path.name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file or link of ours, and its `….service.d` when that is then empty."""
        step = f"remove {path}"
        try:
            with self._parent(step, path, create=False) as directory:
                standing = _look(directory, path)
                if isinstance(standing, _Foreign):
                    _refuse(step, standing)
                for name in (path.name, _new_name(path)):  # a SIGKILL may have left the latter
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory)
                os.fsync(directory)
        except FileNotFoundError:
            return
        if path.parent.name.endswith(".service.d"):
            with self._parent(step, path.parent, create=True) as above, _unless_in_use():
                os.rmdir(path.parent.name, dir_fd=above)
                os.fsync(above)

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


def _refuse(step: str, standing: File | Link | _Foreign) -> None:
    if isinstance(standing, _Foreign):
        what = standing.kind
    else:
        what = (
            f"a link to {escape(os.fspath(standing.target))}"
            if isinstance(standing, Link)
            else "a file of ours"
        )
    hint = "Move it away, if it may go: wgconfine changes only files of its own"
    raise OperationFailed(step, f"{what} is in the way", hint)


def _new_name(path: PurePosixPath) -> str:
    """The name under which a file is written before it is moved; systemd reads no hidden files."""
    return f".{path.name}.new"


def _write_synced(directory: int, name: str, file: File) -> None:
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.text.encode(errors="surrogateescape"))
        stream.flush()
        os.fchmod(descriptor, file.mode)
        os.fsync(descriptor)


@contextmanager
def _removed_on_failure(directory: int, name: str) -> Iterator[None]:
    """What an earlier run left under the name goes first; what this one leaves goes too."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        raise


@contextmanager
def _unless_in_use() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT}:
            raise
