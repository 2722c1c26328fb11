"""The users that services run as: their groups, whether they linger, what else of theirs runs."""

import array
import fcntl
import grp
import os
import pwd
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wgconfine.model.users import UserFacts
from wgconfine.system.cgroup import unit_of

__all__ = ["Account", "find_account", "groups_of", "processes_outside", "read_user"]

_LINGER = Path("/var/lib/systemd/linger")
_PROC = Path("/proc")
_NS_GET_OWNER_UID = 0xB704


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom a command runs as: the entry in the user database. Empty where that has nothing."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def find_account(name: str) -> Account | None:
    """Give a user by its name, or else its number; None where there is no such user.

    A name may be a number itself, and of another than the user with that number.
    """
    entry = None
    with suppress(KeyError):
        entry = pwd.getpwnam(name)
    entry = entry or _entry(name)
    if entry is None:
        return None
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        home=entry.pw_dir,
        shell=entry.pw_shell or "/bin/sh",  # passwd(5)
    )


def read_user(
    name: str, *, namespace: Path | None = None, services: Collection[str] = ()
) -> UserFacts | None:
    """Give what is known of a user, by its name or number; None where there is no such user.

    Its processes are looked at where `namespace` is given, which is a namespace's file: those in
    another one are outside, but for those of `services`, which may run in the open still. Root's
    are not told: they are the machine's.
    """
    entry = _entry(name)
    if entry is None:
        return None
    return UserFacts(
        name=entry.pw_name,
        uid=entry.pw_uid,
        groups=groups_of(entry.pw_name),
        lingers=_LINGER.joinpath(entry.pw_name).exists(),
        outside=processes_outside(entry.pw_uid, _inode(namespace), services)
        if namespace and entry.pw_uid
        else (),
    )


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        return None


def groups_of(name: str) -> tuple[str, ...]:
    """Give the names of all groups that a user is in now, sorted; none of an unknown user."""
    entry = _entry(name)
    if entry is None:
        return ()
    found = set()
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        try:
            found.add(grp.getgrgid(gid).gr_name)
        except KeyError:  # a number that no group has
            found.add(str(gid))
    return tuple(sorted(found))


def processes_outside(
    uid: int, inside: int | None, services: Collection[str] = ()
) -> tuple[int, ...]:
    """Give each process of a user whose network namespace is not the one with inode `inside`.

    One in a user namespace of another's making is traced by nobody of that user (ptrace(2)).
    """
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    outside = (pid for pid in pids if _runs_outside(pid, uid, inside))
    return tuple(sorted(pid for pid in outside if unit_of(pid) not in services))


def _runs_outside(pid: int, uid: int, inside: int | None) -> bool:
    place = _PROC / str(pid)
    try:
        # By the real user and not by /proc's owner, which is root's for what is not dumpable.
        lines = place.joinpath("status").read_text(encoding="utf-8", errors="replace")
        fields = dict(line.partition(":")[::2] for line in lines.split("\n"))
        users = fields["Uid"].split()
        # What has a capability can't be traced by a service, which has none: ptrace(2). So our own
        # proxy of the bus is no process of its user's that it could enter.
        if uid and int(fields["CapPrm"], 16):
            return False
        outside = str(uid) in users and place.joinpath("ns/net").stat().st_ino != inside
        return outside and not _is_locked(place, uid)
    except (OSError, KeyError):  # it has ended meanwhile
        return False


def _is_locked(place: Path, uid: int) -> bool:
    """Whether its user namespace keeps even others of its user out: ptrace(2), user_namespaces(7).

    Whoever made such a namespace itself is in it as root is.
    """
    its, ours = place / "ns/user", _PROC / "self/ns/user"
    if its.stat().st_ino == ours.stat().st_ino:
        return False
    owner = array.array("I", [0])
    with its.open("rb") as namespace:
        fcntl.ioctl(namespace, _NS_GET_OWNER_UID, owner)
    return owner[0] != uid


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
