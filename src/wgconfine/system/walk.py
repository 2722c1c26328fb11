"""Directories below a root, entered one by one, and what the kernel says there in our words.

Below a root other than `/` no symbolic link is followed (openat(2) with O_NOFOLLOW at each name).
Below `/` links between directories are the distribution's own and are followed.
"""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from wgconfine.model.errors import NeedsRoot, OperationFailed

__all__ = ["ReadOnlyPlace", "Walk", "opened_root", "told"]

_ROOT = PurePosixPath("/")


class ReadOnlyPlace(OperationFailed):
    """`path` is below /usr and on a read-only file system: a place that can be done without."""

    def __init__(self, step: str, path: PurePosixPath) -> None:
        self.path = path
        super().__init__(step, os.strerror(errno.EROFS))


class Walk:
    """Directories below an opened root, reached name by name."""

    def __init__(self, root: int, *, follow: bool) -> None:
        self._root = root
        self._flags = os.O_RDONLY | os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW)

    @contextmanager
    def directory(self, path: PurePosixPath, *, create: bool = False) -> Iterator[int]:
        """An open descriptor of a directory; raises OSError, with the name that is in the way."""
        descriptor = os.dup(self._root)
        try:
            here = _ROOT
            for part in _ROOT.joinpath(path).parts[1:]:
                here /= part
                deeper = self._enter(descriptor, part, here, create=create)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    def _enter(self, above: int, name: str, path: PurePosixPath, *, create: bool) -> int:
        if name == "..":
            raise OSError(errno.EINVAL, "a path with '..' is not followed", os.fspath(path))
        try:
            return os.open(name, self._flags, dir_fd=above)
        except FileNotFoundError:
            if not create:
                raise
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(above, name):
                text = "is a symbolic link, which is not followed below another root"
                raise OSError(errno.ELOOP, text, os.fspath(path)) from error
            raise
        os.mkdir(name, 0o755, dir_fd=above)
        made = os.open(name, self._flags | os.O_NOFOLLOW, dir_fd=above)
        os.fchmod(made, 0o755)  # whatever the umask
        os.fsync(above)
        return made

    def matching(self, pattern: str) -> Iterator[PurePosixPath]:
        """The paths that are there and match, sorted."""
        yield from self._matching(_ROOT, _ROOT.joinpath(pattern).parts[1:])

    def _matching(self, above: PurePosixPath, parts: tuple[str, ...]) -> Iterator[PurePosixPath]:
        part, *rest = parts
        if rest and not set("*?[") & set(part):
            yield from self._matching(above / part, tuple(rest))
            return
        try:
            with told(f"list {above}", above, pass_missing=True), self.directory(above) as fd:
                entries = os.listdir(fd)  # noqa: PTH208  pathlib lists no descriptors
                names = sorted(fnmatch.filter(entries, part))
                if rest:  # a link among many directories is nobody's we know
                    names = [name for name in names if _is_directory(fd, name)]
        except FileNotFoundError:
            return
        for name in names:
            if rest:
                yield from self._matching(above / name, tuple(rest))
            else:
                yield above / name


@contextmanager
def opened_root(root: Path) -> Iterator[Walk]:
    """A walk below `root`, which may itself be reached by links; raises OperationFailed."""
    with told(f"open {root}", PurePosixPath(root)):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Walk(descriptor, follow=root.resolve() == Path("/"))
    finally:
        os.close(descriptor)


def _is_link(directory: int, name: str) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


def _is_directory(directory: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


@contextmanager
def told(step: str, path: PurePosixPath, *, pass_missing: bool = False) -> Iterator[None]:
    """Turn what the kernel says into an error that a person is meant to read."""
    try:
        yield
    except OSError as error:
        if pass_missing and error.errno == errno.ENOENT:
            raise
        if error.errno == errno.EROFS and path.is_relative_to("/usr"):
            raise ReadOnlyPlace(step, path) from error
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise NeedsRoot(f"{step}: {_cause(error)}. Run it as root.") from error
        hint = _READ_ONLY if error.errno == errno.EROFS else ""
        raise OperationFailed(step, _cause(error), hint) from error


def _cause(error: OSError) -> str:
    named = isinstance(error.filename, str) and error.filename.startswith("/")
    return f"{error.filename}: {error.strerror}" if named else str(error.strerror or error)


_READ_ONLY = "Where this is generated by the system itself, use `wgconfine render` instead"
