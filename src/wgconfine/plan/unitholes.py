"""What a unit needs of the host's /run and bus: the line that opens it, or why it stays shut. Pure.

Invariant: nothing is opened because a unit needs it, but by a line that its owner writes.
"""

import re
from collections.abc import Iterator

from wgconfine.config.escape import escape, quote
from wgconfine.config.holes import is_plain, shut_name, shut_path
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Refinement
from wgconfine.model.units import BusUser, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import expand, is_below, is_yes, last_line, list_lines, problem_at

__all__ = ["HOST_RULES", "bus_user", "is_allowed", "line_for"]

_PLAIN_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}|[0-9]+", re.ASCII)
_ROOT = frozenset({"", "root", "0"})


def is_allowed(said: Refinement, path: str) -> bool:
    """Whether a path below /run is one that its owner has opened, or lies in one."""
    return any(is_below(path, str(each)) for each in said.allow_paths)


def line_for(facts: UnitFacts, path: str, otherwise: str) -> str:
    """Give a hint: the line that would open a path below /run, if one can, and what else helps."""
    if path == "/run" or not is_below(path, "/run") or not is_plain(path) or shut_path(path):
        return otherwise
    line = f'allow-paths = ["{path}"] under {_table(facts)}'
    return f"Write {line}, or {otherwise[0].lower()}{otherwise[1:]}"


def _table(facts: UnitFacts) -> str:
    name = escape(facts.name)
    return f"[service.'{name}']" if "\\" in name else f'[service."{name}"]'


def bus_user(facts: UnitFacts) -> BusUser:
    """Give who the unit is to the bus, with the specifiers of its name put in.

    A dynamic user without User= bears the name of the unit: user_from_unit_name() of systemd.
    """

    def text(key: str) -> str:
        return expand(facts.name, facts.value("Service", key))

    dynamic = is_yes(facts.value("Service", "DynamicUser"))
    user = text("User") or (expand(facts.name, "%p") if dynamic else "")
    groups = facts.values("Service", "SupplementaryGroups")
    return BusUser(
        user=user,
        dynamic=dynamic,
        group=text("Group"),
        groups=tuple(expand(facts.name, word) for line in groups for word in split_words(line)),
        name=text("BusName"),
    )


def _needs_the_bus(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    kind = last_line(facts, "Service", "Type")
    name = last_line(facts, "Service", "BusName")
    line = kind if kind and kind.value == "dbus" else name
    own = bus_user(facts).name
    if line and own not in said.allow_bus:
        line_of_ours = f'allow-bus = ["{escape(own)}"] under {_table(facts)}'
        write = f"Write {line_of_ours}, or set" if own and not shut_name(own) else "Set"
        yield problem_at(
            facts,
            line,
            f"{line.key}={quote(line.value)} needs the host's D-Bus, through which names could be"
            " looked up outside of the tunnel",
            f"{write} Type=exec and an empty BusName= in a drop-in if it runs without",
        )


def _has_a_user_for_the_bus(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """The proxy runs with the service's user, and root could take it over by ptrace(2)."""
    user = bus_user(facts)
    line = last_line(facts, "Service", "User")
    if not said.allow_bus:
        return
    if user.user in _ROOT:
        yield problem_at(
            facts,
            line,
            "it runs as root, which could take over what keeps the rest of the bus shut to it"
            " (allow-bus)",
            "Set User= or DynamicUser=yes in a drop-in, or take allow-bus away",
        )
    elif not all(map(_PLAIN_USER.fullmatch, filter(None, (user.user, user.group, *user.groups)))):
        yield problem_at(
            facts,
            line,
            f"its user {quote(user.user)} or a group of it is no plain name, which allow-bus needs",
            "Set User= and Group= in a drop-in, without specifiers",
        )


def _shares_no_mounts(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """Mounts that are made while it runs do not reach a unit that cuts itself off from them."""
    line = last_line(facts, "Service", "MountFlags")
    if said.allow_paths and line and line.value in {"private", "262144"}:  # MS_PRIVATE
        yield problem_at(
            facts,
            line,
            "MountFlags=private cuts it off from the paths that allow-paths opens",
            "Set an empty MountFlags= in a drop-in",
        )


def _means_what_it_says(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """A path in another that is opened would be mounted over there on the host itself."""
    for path in said.allow_paths:
        for other in said.allow_paths:
            if path != other and is_below(str(path), str(other)):
                yield problem_at(
                    facts,
                    None,
                    f"allow-paths has {quote(str(path))}, which is in {quote(str(other))} already",
                    "Leave it out",
                )


def _own_directory(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    for line in list_lines(facts, "Service", "RuntimeDirectory"):
        for word in split_words(line.value):
            own = "/run/" + expand(facts.name, word).partition(":")[0]
            for path in said.allow_paths:
                if is_below(str(path), own):
                    yield problem_at(
                        facts,
                        line,
                        f"allow-paths has {quote(str(path))}, which it sees by"
                        f" RuntimeDirectory={quote(word)} already",
                        "Leave it out",
                    )


HOST_RULES = (
    _needs_the_bus,
    _has_a_user_for_the_bus,
    _shares_no_mounts,
    _means_what_it_says,
    _own_directory,
)
