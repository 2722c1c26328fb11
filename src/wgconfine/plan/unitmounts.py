"""What a unit mounts or shuts that does not go with the /run and the resolver we give it. Pure.

A confined unit sees a directory of its own as /run, so that no socket of the host's resolver, bus
or name service is there; resolv.conf and nsswitch.conf are bound over /etc's.
"""

import re
from collections.abc import Iterator

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import (
    expand_path,
    is_below,
    last_line,
    list_lines,
    problem_at,
)

__all__ = ["MOUNT_RULES"]

_RUN = "/run"
_MADE_IN_RUN = ("/run/lock", "/run/user", "/run/shm")  # the tunnel makes these in the private /run
_OURS = (
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/run/avahi-daemon",
    "/run/dbus",
    "/run/nscd",
    "/run/systemd/journal",
    "/run/systemd/notify",
    "/run/systemd/resolve",
    "/run/systemd/system",
    "/run/systemd/userdb",
)
# Mounts apply to commands with `+` too: without these the guard cannot run, and setting up an
# ExecCondition= that fails is a skip that nobody hears of.
_GUARD_NEEDS = ("/", "/bin", "/lib", "/lib64", "/proc", "/usr", "/usr/bin", "/usr/lib")
_TOPS = (*_GUARD_NEEDS, "/etc", _RUN)
_ACCESS = ("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths")
_UNESCAPED_COLON = re.compile(r"(?<!\\):")


def _access_lists(facts: UnitFacts) -> Iterator[Problem]:
    """A path without `-` that the private /run lacks fails the guard's set-up: a silent skip."""
    runtime = tuple(_runtime_directories(facts))
    for key in _ACCESS:
        for line in list_lines(facts, "Service", key):
            for word in split_words(line.value):
                path = expand_path(facts, word.removeprefix("-").removeprefix("+"))
                if key == "InaccessiblePaths" and path in _TOPS:
                    yield problem_at(
                        facts,
                        line,
                        f"{key}={quote(word)} takes away what the guard needs, or the service's"
                        " own /run",
                        f"Leave it out in a drop-in, after an empty {key}=",
                    )
                    continue
                if word.startswith("-") or path == _RUN or not is_below(path, _RUN):
                    continue
                if not any(is_below(path, made) for made in (*_MADE_IN_RUN, *runtime)):
                    yield problem_at(
                        facts,
                        line,
                        f"{key}={quote(word)} must exist, and a confined service has a /run of its"
                        " own where it does not",
                        f"Write {quote('-' + word)} in a drop-in, after an empty {key}=",
                    )


def _runtime_directories(facts: UnitFacts) -> Iterator[str]:
    for line in list_lines(facts, "Service", "RuntimeDirectory"):
        for word in split_words(line.value):
            for name in _UNESCAPED_COLON.split(word)[:2]:  # DIRECTORY:SYMLINK:FLAGS
                yield expand_path(facts, f"{_RUN}/{name}")


def _binds(facts: UnitFacts) -> Iterator[Problem]:
    for key in ("BindPaths", "BindReadOnlyPaths"):
        for line in list_lines(facts, "Service", key):
            for word in split_words(line.value):
                source, destination = _split(word.removeprefix("-"))
                destination = destination or source
                yield from _bind(
                    facts, line, word, expand_path(facts, source), expand_path(facts, destination)
                )


def _bind(
    facts: UnitFacts, line: Assignment, word: str, source: str, destination: str
) -> Iterator[Problem]:
    what = f"{line.key}={quote(word)}"
    if is_below(source, _RUN) or source == "/":
        yield problem_at(
            facts,
            line,
            f"{what} brings the host's /run in, and with it its resolver and its bus",
            f"Take it away by an empty {line.key}= in a drop-in",
        )
    elif source != destination and _takes_away(destination):
        yield problem_at(
            facts,
            line,
            f"{what} would lie over what confines the service",
            f"Take it away by an empty {line.key}= in a drop-in",
        )
    elif destination in _OURS:
        yield problem_at(
            facts,
            line,
            f"{what} would bring the host's file back in place of the tunnel's",
            f"Take it away by an empty {line.key}= in a drop-in",
        )


def _other_mounts(facts: UnitFacts) -> Iterator[Problem]:
    for key in ("TemporaryFileSystem", "MountImages"):
        for line in list_lines(facts, "Service", key):
            for word in split_words(line.value):
                first, second = _split(word)
                destination = first if key == "TemporaryFileSystem" else second
                if destination and _takes_away(expand_path(facts, destination)):
                    yield problem_at(
                        facts,
                        line,
                        f"{key}={quote(word)} would lie over what confines the service",
                        f"Take it away by an empty {key}= in a drop-in",
                    )


def _split(word: str) -> tuple[str, str]:
    """The first two parts of `FIRST:SECOND:…`; the second is empty where there is none."""
    first, *rest = (part.replace("\\:", ":") for part in _UNESCAPED_COLON.split(word))
    return first, rest[0] if rest else ""


def _takes_away(destination: str) -> bool:
    """Whether a mount there hides a mount of ours, or what the guard needs to run."""
    return (
        destination in _TOPS
        or any(is_below(destination, ours) for ours in _OURS)
        or (is_below(destination, _RUN) and any(is_below(ours, destination) for ours in _OURS))
    )


def _mounts_for_the_host(facts: UnitFacts) -> Iterator[Problem]:
    line = last_line(facts, "Service", "MountFlags")
    if line and line.value in {"shared", "1048576"}:  # MS_SHARED
        yield problem_at(
            facts,
            line,
            "MountFlags=shared says that it mounts for the host, which a confined service cannot:"
            " it has a view of the mounts of its own",
            "Leave this service unconfined, or set MountFlags= in a drop-in",
        )


def _other_roots(facts: UnitFacts) -> Iterator[Problem]:
    for key in ("RootDirectory", "RootImage"):
        line = last_line(facts, "Service", key)
        if line and line.value != "/":
            yield problem_at(
                facts,
                line,
                f"{key}={quote(line.value)} is not supported yet: the guard needs the host's"
                " /bin/sh and /proc",
                f"Run the service without {key}=",
            )


def _opened_files(facts: UnitFacts) -> Iterator[Problem]:
    """`OpenFile=` (253) connects to a socket of the host's and hands it over."""
    for line in list_lines(facts, "Service", "OpenFile"):
        path = expand_path(facts, _split(line.value)[0])
        if is_below(path, _RUN):
            yield problem_at(
                facts,
                line,
                f"OpenFile={quote(line.value)} hands it a file or socket of the host's /run",
                "Take it away by an empty OpenFile= in a drop-in",
            )


MOUNT_RULES = (
    _other_roots,
    _access_lists,
    _binds,
    _other_mounts,
    _mounts_for_the_host,
    _opened_files,
)
