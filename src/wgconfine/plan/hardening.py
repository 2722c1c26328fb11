"""How much of the hardening a unit takes, and where it would break what the unit does. Pure."""

import re
from collections.abc import Iterator

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Hardening
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import Command, commands_of, split_words
from wgconfine.plan.settled import (
    expand_path,
    is_below,
    is_yes,
    last_line,
    list_lines,
    problem_at,
)
from wgconfine.plan.unitcommands import RUNS
from wgconfine.plan.unituser import gains_no_privileges, is_dynamic, is_root, prefixes_of
from wgconfine.render.hardening import ERROR_NUMBER, STRICT, Rights

__all__ = [
    "COMMAND_RIGHTS",
    "HIDDEN",
    "check_hardening",
    "containers_as_root",
    "has_own_users",
    "named_places",
    "rights_of",
]

HIDDEN: dict[str, frozenset[str]] = {
    "/dev/infiniband": frozenset(),
    "/net": frozenset({"automount"}),
    "/nix/var/nix/daemon-socket": frozenset({"nix-daemon", "nix"}),
    "/tmp/.ICE-unix": frozenset(),  # noqa: S108 — hidden, not used
    "/tmp/.X11-unix": frozenset({"Xorg", "X", "Xvfb", "Xwayland"}),  # noqa: S108
    "/var/cron": frozenset({"cron", "crond", "fcron", "cronie"}),
    "/var/guix/daemon-socket": frozenset({"guix-daemon"}),
    "/var/lib/gssproxy": frozenset({"gssproxy"}),
    "/var/lib/incus": frozenset({"incusd"}),
    "/var/lib/lxd": frozenset({"lxd"}),
    "/var/lib/postfix": frozenset({"postfix", "postmulti", "master"}),
    "/var/lib/sss/pipes": frozenset({"sssd"}),
    "/var/snap/lxd/common/lxd": frozenset({"lxd"}),
    "/var/spool/at": frozenset({"atd"}),
    "/var/spool/clientmqueue": frozenset({"sendmail", "sendmail-mta", "sm-mta"}),
    "/var/spool/cron": frozenset({"cron", "crond", "fcron", "cronie", "atd"}),
    "/var/spool/exim": frozenset({"exim"}),
    "/var/spool/exim4": frozenset({"exim4", "exim"}),
    "/var/spool/incron": frozenset({"incrond"}),
    "/var/spool/mqueue": frozenset({"sendmail", "sendmail-mta", "sm-mta"}),
    "/var/spool/mqueue-client": frozenset({"sendmail", "sendmail-mta", "sm-mta"}),
    "/var/spool/nullmailer": frozenset({"nullmailer-send"}),
    "/var/spool/postfix": frozenset({"postfix", "postmulti", "master"}),
    "/var/spool/smtpd": frozenset({"smtpd"}),
}
"""Where daemons of the host do work for whoever may write or connect, and the daemons that own it.

cron and at run what lies there in the host; mail servers look up where to send it; nix and guix
fetch what they are asked to; autofs looks up each name below /net; an X server types for its
clients. All lie outside of /run. The devices of RDMA, which anybody may open, send from whatever
namespace, past every link and firewall of the host: rdma-system(8), "shared", which is the default.
"""

COMMAND_RIGHTS = Rights(
    error_number=ERROR_NUMBER,
    kernel=True,
    control_groups=True,
    becomes_root=True,
    hidden=tuple(HIDDEN),
)
"""What is taken from whatever `wgconfine exec` runs: one text for every user, root too."""

# These make namespaces and mounts as root for what runs in them.
_CONTAINERS = frozenset(
    {"containerd", "crun", "dockerd", "incusd", "k3s", "kubelet", "libvirtd", "lxc-start", "lxd"}
    | {"podman", "runc", "systemd-nspawn", "virtqemud", "youki"}
)
_SET_USER = frozenset({"CAP_SETUID", "7"})
_STRICTER = {
    "PrivateTmp": frozenset({"disconnected"}),
    "PrivateUsers": frozenset({"full", "identity", "self"}),
    "ProtectControlGroups": frozenset({"private", "strict"}),
    "ProtectProc": frozenset({"ptraceable"}),
    "ProtectSystem": frozenset({"strict"}),
}
_HOMES = ("/home", "/root", "/run/user")


def rights_of(facts: UnitFacts, hardening: Hardening) -> Rights:
    """Give what a unit takes of the hardening that was asked for."""
    containers = containers_as_root(facts) is not None
    root = is_root(facts) and not containers
    spared = _stricter(facts)
    spared |= {"ProtectControlGroups"} if _delegates(facts) else set()
    spared |= set() if _works_with_own_users(facts) else {"PrivateUsers"}
    return Rights(
        hardening=hardening,
        capabilities=not containers,
        error_number="" if _answers_by_number(facts) else ERROR_NUMBER,
        kernel=root,
        control_groups=root and "ProtectControlGroups" not in spared,
        becomes_root=_may_become_root(facts, hardening),
        hidden=tuple(path for path in HIDDEN if _named_by(facts, path) is None),
        spared=spared,
    )


def has_own_users(facts: UnitFacts, hardening: Hardening) -> bool:
    """Whether its processes get a user namespace of their own, and so can't enter any outside."""
    line = last_line(facts, "Service", "PrivateUsers")
    if line and (is_yes(line.value) or line.value in _STRICTER["PrivateUsers"]):
        return True
    return hardening is Hardening.STRICT and _works_with_own_users(facts)


def _works_with_own_users(facts: UnitFacts) -> bool:
    """Root there is root of nothing else, and capabilities count for what that namespace owns.

    The tunnel is the host's: with CAP_NET_BIND_SERVICE no port below 1024 is opened. What begins as
    root and becomes its user by itself may not: setgroups(2) is refused there.
    """
    return not _begins_as_root(facts) and not list_lines(facts, "Service", "AmbientCapabilities")


