"""wgconfine-paths@NAME.service: paths of the host's /run that its owner lets a service see, too.

A mount that is made on the host, in the directory that a service has for /run, spreads into that
service while it runs: systemd makes each unit's mount namespace a slave of the host's. So a path
whose owner makes it anew is mounted anew, and nothing of the service is restarted for it.

The service may write in that directory. It is walked by descriptors, and no link in it is followed.
"""

from __future__ import annotations

import os
import stat

from wgconfine.config.holes import shut_path
from wgconfine.runtime import paths, resolver
from wgconfine.runtime.failure import Failure, warn
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.mounts import bind, detach, mount_of, mount_points
from wgconfine.runtime.record import load
from wgconfine.runtime.trusted import LINKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RUN = "/run"
FIND = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
ENTER = FIND | os.O_DIRECTORY
MODE = 0o755


def up(name: str) -> None:
    """Mount what is not there yet or was made anew, unmount what is gone or may not be seen now.

    Twice is once. What can't be mounted is said, and the others are: a service whose database is
    not there yet starts without it, as it does on every machine. Raises Failure.
    """
    record = load(name)
    with Lock(name):
        before = remembered(name)
        remember(name, [*before, *record.allow_paths])
        for unit in {*before, *record.allow_paths}:
            allowed = record.allow_paths.get(unit, [])
            withdraw(unit, keep={path.removeprefix(f"{RUN}/") for path in allowed})
            for path in allowed:
                try:
                    offer(unit, path)
                except (Failure, OSError) as error:
                    warn(f"{unit} can't be given {path}: {error}")
        remember(name, record.allow_paths)


def down(name: str) -> None:
    """Unmount all of them. Raises OSError."""
    with Lock(name):
        for unit in remembered(name):
            withdraw(unit, keep=set())
        remember(name, [])


def remembered(name: str) -> list[str]:
    """Give the services that may have such mounts, whatever the record says by now."""
    text = resolver.read_host_file(f"{paths.tunnel_state(name)}/{paths.OFFERED}")
    return text.splitlines()


def remember(name: str, units: Iterable[str]) -> None:
    os.makedirs(paths.tunnel_state(name), mode=MODE, exist_ok=True)
    text = "".join(f"{unit}\n" for unit in dict.fromkeys(units))
    resolver.write_in_place(f"{paths.tunnel_state(name)}/{paths.OFFERED}", text)


def offer(unit: str, path: str) -> None:
    """Have a service see what is at `path` of the host now, or may be seen. Raises Failure."""
    what = f"{paths.private_run(unit)}{path.removeprefix(RUN)}"
    try:
        source = open_source(path)
    except Failure as failure:
        warn(f"{unit} can't be given {path}: {failure}")
        source = None  # nor what was there before
    try:
        folder = source is None or stat.S_ISDIR(os.fstat(source).st_mode)
        top = os.open(paths.private_run(unit), ENTER)
        try:
            parent, name = open_parent(top, path.removeprefix(f"{RUN}/"))
            try:
                settle(source, parent, name, (path, what), top=top, folder=folder)
            finally:
                os.close(parent)
        finally:
            os.close(top)
    finally:
        if source is not None:
            os.close(source)


def settle(
    source: int | None, parent: int, name: str, says: tuple[str, str], *, top: int, folder: bool
) -> None:
    """Make `name` show `source`: an empty directory where there is none.

    A unit may name the path in ReadWritePaths= and its like, and would not start without any.
    """
    if uncover(source, parent, name, says[1], top=top):
        return
    if source is None and resolver.exists(name, parent):
        return  # a socket's place is as good as a directory
    make_place(name, parent, folder=folder)
    if source is not None:
        target = os.open(name, FIND, dir_fd=parent)
        try:
            bind(source, target, " ".join(says))
        finally:
            os.close(target)


def uncover(source: int | None, parent: int, name: str, what: str, *, top: int) -> bool:
    """Unmount what `name` shows, unless that is `source`: then say so."""
    while (target := open_target(name, parent)) is not None:
        try:
            if mount_of(target) == mount_of(top):
                return False
            if source is not None and same(source, target):
                return True
            detach(target, what)
        finally:
            os.close(target)
    return False


