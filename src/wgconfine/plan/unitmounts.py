"""What a unit mounts or shuts that does not go with the /run and the resolver we give it. Pure.

A confined unit sees a directory of its own as /run, so that no socket of the host's resolver, bus
or name service is there; resolv.conf and nsswitch.conf are bound over /etc's.
"""

import posixpath
import re
from collections.abc import Iterator

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Refinement
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import (
    expand,
    expand_path,
    is_below,
    last_line,
    list_lines,
    problem_at,
)
from wgconfine.plan.unitcommands import RUNS
from wgconfine.plan.unitholes import is_allowed, line_for

__all__ = ["MOUNT_RULES", "RUN_RULES", "pid_file_in_run"]

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


def pid_file_in_run(facts: UnitFacts) -> str:
    """Where PIDFile= lies in the unit's private /run, without the `/run/`; else empty.

    What is below a RuntimeDirectory= lies in the host's /run: systemd binds that directory in.
    """
    line = last_line(facts, "Service", "PIDFile")
    path = expand_path(facts, posixpath.join(_RUN, expand(facts.name, line.value))) if line else ""
    bound = any(is_below(path, each) for each in _runtime_directories(facts))
    return path.removeprefix(f"{_RUN}/") if is_below(path, _RUN) and not bound else ""


def _missing_in_run(facts: UnitFacts, said: Refinement, path: str) -> bool:
    """Whether a path lies below /run, and the private one does not have it."""
    there = (*_MADE_IN_RUN, *_runtime_directories(facts))
    hidden = path != _RUN and is_below(path, _RUN)
    return hidden and not any(is_below(path, each) for each in there) and not is_allowed(said, path)


def _works_in_run(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """Changing to a directory that is missing fails the guard's set-up, too: a silent skip."""
    line = last_line(facts, "Service", "WorkingDirectory")
    path = expand_path(facts, line.value) if line else ""
    if line and _missing_in_run(facts, said, path):  # `-/run` is no such path
        yield problem_at(
            facts,
            line,
            f"WorkingDirectory={quote(line.value)} must exist, and a confined service has a /run of"
            " its own where it does not",
            line_for(
                facts,
                path,
                "Make it by RuntimeDirectory= in a drop-in, or set another directory there",
            ),
        )


def _runs_from_run(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """A command that is missing fails, and as an ExecCondition= it is a silent skip."""
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            program = next(iter(split_words(line.value)), "").lstrip("-@:+!|")
            path = expand_path(facts, program)
            if program.startswith(("/", "%t")) and _missing_in_run(facts, said, path):
                yield problem_at(
                    facts,
                    line,
                    f"{key}= runs {quote(program)}, and a confined service has a /run of its own"
                    " where that does not exist",
                    line_for(facts, path, "Put the program elsewhere, such as /usr/local/bin"),
                )


def _access_lists(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """A path without `-` that the private /run lacks fails the guard's set-up: a silent skip."""
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
                if not word.startswith("-") and _missing_in_run(facts, said, path):
                    yield problem_at(
                        facts,
                        line,
                        f"{key}={quote(word)} must exist, and a confined service has a /run of its"
                        " own where it does not",
                        line_for(
                            facts,
                            path,
                            f"Write {quote('-' + word)} in a drop-in, after an empty {key}=",
                        ),
                    )


def _runtime_directories(facts: UnitFacts) -> Iterator[str]:
    for line in list_lines(facts, "Service", "RuntimeDirectory"):
        for word in split_words(line.value):
            for name in _UNESCAPED_COLON.split(word)[:2]:  # DIRECTORY:SYMLINK:FLAGS
                yield expand_path(facts, f"{_RUN}/{name}")


def _binds(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    for key in ("BindPaths", "BindReadOnlyPaths"):
        for line in list_lines(facts, "Service", key):
            for word in split_words(line.value):
                source, destination = _split(word.removeprefix("-"))
                ends = expand_path(facts, source), expand_path(facts, destination or source)
                if ends[0] == ends[1] and is_allowed(said, ends[0]):
                    continue  # it brings what is there already
                yield from _bind(facts, line, word, *ends)


def _bind(
    facts: UnitFacts, line: Assignment, word: str, source: str, destination: str
) -> Iterator[Problem]:
    what = f"{line.key}={quote(word)}"
    if is_below(source, _RUN) or source == "/":
        yield problem_at(
            facts,
            line,
            f"{what} brings the host's /run in, and with it its resolver and its bus",
            line_for(
                facts,
                source if source == destination else _RUN,
                f"Take it away by an empty {line.key}= in a drop-in",
            ),
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
    for key in ("RootDirectory", "RootImage", "RootMStack"):
        line = last_line(facts, "Service", key)
        if line and line.value != "/":
            yield problem_at(
                facts,
                line,
                f"{key}={quote(line.value)} is not supported yet: the guard needs the host's"
                " /bin/sh and /proc",
                f"Run the service without {key}=",
            )


def _extensions(facts: UnitFacts) -> Iterator[Problem]:
    """They come with an /etc or /usr of theirs (confext, sysext), after our binds or before."""
    for key in ("ExtensionImages", "ExtensionDirectories"):
        for line in list_lines(facts, "Service", key):
            yield problem_at(
                facts,
                line,
                f"{key}={quote(line.value)} may lie over the tunnel's files in /etc or over what"
                " the guard needs in /usr",
                f"Take it away by an empty {key}= in a drop-in",
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


def _standard_streams(facts: UnitFacts, said: Refinement) -> Iterator[Problem]:
    """PID 1 opens these before there is a private /run, and connects where there is a socket."""
    for key in ("StandardInput", "StandardOutput", "StandardError"):
        line = last_line(facts, "Service", key)
        how, _, path = line.value.partition(":") if line else ("", "", "")
        if how in {"file", "append", "truncate"} and _missing_in_run(
            facts, said, expand_path(facts, path)
        ):
            yield problem_at(
                facts,
                line,
                f"{key}={quote(f'{how}:{path}')} hands it a file or socket of the host's /run",
                line_for(
                    facts,
                    expand_path(facts, path),
                    f"Set {key}={'null' if key == 'StandardInput' else 'journal'} in a drop-in, or"
                    " name a file that is not below /run",
                ),
            )


MOUNT_RULES = (
    _other_roots,
    _other_mounts,
    _mounts_for_the_host,
    _extensions,
    _opened_files,
)
RUN_RULES = (_works_in_run, _runs_from_run, _access_lists, _binds, _standard_streams)
"""Those about paths below /run, which a line of the owner's can open."""
