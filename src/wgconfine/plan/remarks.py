"""What `plan` says of services that can be confined and whose owner should know something. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from wgconfine.config.escape import escape, quote
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Hardening, Settings, UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.model.users import UserFacts
from wgconfine.plan.companions import companions
from wgconfine.plan.hardening import containers_as_root
from wgconfine.plan.openings import group_openings, same_user
from wgconfine.plan.settled import last_line, list_lines, problem_at
from wgconfine.plan.unituser import gains_no_privileges, groups_given, is_root

__all__ = ["remarks"]

# Any of them gives a unit a mount namespace of its own: exec_needs_mount_namespace().
_MOUNTS = (
    *("BindPaths", "BindReadOnlyPaths", "DynamicUser", "InaccessiblePaths", "MountFlags"),
    *("PrivateDevices", "PrivateMounts", "PrivateTmp", "ProtectControlGroups", "ProtectHome"),
    *("ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem"),
    *("ReadOnlyPaths", "ReadWritePaths", "TemporaryFileSystem"),
)


def remarks(
    tunnels: Iterable[Settings],
    facts: Mapping[UnitName, UnitFacts],
    *,
    users: Mapping[UnitName, UserFacts],
    systemd: int = 0,
    new: Collection[UnitName] = (),
) -> Iterator[Problem]:
    """Give a word for each thing; nothing here keeps a service from being confined.

    `users` are what was seen of the services' users; what a setting of ours brings along is said of
    the services that are `new`, and once.
    """
    tunnels = list(tunnels)
    confined = {unit for settings in tunnels for unit in settings.services}
    for settings in tunnels:
        for unit in settings.services:
            yield from _accompanied(facts[unit], confined)
            yield from _containers(facts[unit])
            hardening = settings.refinement(unit).hardening
            yield from _user(facts[unit], users.get(unit), hardening)
            if unit in new:
                yield from _brought_along(facts[unit], hardening, systemd)


def _accompanied(facts: UnitFacts, confined: Collection[str]) -> Iterator[Problem]:
    for each in companions(facts, confined):
        yield problem_at(
            facts,
            each.line,
            f"{escape(each.unit)} {each.when}, and runs in the open unless it is confined too",
            "List it under services as well if it may not reach the network outside",
        )


def _containers(facts: UnitFacts) -> Iterator[Problem]:
    line = containers_as_root(facts)
    if line:
        yield problem_at(
            facts,
            line,
            f"{line.key}={quote(line.value)} runs containers as root, and keeps root's capabilities"
            " for that",
            "Run it with User= to take them away",
        )


def _user(facts: UnitFacts, user: UserFacts | None, hardening: Hardening) -> Iterator[Problem]:
    if is_root(facts):
        return
    line = last_line(facts, "Service", "User")
    for each in group_openings({*groups_given(facts), *(user.groups if user else ())}):
        hint = "Take its user out of that group, or give the service a user of its own"
        yield problem_at(facts, line, each.sentence, hint)
    if user and user.lingers:
        yield problem_at(
            facts,
            line,
            f"its user {escape(user.name)} lingers: a user manager of its runs in the open",
            f"Run loginctl disable-linger {escape(user.name)}",
        )
    for each in same_user(facts, user, hardening):
        yield problem_at(facts, line, each.sentence)


def _brought_along(facts: UnitFacts, hardening: Hardening, systemd: int) -> Iterator[Problem]:
    strict = hardening is Hardening.STRICT
    now = strict or gains_no_privileges(facts, systemd)
    before = gains_no_privileges(facts, systemd if _has_filter(facts) else 0)
    if now and not before:
        yield problem_at(
            facts,
            None,
            "programs with a setuid bit (sudo, su, ping) give it nothing any more:"
            f" {'hardening = strict' if strict else 'its filters'} bring NoNewPrivileges= along",
        )
    if not any(list_lines(facts, "Service", key) for key in _MOUNTS):
        yield problem_at(
            facts,
            None,
            "has a view of the mounts of its own while it is confined: what it mounts is seen by"
            " itself alone",
        )


def _has_filter(facts: UnitFacts) -> bool:
    keys = ("RestrictAddressFamilies", "SystemCallFilter", "SystemCallArchitectures")
    return any(list_lines(facts, "Service", key) for key in keys)