def open_source(path: str) -> int | None:
    """Give a descriptor of a path of the host, None where there is none.

    Links are followed where root made them, and never out of /run or to what stays shut: an owner
    of a directory on the way could lead anywhere. Raises Failure.
    """
    waiting = [part for part in reversed(path.split("/")[2:]) if part]
    here = [RUN]
    opened = [os.open(RUN, ENTER)]
    links = 0
    try:
        while waiting:
            part = waiting.pop()
            try:
                status = os.stat(part, dir_fd=opened[-1], follow_symlinks=False)
                if not stat.S_ISLNK(status.st_mode):
                    opened.append(os.open(part, FIND, dir_fd=opened[-1]))
                    here.append(part)
                    continue
                target = os.readlink(part, dir_fd=opened[-1])
            except (FileNotFoundError, NotADirectoryError):
                return None
            links += 1
            target = judge_link("/".join([*here, part]), target, status.st_uid, links)
            waiting += [step for step in reversed(target.split("/")[2:]) if step]
            while len(opened) > 1:
                os.close(opened.pop())
            here = [RUN]
        if why := shut_path("/".join(here)):
            raise Failure(f"it leads to {'/'.join(here)}, which can't be opened: {why}")
        return os.dup(opened[-1])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def judge_link(link: str, target: str, owner: int, links: int) -> str:
    """Give where a link leads, from the top. Raises Failure."""
    whole = os.path.normpath(os.path.join(os.path.dirname(link), target))
    if whole.startswith("/var/run/"):
        whole = whole.removeprefix("/var")
    if owner != 0:
        raise Failure(f"{link} is a symbolic link of user {owner}, not of root")
    if links > LINKS:
        raise Failure(f"symbolic links lead in a circle at {link}")
    if not whole.startswith(f"{RUN}/"):
        raise Failure(f"{link} leads out of {RUN}, where nothing is hidden")
    return whole


def open_parent(top: int, path: str) -> tuple[int, str]:
    """Give the directory in which the last part of a path lies, made if need be, and that part.

    Whatever else the service has put in the way goes; what it puts there meanwhile is an OSError.
    """
    *parts, name = path.split("/")
    directory = os.dup(top)
    try:
        for part in parts:
            make_place(part, directory, folder=True)
            below = os.open(part, ENTER, dir_fd=directory)
            os.close(directory)
            directory = below
            refuse_mount(directory, top, part)
    except BaseException:
        os.close(directory)
        raise
    return directory, name


def refuse_mount(directory: int, top: int, part: str) -> None:
    """Raise Failure where a mount lies: below it is what the host has, not the service."""
    if mount_of(directory) != mount_of(top):
        raise Failure(f"another path lies over {part} in its /run")


def open_target(name: str, parent: int) -> int | None:
    try:
        return os.open(name, FIND, dir_fd=parent)
    except FileNotFoundError:
        return None


def make_place(name: str, parent: int, *, folder: bool) -> None:
    """Make what can be mounted on: a directory on a directory, anything else on a file."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        mode = 0
    if folder:
        if mode and not stat.S_ISDIR(mode):
            os.unlink(name, dir_fd=parent)
        if not stat.S_ISDIR(mode):
            os.mkdir(name, MODE, dir_fd=parent)
        return
    if stat.S_ISDIR(mode):
        os.rmdir(name, dir_fd=parent)
    elif mode and not stat.S_ISREG(mode):
        os.unlink(name, dir_fd=parent)
    if not stat.S_ISREG(mode):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o600, dir_fd=parent))


def same(one: int, other: int) -> bool:
    first, second = os.fstat(one), os.fstat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def withdraw(unit: str, *, keep: set[str]) -> None:
    """Unmount what a service is given, but for some paths; also what it has moved elsewhere.

    Also in what the last run of it left, as it was put aside. Never fails the tunnel.
    """
    name = os.path.basename(paths.private_run(unit))
    directory = os.path.dirname(paths.private_run(unit))
    for point in mount_points(directory):
        first, _, rest = point.partition("/")
        ours = first == name and not is_within(rest, keep)
        if not ours and not resolver.is_leftover(first, name):
            continue
        try:
            unmount(directory, point)
        except OSError as error:
            warn(f"{directory}/{point} stays mounted: {error}")


def is_within(path: str, kept: Iterable[str]) -> bool:
    """Tell whether a path is one of those, or what the host has mounted below one since."""
    return any(path == each or path.startswith(f"{each}/") for each in kept)


def unmount(directory: str, point: str) -> None:
    descriptor = os.open(directory, ENTER)
    try:
        for part in point.split("/"):
            below = os.open(part, FIND, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        detach(descriptor, f"{directory}/{point}")
    finally:
        os.close(descriptor)
