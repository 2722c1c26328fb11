"""Read a file that decides where packets go: opened once, judged by descriptor and every parent."""

from __future__ import annotations

import os
import stat

from wgconfine.runtime.failure import Failure

LIMIT = 1 << 20
LINKS = 40  # as many as the kernel follows: path_resolution(7)
SECRET = 0o077
WRITABLE = 0o022


def judge(status: os.stat_result, path: str, forbidden: int) -> None:
    """Raise Failure unless root owns it and none of the `forbidden` mode bits is set."""
    if status.st_uid != 0:
        raise Failure(f"{path}: belongs to user {status.st_uid}, not to root. chown root it.")
    if status.st_mode & forbidden & WRITABLE:
        raise Failure(f"{path}: others than root may write there. chmod go-w it.")
    if status.st_mode & forbidden:
        raise Failure(f"{path}: holds a secret and others than root may read it. chmod 600 it.")


def open_trusted(path: str, *, secret: bool) -> int:
    """Give a descriptor of a regular file that only root can change (and read, if `secret`).

    Walks the path by descriptors, so that what was judged is what is read, and follows symbolic
    links itself: each must belong to root, as must every directory on the way. Raises Failure, of
    what is to be mended: the file, a link or a directory. A missing file is a Failure, too.
    """
    if not path.startswith("/"):
        raise Failure(f"{path}: is not an absolute path.")
    waiting = [part for part in reversed(path.split("/")) if part]
    links = 0
    here = ""  # the directory's path, free of links
    directory = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        judge(os.fstat(directory), "/", WRITABLE)
        while waiting:
            part = waiting.pop()
            status = os.stat(part, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                judge_link(status, f"{here}/{part}", links)
                target = os.readlink(part, dir_fd=directory)
                waiting += [step for step in reversed(target.split("/")) if step]
                if target.startswith("/"):
                    here = ""
                    os.close(directory)
                    directory = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            elif waiting:
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                below = os.open(part, flags, dir_fd=directory)
                os.close(directory)
                directory = below
                here = os.path.normpath(f"{here}/{part}")
                judge(os.fstat(directory), here, WRITABLE)
            else:
                # O_NONBLOCK: a FIFO in its place must not hold us up before it is refused.
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                return judged_file(os.open(part, flags, dir_fd=directory), path, secret=secret)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}.") from error
    finally:
        os.close(directory)
    raise Failure(f"{path}: is a directory. Name a file.")


def judge_link(status: os.stat_result, path: str, links: int) -> None:
    if status.st_uid != 0:
        raise Failure(
            f"{path}: is a symbolic link of user {status.st_uid}, not of root. chown -h root it."
        )
    if links > LINKS:
        raise Failure(f"{path}: symbolic links lead in a circle there. Mend them.")


def judged_file(descriptor: int, path: str, *, secret: bool) -> int:
    try:
        judge_file(os.fstat(descriptor), path, secret=secret)
    except Failure:
        os.close(descriptor)
        raise
    return descriptor


def judge_file(status: os.stat_result, path: str, *, secret: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Failure(f"{path}: is not a regular file. Put one there.")
    judge(status, path, SECRET | WRITABLE if secret else WRITABLE)


def read_trusted(path: str, *, secret: bool) -> bytes:
    """Give the content of `path`, at most 1 MiB, judged as `open_trusted` does."""
    with open(open_trusted(path, secret=secret), "rb") as file:
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise Failure(f"{path}: is larger than 1 MiB. Name the right file.")
    return content
