"""What a tunnel needs of kernel and systemd, tried in namespaces that are thrown away.

A container may forbid any of it, and says so only when it comes to it: EPERM for a namespace has
systemd run a unit in the *host's*, with success.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import wgconfine
from wgconfine.doctor.asked import SECONDS, Answers, ask
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.runtime.firewall import Policy, ruleset
from wgconfine.system.inside import LATE, MISSING, Answer, end, first_line, is_late, start

__all__ = [
    "QUESTIONS",
    "RULES",
    "TRIALS",
    "UNIT",
    "Trials",
    "held_namespace",
    "joining",
    "judge_trials",
    "trials_of",
]

MARKS = {".dockerenv": "docker", "run/.containerenv": "podman"}
UNTRIED = "?"
"""For what can't be tried without nft(8): the tools say so."""
PYTHON = f"""\
import os
from wgconfine.runtime import switch
from wgconfine.runtime.failure import Failure
own, first = (os.stat(f"/proc/{{each}}/ns/net").st_ino for each in ("self", "1"))
print(own, first)
try:
    print("" if own == first else switch.why_not("doctor"))
except Failure:
    print("{UNTRIED}")
"""
"""What a unit tries: is it in a namespace of its own, and does the second switch's rule work?"""

QUESTIONS = {"virt": ("systemd-detect-virt", "--container")}
TRIALS = {
    "namespace": ("unshare", "--net", "--", "true"),
    "name": (
        *("unshare", "--net", "--mount", "--"),
        *("mount", "--bind", "/proc/self/ns/net", wgconfine.__file__),
    ),
    "rules": ("unshare", "--net", "--", "nft", "-f", "-"),
}
"""For root. The name is mounted over a file in a mount namespace of its own."""
LIMITS = {"TimeoutStartSec": 5, "RuntimeMaxSec": 5, "TimeoutStopSec": 1}
"""In seconds: a unit of a trial ends by itself before its answer is given up, or soon after."""


def unit_of(trial: str) -> str:
    """Give the unit of a trial of this process."""
    return f"wgconfine-doctor-{os.getpid()}-{trial}.service"


def run(trial: str, *properties: str) -> tuple[str, ...]:
    """Give the beginning of the command that runs a unit for a trial.

    Without default dependencies: with them it would pull basic.target and sysinit.target into a
    machine that was booted for rescue without them.
    """
    limits = (f"{name}={seconds}s" for name, seconds in LIMITS.items())
    given = ("DefaultDependencies=no", *limits, *properties)
    return (
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={unit_of(trial)}"),
        *(f"--property={each}" for each in given),
        "--",
    )


UNIT = {
    "unit": (
        *run("unit", "PrivateNetwork=yes", "TemporaryFileSystem=/mnt"),
        *(sys.executable, "-I", "-c", PYTHON),
    )
}
"""For root, where systemd runs: as a confined service is started, with mounts of its own."""

HOLDER = ("unshare", "--net", "--", "sh", "-c", "echo made; exec cat")
"""Has a namespace of its own until its standard input ends."""


@contextmanager
def held_namespace() -> Iterator[int | None]:
    """Hold a namespace for a unit to join, by a process in it; None where none can be made."""
    process = start(HOLDER, ())
    if isinstance(process, OSError):
        yield None
        return
    try:
        yield process.pid if first_line(process, SECONDS) == "made\n" else None
    finally:
        end(process)


def joining(process: int) -> dict[str, tuple[str, ...]]:
    """Give the question whether a unit can join the namespace of a process.

    As confined services do, by a path: where setns(2) is refused with EPERM, systemd runs them in
    the host's namespace.
    """
    place = f"NetworkNamespacePath=/proc/{process}/ns/net"
    look = ("stat", "-L", "-c", "%i", "/proc/self/ns/net", "/proc/1/ns/net")
    return {"join": (*run("join", place), *look)}


