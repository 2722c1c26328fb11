"""The files that confined services see as resolv.conf, nsswitch.conf and /run."""

from __future__ import annotations

import errno
import os
import stat
from itertools import count

from wgconfine.runtime import paths
from wgconfine.runtime.failure import step, warn
from wgconfine.runtime.mounts import mount_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def resolv_conf(servers: list[str], search: list[str]) -> str:
    """Give resolv.conf(5) for the tunnel's resolvers."""
    lines = ["# The resolvers of this WireGuard tunnel, written by wgconfine."]
    lines += [f"nameserver {server}" for server in servers]
    if search:
        lines.append(f"search {' '.join(search)}")
    if not servers:
        lines.append("# None are declared: look-ups fail.")
    return "\n".join(lines) + "\n"


def nsswitch_conf(hosts_file: str) -> str:
    """Give the host's nsswitch.conf(5), with host names from files and DNS alone.

    Users and groups stay as they are; `resolve`, `mdns` and their like would ask daemons of the
    host.
    """
    kept = [
        line
        for line in hosts_file.splitlines()
        if line.partition(":")[0].strip() not in {"hosts", "networks"}
    ]
    return "\n".join([*kept, "hosts: files dns", "networks: files"]) + "\n"


def read_host_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write_in_place(path: str, text: str) -> None:
    """Rewrite a file and keep its inode: the bind mounts of running services hold on to it."""
    data = text.encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # whatever the umask: users of services read it
        if os.pread(descriptor, len(data) + 1, 0) != data:
            step(f"write {path}")
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def write_files(name: str, servers: list[str], search: list[str]) -> None:
    directory = paths.tunnel_state(name)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    write_in_place(f"{directory}/resolv.conf", resolv_conf(servers, search))
    nsswitch = nsswitch_conf(read_host_file("/etc/nsswitch.conf"))
    write_in_place(f"{directory}/nsswitch.conf", nsswitch)


def prepare_private_runs(services: Iterable[str]) -> None:
    """Make the directory that each service sees as /run, with what programs expect there.

    One that is there is left alone, since a service can plant anything in it: a new one is made
    aside, where no service can reach, and then given its name.
    """
    os.makedirs(directory_of_all(), exist_ok=True)
    parent = open_private_runs()
    try:
        # Root's alone: a lock directory in there may be written by all.
        os.fchmod(parent, 0o700)
        for unit in services:
            name = os.path.basename(paths.private_run(unit))
            if exists(name, parent):
                continue
            made = f"=={name}"
            if exists(made, parent):  # we were killed here
                aside = free_name(name, parent, count())
                os.rename(made, aside, src_dir_fd=parent, dst_dir_fd=parent)
            os.mkdir(made, dir_fd=parent)
            fill_private_run(open_directory(made, parent))
            os.rename(made, name, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        os.close(parent)


def fill_private_run(directory: int) -> None:
    try:
        os.fchmod(directory, 0o755)
        for name, mode in (("user", 0o755), ("lock", 0o1777)):  # sticky and for all, as /run/lock
            os.mkdir(name, dir_fd=directory)
            below = open_directory(name, directory)
            try:
                os.fchmod(below, mode)
            finally:
                os.close(below)
        os.symlink("/dev/shm", "shm", dir_fd=directory)  # noqa: S108 — what /run/shm is on Debian
    finally:
        os.close(directory)


def prepare_private_buses(services: Iterable[str]) -> None:
    """Make the directory that each service sees as /run/dbus, for the socket of its own bus.

    It stays, so that the socket can be made anew in it: a bind holds on to the directory. The proxy
    writes there with the service's own user; the service itself cannot, and nobody else gets in.
    """
    for unit in services:
        path = paths.private_bus(unit)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o1777)  # noqa: S103 — below a directory of root's alone


def clear_private_runs(services: Iterable[str]) -> None:
    """Take away what the last run of each service left there. Never fails the tunnel.

    It is moved aside first, under a name that no unit can have, and deleted as far as that goes:
    names that begin with `=` are leftovers. Never follows a symbolic link.
    """
    if not os.path.isdir(directory_of_all()):
        return
    for unit in services:
        name = os.path.basename(paths.private_run(unit))
        try:
            parent = open_private_runs()
            try:
                if exists(name, parent):
                    aside = free_name(name, parent, count())
                    os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
                remove_leftovers(name, parent)
            finally:
                os.close(parent)
        except OSError as error:
            warn(f"what the last run of {unit} left in its /run stays: {error}")


def remove_leftovers(name: str, parent: int) -> None:
    """Delete whatever bears a leftover's name of this unit, and raise the first error, at the end.

    A service can nest directories deeper than any recursion goes: each is moved up to `parent`
    before it is emptied.
    """
    numbers = count()
    failed: dict[str, OSError] = {}
    while True:
        left = [each for each in os.listdir(parent) if is_leftover(each, name)]
        if not set(left) - failed.keys():
            break
        for each in left:
            if each not in failed:
                try:
                    remove_leftover(each, name, parent, numbers)
                except OSError as error:
                    failed[each] = error
    if failed:
        raise next(iter(failed.values()))


def remove_leftover(leftover: str, name: str, parent: int, numbers: Iterator[int]) -> None:
    try:
        directory = open_directory(leftover, parent)
    except NotADirectoryError:
        os.unlink(leftover, dir_fd=parent)
        return
    try:
        if mount_of(directory) != mount_of(parent):  # what the host has there is not ours to delete
            raise OSError(errno.EBUSY, "a path of the host is still mounted there", leftover)
        for each in os.listdir(directory):
            if stat.S_ISDIR(os.stat(each, dir_fd=directory, follow_symlinks=False).st_mode):
                aside = free_name(name, parent, numbers)
                os.rename(each, aside, src_dir_fd=directory, dst_dir_fd=parent)
            else:
                os.unlink(each, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(leftover, dir_fd=parent)


def is_leftover(entry: str, name: str) -> bool:
    return entry.startswith("=") and entry.split("=", 2)[2:] == [name]


def free_name(name: str, parent: int, numbers: Iterator[int]) -> str:
    return next(each for n in numbers if not exists(each := f"={n}={name}", parent))


def exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def directory_of_all() -> str:
    return os.path.dirname(paths.private_run(""))


def open_private_runs() -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(directory_of_all(), flags)


def open_directory(name: str, parent: int) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=parent)


def remove_files(name: str) -> None:
    ours = (
        *("resolv.conf", "nsswitch.conf", "endpoints", paths.DECLARED, paths.PORTS),
        *(paths.IN_FORCE, paths.OUTER, paths.OUTER_RESOLVERS, paths.TURNS, paths.ANSWERS),
        paths.SOURCES,
    )
    for file in ours:
        try:
            os.unlink(f"{paths.tunnel_state(name)}/{file}")
        except FileNotFoundError:
            continue
