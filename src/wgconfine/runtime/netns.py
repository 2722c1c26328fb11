"""wgconfine-netns@NAME.service: prove the namespace that systemd made, close it, and name it."""

from __future__ import annotations

import os
import stat

from wgconfine.runtime import firewall, paths, sysctl
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.namespace import (
    cookie,
    enter,
    identity,
    is_namespace,
    lost_names,
    propagation,
)
from wgconfine.runtime.process import run
from wgconfine.runtime.state import read_state, write_state

OWN = "/proc/self/ns/net"
FIRST_PROCESS = "/proc/1/ns/net"


def up(name: str) -> None:
    """Give this process's namespace the tunnel's name, once it is closed. Raises Failure.

    systemd runs a unit in the *host's* namespace, with success, where unshare(2) is refused with
    EPERM: so the namespace is proven first. It bears its name only when its firewall is in.
    """
    prove_own_namespace()
    with Lock(name):
        refuse_foreign(name)
        sysctl.apply()
        step("ip link set lo up")
        run("ip", "link", "set", "lo", "up")
        step("nft -f - (the tunnel's table, which lets nothing through yet)")
        run("nft", "-f", "-", text=firewall.ruleset(firewall.Policy()))
        os.makedirs(paths.empty_root(), mode=0o755, exist_ok=True)
        with Lock("=netns"):  # /run/netns is everybody's; no tunnel has that name
            share_names()
            # Our record first: a name without one is somebody else's, whenever we are killed.
            for path in (paths.record_of_namespace(name), paths.named_namespace(name)):
                bind(OWN, path)
        write_state(paths.namespace_cookie(name), f"{cookie()}\n")


def prove_own_namespace() -> None:
    host = identity(FIRST_PROCESS)
    if host is None:  # needs CAP_SYS_PTRACE; what can't be seen must count as the host's
        raise Failure(
            f"{FIRST_PROCESS}: can't be seen, so this namespace may be the host's. Refused. "
            "See whether a drop-in takes CAP_SYS_PTRACE from this unit."
        )
    if host == identity(OWN):
        raise Failure(
            "systemd gave this unit no namespace of its own: it is in the host's. Refused. "
            "See whether this machine is a container that may not make network namespaces."
        )


def refuse_foreign(name: str) -> None:
    """Raise Failure where something else bears the tunnel's name; a leftover of ours goes."""
    if found := obstacle(name):
        raise Failure(f"{found[0]}: {found[1]}. Remove or rename it.")
    for path in (paths.named_namespace(name), paths.record_of_namespace(name)):
        while os.path.ismount(path):
            step(f"umount -l {path} (left over)")
            run("umount", "-l", path)


def share_names() -> None:
    """Make /run/netns a mount point of its own, as the first `ip netns add` does.

    Done only then, it would be made over our name: what is mounted below would be out of reach, and
    with it the namespace kept for ever (seen with iproute2 7.2, which cuts it off from /run).
    """
    directory = os.path.dirname(paths.named_namespace(""))
    os.makedirs(directory, mode=0o755, exist_ok=True)
    now = propagation(directory)
    if now is None:
        step(f"mount --rbind {directory} {directory}")
        run("mount", "--rbind", "--make-private", directory, directory)
    if not now:
        run("mount", "--make-shared", directory)


def obstacle(name: str) -> tuple[str, str] | None:
    """Give the path and the kind of what somebody else has put where a namespace is to be named."""
    named, record = paths.named_namespace(name), paths.record_of_namespace(name)
    for path in (record, named):
        if (found := what_is_in_the_way(path)) and not is_namespace(path):
            return path, found
    if os.path.ismount(named) and (
        not os.path.ismount(record) or identity(named) != identity(record)
    ):
        return named, "is a namespace that wgconfine did not make"
    return None


def what_is_in_the_way(path: str) -> str:
    """Say what is there but for an empty file, which a namespace can be mounted on."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return ""
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        return ""
    return f"{kind_of(status.st_mode)} is in the way, which wgconfine did not make"


def kind_of(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a special file")


def bind(source: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, 0o444))
    step(f"mount --bind {source} {path}")
    run("mount", "--bind", source, path)


def name_again(name: str) -> None:
    """Give the namespace back the name, or our record, that somebody has unmounted. Raises Failure.

    Our record is believed. The name alone, which others may give, only if the kernel says that it
    is the namespace that was named at its start.
    """
    named, record = paths.named_namespace(name), paths.record_of_namespace(name)
    with Lock(name), Lock("=netns"):
        if not lost_names(name):
            return
        if is_namespace(record):
            source, target = record, named
        elif is_namespace(named) and cookie_of(named) == read_state(paths.namespace_cookie(name)):
            source, target = named, record
        else:
            raise Failure(
                f"{record}: no name is left by which the namespace could be known. "
                f"Restart wgconfine-netns@{name}.service."
            )
        if found := what_is_in_the_way(target):
            raise Failure(f"{target}: {found}. Remove or rename it.")
        share_names()
        bind(source, target)


def cookie_of(path: str) -> str:
    """Give what is kept of the namespace that `path` leads to; what nobody has if there is none."""
    outside = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    inside = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(inside, f"enter {path}")
        found = cookie()
        enter(outside, "go back to the host's namespace")
    finally:
        os.close(inside)
        os.close(outside)
    return f"{found}\n" if found else ""


def down(name: str) -> None:
    """Take the names away; one that somebody else has put there since is left. Raises Failure."""
    named, record = paths.named_namespace(name), paths.record_of_namespace(name)
    with Lock(name):
        report_processes_left(record)
        if os.path.exists(paths.namespace_cookie(name)):  # before the names: nobody gives them anew
            os.unlink(paths.namespace_cookie(name))
        if os.path.ismount(named) and identity(named) != identity(record):
            warn(f"{named}: another namespace has taken the name; it is left alone")
        else:
            unname(named)
        unname(record)


def unname(path: str) -> None:
    """Unmount and remove a name of ours; what is no file is somebody else's, and is left alone."""
    # Lazily: PID 1 itself may hold it open for a unit that joins by path.
    while os.path.ismount(path):
        step(f"umount -l {path}")
        run("umount", "-l", path)
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        os.unlink(path)
    else:
        warn(f"{path}: {kind_of(status.st_mode)} has taken the name; it is left alone")


def report_processes_left(record: str) -> None:
    """Name every process that stays in the namespace: it keeps living there, without a way out."""
    wanted = identity(record)
    if wanted is None:
        return
    own_group = os.getpgid(0)
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if identity(f"/proc/{entry}/ns/net") == wanted and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as file:
                    command = file.read().strip()
                if os.getpgid(int(entry)) != own_group:
                    warn(f"process {entry} ({command}) stays in the namespace, without a way out")
            except OSError:
                continue  # it has just ended
