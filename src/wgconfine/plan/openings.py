"""What stays open of a confined service, each with a name and in a sentence. Pure.

These are not failures: they are what its owner asked for, or what no setting closes without
breaking the service. `status` and `verify` show them, so that nobody takes them for closed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wgconfine.model.settings import Hardening, Settings, UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.model.users import UserFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.companions import companions
from wgconfine.plan.hardening import containers_as_root, has_own_users, named_places
from wgconfine.plan.settled import list_lines
from wgconfine.plan.unituser import (
    account_of,
    gains_no_privileges,
    groups_given,
    is_root,
    privileged_lines,
)

__all__ = ["Opening", "group_openings", "openings", "same_user"]

GROUPS = {
    "admin": "becomes root by sudo",
    "crontab": "writes what cron runs in the host",
    "dialout": "dials out by modems",
    "disk": "writes to the disks past every file system",
    "docker": "has dockerd start containers in the host's network",
    "incus": "has incusd start containers in the host's network",
    "incus-admin": "has incusd start containers in the host's network",
    "input": "types at the console",
    "kvm": "may speak as a virtual machine over vsock",
    "libvirt": "has libvirtd start machines in the host's network",
    "libvirt-qemu": "writes the disks of virtual machines",
    "lxd": "has lxd start containers in the host's network",
    "podman": "has podman's service start containers in the host's network",
    "postdrop": "hands mail to the host's mail server",
    "root": "writes what belongs to root's group",
    "shadow": "reads the password of everybody",
    "sudo": "becomes root by sudo",
    "uucp": "dials out by modems",
    "vboxusers": "has VirtualBox's driver send on the host's links",
    "wheel": "becomes root by sudo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One hole: `name` is a stable word for JSON and tests, `sentence` for people."""

    name: str
    sentence: str


def openings(
    settings: Settings,
    facts: UnitFacts,
    *,
    confined: Collection[str],
    user: UserFacts | None = None,
    systemd: int = 0,
) -> tuple[Opening, ...]:
    """Give what is open of one service of a tunnel.

    `confined` are the services of all tunnels; `user` is what was seen of its user, None where
    nothing was; `systemd` its version, 0 where it is not known.
    """
    found = [
        *_asked_for(settings, facts.name),
        *_of_root(facts),
        *user_openings(facts, user, settings.refinement(facts.name).hardening),
        *_of_files(settings, facts, systemd),
        *_of_others(settings, facts, confined),
    ]
    return tuple(found)


def _asked_for(settings: Settings, unit: UnitName) -> Iterator[Opening]:
    said = settings.refinement(unit)
    for path in said.allow_paths:
        yield Opening(name=f"allow-path:{path}", sentence=f"sees the host's {path}, as was asked")
    for name in said.allow_bus:
        sentence = f"may talk to {name} on the host's bus, as was asked"
        yield Opening(name=f"allow-bus:{name}", sentence=sentence)


def _of_root(facts: UnitFacts) -> Iterator[Opening]:
    if is_root(facts):
        yield Opening(
            name="root",
            sentence="runs as root: it can change files and disks that the host's own programs"
            " run from, use devices, and enter processes of root's that have no more rights. A"
            " User= of its own closes that",
        )
    if containers_as_root(facts):
        yield Opening(
            name="containers",
            sentence="runs containers as root and keeps root's capabilities for that; what runs"
            " in a container has none of those that lead out",
        )
    for line in dict.fromkeys(each.key for each in privileged_lines(facts)):
        sentence = f"a command of {line}= has all rights of root, inside"
        yield Opening(name=f"full-rights:{line}", sentence=sentence)


def user_openings(
    facts: UnitFacts, user: UserFacts | None, hardening: Hardening
) -> Iterator[Opening]:
    """Give what its user may do or has running; groups that the unit itself gives count, too."""
    if is_root(facts):
        return
    yield from group_openings({*groups_given(facts), *(user.groups if user else ())})
    if user and user.lingers:
        yield Opening(
            name="lingers",
            sentence=f"user {user.name} lingers: a user manager of its runs in the open, by units"
            " that the service may write",
        )
    yield from same_user(facts, user, hardening)


def same_user(facts: UnitFacts, user: UserFacts | None, hardening: Hardening) -> Iterator[Opening]:
    """Give the processes that may be traced: of the same user, in the same user namespace."""
    if user and user.outside and not is_root(facts) and not has_own_users(facts, hardening):
        yield Opening(
            name="same-user",
            sentence=f"its user {user.name} has {len(user.outside)} process(es) outside of the"
            f" tunnel (first: {user.outside[0]}), which it can enter: their memory, files and"
            " sockets. A user of its own, DynamicUser=yes or PrivateUsers=yes closes that",
        )


def group_openings(groups: Collection[str]) -> Iterator[Opening]:
    """Give each group of a user's that leads to somebody who works in the open."""
    for group in sorted(set(groups) & GROUPS.keys()):
        sentence = f"its user is in group {group}, which {GROUPS[group]}"
        yield Opening(name=f"group:{group}", sentence=sentence)


def _of_files(settings: Settings, facts: UnitFacts, systemd: int) -> Iterator[Opening]:
    strict = settings.refinement(facts.name).hardening is Hardening.STRICT
    for path, why in named_places(facts):
        yield Opening(name=f"place:{path}", sentence=f"sees {path} of the host: the unit {why}")
    if not strict and not is_root(facts) and not gains_no_privileges(facts, systemd):
        yield Opening(
            name="setuid",
            sentence="may run programs with a setuid bit (sudo, su); hardening = strict or"
            " NoNewPrivileges=yes closes that",
        )
    if _may_use_unix_sockets(facts):
        where = "state directories" if strict else "temporary, home and state directories"
        sentence = f"can reach sockets of unconfined programs in {where} that its user may open"
        yield Opening(name="unix-sockets", sentence=sentence)
    if not strict and account_of(facts) and not is_root(facts):
        yield Opening(
            name="home",
            sentence="what others run out of files that its user owns (shell start-up, ~/.forward,"
            " user units) runs in the open",
        )


def _may_use_unix_sockets(facts: UnitFacts) -> bool:
    lines = list_lines(facts, "Service", "RestrictAddressFamilies")
    if not lines:
        return True
    words = {word for line in lines for word in split_words(line.value)}
    denies = lines[0].value.startswith("~")
    return ("AF_UNIX" in words or "~AF_UNIX" in words) is not denies


def _of_others(
    settings: Settings, facts: UnitFacts, confined: Collection[str]
) -> Iterator[Opening]:
    for each in companions(facts, confined):
        sentence = f"{each.unit} {each.when} and runs in the open"
        yield Opening(name=f"companion:{each.unit}", sentence=sentence)
    others = [unit for unit in settings.services if unit != facts.name]
    if others:
        sentence = f"shares loopback and ports with {', '.join(others)}"
        yield Opening(name="shared-network", sentence=sentence)