def stop_late(answers: Answers) -> None:
    """Stop the units that gave no answer: systemd-run(1) was killed, and they were not."""
    late = [each for each in ("unit", "join") if each in answers and is_late(answers[each])]
    if late:
        stop = ("systemctl", "stop", "--no-block", "--", *map(unit_of, late))
        ask({"stop": stop}, seconds=STOP_SECONDS)


RULES = ruleset(
    Policy(
        resolvers=("192.0.2.1", "2001:db8::1"),
        addresses=("192.0.2.2/32", "2001:db8::2/128"),
        inbound_tcp=("51413",),
        inbound_udp=("51413",),
        outbound_deny=("192.0.2.0/24",),
    )
)
"""A tunnel's table with every kind of rule in it, for standard input."""

CREDENTIALS, NETWORK, NAMESPACE = 243, 225, 226
"""systemd.exec(5), "Process Exit Codes"."""
STOP_SECONDS = 2.0
UNREACHED = "Failed to connect to "
"""How systemd-run(1) begins where no bus answers it, as in rescue mode: nothing was tried then."""
EXIT_FAILURE, EXIT_EXCEPTION = 1, 255
"""Of systemd-run(1), for a unit that failed otherwise than by the status of its program."""
ENDED = "the unit ended without a word, as at a time limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """`container` is systemd-detect-virt(1)'s word, empty for none and `?` where it is not known.

    `release` is the kernel's, which tells Proxmox VE. Each trial is empty where it went well, says
    why where it did not, and is None where it was not made; `unanswered` says why, where it is
    known.
    """

    root: bool = True
    container: str = ""
    release: str = ""
    namespace: str | None = None
    name: str | None = None
    rules: str | None = None
    unit: str | None = None
    join: str | None = None
    switch: str | None = None
    unanswered: Mapping[str, str] = field(default_factory=dict)


def trials_of(answers: Answers, release: str, root: Path) -> Trials:
    """`root` is where files are looked for."""
    switch, unit = unit_trial(answers.get("unit"))
    _, join = unit_trial(answers.get("join"))
    return Trials(
        root=os.geteuid() == 0,
        container=container_of(answers.get("virt"), root),
        release=release,
        namespace=why(answers.get("namespace")),
        name=why(answers.get("name")),
        rules=why(answers.get("rules")),
        unit=unit,
        join=join,
        switch=switch,
        unanswered={
            each: reason
            for each in (*TRIALS, *UNIT, "join")
            if (reason := why_unanswered(answers.get(each)))
        },
    )


def container_of(answer: Answer | None, root: Path) -> str:
    """Give what systemd-detect-virt(1) calls it; it ends with 1 where there is none.

    Containers of one program often lack it, and have the file that their manager puts there.
    """
    word = answer.output.strip() if answer is not None else ""
    marks = (kind for path, kind in MARKS.items() if (root / path).exists())
    return "" if word == "none" else word or next(marks, "?")


def why(answer: Answer | None) -> str | None:
    """Give what a program complains of; None where nothing was found out.

    What is not installed is the tools' matter.
    """
    if answer is None or answer.status == MISSING or why_unanswered(answer):
        return None
    if answer.status == 0:
        return ""
    complaint = answer.complaint.strip().partition("\n")[0]
    return complaint or f"exit status {answer.status}"


def why_unanswered(answer: Answer | None) -> str:
    """Say why a trial tells nothing of what it tries; empty where it does, or was not made."""
    if answer is None:
        return ""
    if is_late(answer):
        return LATE
    first = answer.complaint.partition("\n")[0]
    if answer.status and first.startswith(UNREACHED):
        return first
    silent = not answer.output and not answer.complaint
    return ENDED if silent and answer.status in {EXIT_FAILURE, EXIT_EXCEPTION} else ""


def unit_trial(answer: Answer | None) -> tuple[str | None, str | None]:
    """Give what is wrong with the second switch, and with namespaces of units."""
    found = why(answer)
    if answer is None or found is None:
        return None, None
    codes = {NETWORK: "225/NETWORK", NAMESPACE: "226/NAMESPACE", CREDENTIALS: "243/CREDENTIALS"}
    if answer.status in codes:
        return None, f"systemd could not set it up ({codes[answer.status]})"
    if found:
        return None, found
    own, host, *said = answer.output.split(maxsplit=2) or ("", "")
    if own == host:
        return None, "systemd runs it in the network namespace of the host, and calls that success"
    switch = "".join(said).strip()
    return (None if switch == UNTRIED else switch), ""


finding = partial(Finding, subject=Subject.CONTAINER)
UNKNOWN = {
    "namespace": "whether a network namespace can be made was not found out",
    "name": "whether a namespace can be given a name was not found out",
    "rules": "whether the tunnel's firewall can be loaded was not found out",
    "unit": "whether a unit gets a network namespace of its own was not found out",
    "join": "whether a unit can join the namespace of a tunnel was not found out",
}


def judge_trials(trials: Trials, *, booted: bool = True) -> Iterator[Finding]:
    """Say what works here and what cannot, with what its container has to be given."""
    words = {
        "namespace": "no network namespace can be made",
        "name": "a namespace can't be given a name",
        "rules": "the tunnel's firewall can't be loaded into a namespace",
        "unit": "a unit gets no network namespace of its own",
        "join": "a unit can't join the namespace of a tunnel",
    }
    if not booted:  # there are no units then
        words = {each: words[each] for each in words if each not in {"unit", "join"}}
    tried = {each: getattr(trials, each) for each in words}
    lines = nesting_lines(trials)
    for each, said in tried.items():
        if said:
            yield finding(
                name=each, grade=Grade.BROKEN, words=f"{words[each]}: {said}", lines=lines
            )
    for each, reason in trials.unanswered.items():
        if each in words:
            yield finding(name=each, grade=Grade.UNKNOWN, words=f"{UNKNOWN[each]}: {reason}")
    if trials.switch:
        what = f"the second switch is not available: {trials.switch}; tunnels work without"
        yield finding(name="switch", grade=Grade.NOTE, words=what)
    if any(said is None and each not in trials.unanswered for each, said in tried.items()):
        what = "namespaces and rules "
        what += "could not be tried" if trials.root else "are tried as root alone"
        yield finding(name="trials", grade=Grade.UNKNOWN, words=f"{called(trials)}{what}")
    elif not trials.unanswered and not any(tried.values()):
        units = " and units" if booted else ""
        what = f"namespaces, their names, rules{units} in them were tried, and work"
        yield finding(name="trials", grade=Grade.OK, words=f"{called(trials)}{what}")
    if trials.container in {"docker", "podman"}:
        yield finding(
            name="one-program",
            grade=Grade.NOTE,
            words=f"a container of {trials.container} rarely has systemd: wgconfine belongs on the "
            "machine that runs the containers",
        )


def called(trials: Trials) -> str:
    """Say which container this is."""
    if trials.container == "lxc" and trials.release.endswith("-pve"):
        return "a container of Proxmox VE: "
    known = {"": "", "?": "", "container-other": "a container: "}
    return known.get(trials.container, f"a container ({trials.container}): ")


def nesting_lines(trials: Trials) -> tuple[str, ...]:
    """Give what lets a container make namespaces and mounts; its manager's manual is the source."""
    match trials.container:
        case "lxc" if trials.release.endswith("-pve"):
            return ("on the host: pct set CTID --features nesting=1 && pct reboot CTID",)
        case "lxc":
            return (
                "Incus, on the host: incus config set NAME security.nesting=true",
                "LXC, in the container's config:",
                "lxc.apparmor.profile = generated",
                "lxc.apparmor.allow_nesting = 1",
            )
        case "systemd-nspawn":
            return (
                "/etc/systemd/nspawn/NAME.nspawn on the host:",
                "[Exec]",
                "PrivateUsers=no",
                "Capability=CAP_NET_ADMIN",
            )
        case "docker" | "podman":
            return (f"{trials.container} run --privileged --cgroupns=private …",)
        case _:
            return ()
