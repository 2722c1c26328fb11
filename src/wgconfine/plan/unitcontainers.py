"""Whether the containers that a unit starts would be confined with it: docs/containers.md. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import commands_of, split_words
from wgconfine.plan.settled import list_lines, problem_at
from wgconfine.plan.unitcommands import RUNS, is_remote
from wgconfine.plan.unituser import is_root, prefixes_of

__all__ = ["CONTAINER_RULES"]

_PODMAN = frozenset({"podman", "podman-compose"})
_NETWORK = frozenset({"--network", "--net"})
_NSPAWN_PATH = frozenset({"--network-namespace-path"})
_TAKE_OUT = "Take it out of services: docs/containers.md has the unit for it"
_NOT_AS_ROOT = (
    "Take it out of services and let the container join by --network ns:/run/netns/NAME, or run"
    " podman with User=: docs/containers.md"
)
_AS_USER = "Write --network host, which is the tunnel there: docs/containers.md"


def _podman(facts: UnitFacts) -> Iterator[Problem]:
    """Said once of a unit, though it starts and removes its container by several lines."""
    found = next(_podman_problems(facts), None)
    if found:
        yield found


def _podman_problems(facts: UnitFacts) -> Iterator[Problem]:
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            for program, *arguments in commands_of(line.value):
                if program in _PODMAN and not is_remote(arguments, facts):
                    path = _value_of(arguments, _NETWORK)
                    joins = path if path.startswith("ns:") else ""
                    yield from _judge_podman(facts, line, joins)


def _judge_podman(facts: UnitFacts, line: Assignment, joins: str) -> Iterator[Problem]:
    """As root it is no service of a tunnel; as a user it is, and needs no other namespace.

    With an empty /run podman refreshes its database as after a boot: it drops the records of
    containers that still run (tried with 5.4). A namespace that root's user namespace owns may be
    joined by root alone: setns(2).
    """
    if _is_privileged(facts, line) and joins:
        what = f"runs podman as root, which lets the container join {quote(joins)} by itself"
        yield problem_at(facts, line, f"{line.key}= {what}", _TAKE_OUT)
    elif _is_privileged(facts, line):
        what = (
            "runs podman as root: it would take its private /run for a reboot and forget the"
            " containers that run, and with root's capabilities it gets out of the tunnel"
        )
        yield problem_at(facts, line, f"{line.key}= {what}", _NOT_AS_ROOT)
    elif joins:
        what = f"has podman join {quote(joins)}, which the kernel allows to root alone"
        yield problem_at(facts, line, f"{line.key}= {what}", _AS_USER)


def _is_privileged(facts: UnitFacts, line: Assignment) -> bool:
    program = next(iter(split_words(line.value)), "")
    return is_root(facts) or not {"+", "!"}.isdisjoint(prefixes_of(program))


def _nspawn(facts: UnitFacts) -> Iterator[Problem]:
    """A confined service has a /run of its own, without the names of namespaces."""
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            for program, *arguments in commands_of(line.value):
                path = _value_of(arguments, _NSPAWN_PATH)
                if program == "systemd-nspawn" and path:
                    what = f"has systemd-nspawn join {quote(path)} by itself"
                    yield problem_at(facts, line, f"{key}= {what}", _TAKE_OUT)


def _value_of(arguments: Sequence[str], options: frozenset[str]) -> str:
    """The value of the first of these options, be it in the same word or the next."""
    for word, following in pairwise([*arguments, ""]):
        option, equals, value = word.partition("=")
        if option in options:
            return value if equals else following
    return ""


CONTAINER_RULES = (_podman, _nspawn)
