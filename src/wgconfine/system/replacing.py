"""A new content for a file in one step: it is written aside, synced, and then given its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["aside", "new_name", "replace_file"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def new_name(name: str) -> str:
    """The name of what is not finished. It is hidden, and nobody takes it for a unit or settings.

    It is the same each time, so that what a SIGKILL leaves is found by the next run.
    """
    return f".{name}.new"


def replace_file(
    directory: int, name: str, data: bytes, mode: int, *, times: tuple[int, int] | None = None
) -> None:
    """Give the file `name` in an opened directory this content; after a power cut, either one.

    `times` are those of its last access and change, in nanoseconds, where they are not now.
    """
    with aside(directory, name) as new:
        descriptor = os.open(new, _CREATE, 0o600, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(descriptor, mode)
            if times is not None:
                os.utime(descriptor, ns=times)
            os.fsync(descriptor)


@contextmanager
def aside(directory: int, name: str) -> Iterator[str]:
    """Make something under the name that is given, which then becomes `name`, or goes."""
    new = new_name(name)
    with suppress(FileNotFoundError):  # an earlier run was killed here
        os.unlink(new, dir_fd=directory)
    try:
        yield new
        os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=directory)
        raise
    os.fsync(directory)
