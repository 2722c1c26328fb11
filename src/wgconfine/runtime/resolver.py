"""The files that confined services see as resolv.conf, nsswitch.conf and /run."""

from __future__ import annotations

import os

from wgconfine.runtime import paths
from wgconfine.runtime.failure import step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


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
    """Make the directory that each service sees as /run, with what programs expect there."""
    for unit in services:
        directory = paths.private_run(unit)
        os.makedirs(f"{directory}/user", mode=0o755, exist_ok=True)
        os.makedirs(f"{directory}/lock", exist_ok=True)
        os.chmod(f"{directory}/lock", 0o1777)  # noqa: S103 — sticky and for all, as /run/lock is
        if not os.path.islink(f"{directory}/shm"):
            os.symlink("/dev/shm", f"{directory}/shm")  # noqa: S108 — what /run/shm is on Debian


def clear_private_runs(services: Iterable[str]) -> None:
    """Take away what the last run of each service left there. Never follows a symbolic link."""
    for unit in services:
        if os.path.isdir(paths.private_run(unit)):
            remove_below(paths.private_run(unit))


def remove_below(top: str) -> None:
    for _, directories, files, descriptor in os.fwalk(top, topdown=False):
        for name in files:
            os.unlink(name, dir_fd=descriptor)
        for name in directories:
            try:
                os.rmdir(name, dir_fd=descriptor)
            except NotADirectoryError:
                os.unlink(name, dir_fd=descriptor)  # a link to a directory


def remove_files(name: str) -> None:
    for file in ("resolv.conf", "nsswitch.conf", "endpoints", paths.IN_FORCE):
        try:
            os.unlink(f"{paths.tunnel_state(name)}/{file}")
        except FileNotFoundError:
            continue