def _begins_as_root(facts: UnitFacts) -> bool:
    """Whether a command that is confined has root's user: all of them, or one with `!`."""
    programs = (
        next(iter(split_words(line.value)), "")
        for key in RUNS
        for line in list_lines(facts, "Service", key)
    )
    return is_root(facts) or any("!" in prefixes_of(each) for each in programs)


def _answers_by_number(facts: UnitFacts) -> bool:
    line = last_line(facts, "Service", "SystemCallErrorNumber")
    return line is not None and line.value != "kill"


def _may_become_root(facts: UnitFacts, hardening: Hardening) -> bool:
    """By its user, by a right of its own, or by a program with a setuid bit."""
    kept_from_it = hardening is Hardening.STRICT or gains_no_privileges(facts, 0)
    return _begins_as_root(facts) or _may_set_users(facts) or not kept_from_it


def _may_set_users(facts: UnitFacts) -> bool:
    """Whether CAP_SETUID is, or may be, among its AmbientCapabilities=."""
    lines = [line.value.upper() for line in list_lines(facts, "Service", "AmbientCapabilities")]
    return any(line.startswith("~") or not _SET_USER.isdisjoint(line.split()) for line in lines)


def _delegates(facts: UnitFacts) -> bool:
    line = last_line(facts, "Service", "Delegate")
    return line is not None and line.value.lower() not in {"0", "no", "n", "false", "f", "off"}


def _stricter(facts: UnitFacts) -> frozenset[str]:
    """The keys of `strict` that the unit itself sets to more. DynamicUser= implies some."""
    found = set()
    for key in STRICT:
        line = last_line(facts, "Service", key)
        if line and line.value in _STRICTER.get(key, ()):
            found.add(key)
    home = last_line(facts, "Service", "ProtectHome")
    if home and is_yes(home.value):
        found.add("ProtectHome")
    hostname = last_line(facts, "Service", "ProtectHostname")
    if hostname and hostname.value.startswith(("yes:", "private")):
        found.add("ProtectHostname")
    system = last_line(facts, "Service", "ProtectSystem")
    if is_dynamic(facts) and (system is None or system.value in {"no", "false", "0", "off"}):
        found.add("ProtectSystem")  # systemd makes it `strict`, and ours would be less
    return frozenset(found)


def named_places(facts: UnitFacts) -> Iterator[tuple[str, str]]:
    """Give each place that is left open because of the unit itself, and what of it says so."""
    for path in HIDDEN:
        why = _named_by(facts, path)
        if why is not None:
            yield path, why


def _named_by(facts: UnitFacts, path: str) -> str | None:
    for command in _commands(facts):
        if command[0] in HIDDEN[path]:
            return f"runs {command[0]}"
    inside = re.compile(rf"{re.escape(path)}(?![\w.-])")
    for line in facts.assignments:
        if line.section == "Service" and line.value and inside.search(line.value):
            return f"{line.key}= names it"
        if path.startswith("/tmp/.") and _has_display(line):  # noqa: S108 — looked at
            return f"{line.key}= sets DISPLAY"
    return None


def _has_display(line: Assignment) -> bool:
    return line.key in {"Environment", "PassEnvironment"} and any(
        word.partition("=")[0] == "DISPLAY" for word in split_words(line.value)
    )


def _commands(facts: UnitFacts) -> Iterator[Command]:
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            yield from commands_of(line.value)


def containers_as_root(facts: UnitFacts) -> Assignment | None:
    """Give the line by which a unit runs containers as root, for which it needs root's rights."""
    if not is_root(facts):
        return None
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            if any(command[0] in _CONTAINERS for command in commands_of(line.value)):
                return line
    return None


def check_hardening(facts: UnitFacts, hardening: Hardening) -> Iterator[Problem]:
    """Give what can't be run as hardened as that."""
    if hardening is Hardening.STRICT:
        yield from _needs_namespaces(facts)
        yield from _works_at_home(facts)


def _needs_namespaces(facts: UnitFacts) -> Iterator[Problem]:
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            programs = [command[0] for command in commands_of(line.value)]
            found = next((each for each in programs if each in _CONTAINERS | {"bwrap"}), None)
            if found:
                yield problem_at(
                    facts,
                    line,
                    f"{key}= runs {quote(found)}, which makes namespaces, and hardening = strict"
                    " forbids that",
                    'Set hardening = "baseline" for this service',
                )


def _works_at_home(facts: UnitFacts) -> Iterator[Problem]:
    """A directory that is missing fails the guard's set-up, which is a silent skip."""
    line = last_line(facts, "Service", "WorkingDirectory")
    home = last_line(facts, "Service", "ProtectHome")
    if line is None or (home and is_yes(home.value)):  # it does not find it as it is
        return
    path = expand_path(facts, line.value)
    at_home = line.value.startswith("~") or any(is_below(path, each) for each in _HOMES)
    if at_home and not any(is_below(path, each) for each in _bound(facts)):
        yield problem_at(
            facts,
            line,
            f"WorkingDirectory={quote(line.value)} lies in a home directory, which hardening ="
            " strict hides",
            "Give it that one directory by BindPaths= in a drop-in, or set hardening ="
            ' "baseline" for this service',
        )


def _bound(facts: UnitFacts) -> Iterator[str]:
    for key in ("BindPaths", "BindReadOnlyPaths"):
        for line in list_lines(facts, "Service", key):
            for word in split_words(line.value):
                source, _, rest = word.removeprefix("-").partition(":")
                yield expand_path(facts, rest.partition(":")[0] or source)
