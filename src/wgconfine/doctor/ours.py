"""What is wgconfine's own: settings, what is installed by them, and how that runs. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Settings
from wgconfine.model.status import ServiceStatus, Status, TunnelStatus
from wgconfine.model.tunnel import Word
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.plan.steps import FileStep, Step, UnitStep
from wgconfine.render.places import record_path

__all__ = ["Loose", "OwnFacts", "judge_own"]

SHOWN = 4
APPLY = "wgconfine apply"
BAD_SERVICES = ("NOT CONFINED", "refused", "failed", "not-found", "masked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """A file of ours whose owner or mode is not what it should be, and can be made so.

    `secret` has been readable by others; else it belongs to somebody else than root.
    """

    path: PurePosixPath
    secret: bool

    @property
    def command(self) -> str:
        """What makes it right. No chown(1): whoever owned a file of ours may have written it."""
        return self.step if self.secret else "wgconfine doctor --fix"

    @property
    def step(self) -> str:
        """The same in one line, as a thing that is going to be done."""
        if self.secret:
            return f"chmod 600 {shlex.quote(str(self.path))}"
        return f"write {self.path} anew, as the settings have it"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """`steps` is what `apply` would do, None where that was not found out, `failure` why not.

    `booted`: systemd runs here. `unread` says why settings could not be read at all; `unseen` are
    secret files that this user may not read. `in_the_way` is what is somebody else's. `failed` are
    units of ours that have, with systemd's word for how; `status` is None where systemd could not
    be asked.
    """

    booted: bool = True
    tunnels: tuple[Settings, ...] = ()
    unread: str = ""
    problems: tuple[Problem, ...] = ()
    unseen: tuple[PurePosixPath, ...] = ()
    loose: tuple[Loose, ...] = ()
    steps: tuple[Step, ...] | None = None
    in_the_way: tuple[Problem, ...] = ()
    failure: str = ""
    status: Status | None = None
    failed: Mapping[str, str] = field(default_factory=dict)


def judge_own(facts: OwnFacts) -> Iterator[Finding]:
    yield from judge_settings(facts)
    yield from judge_installed(facts)
    if facts.status is not None:
        yield from judge_running(facts.status, applying=bool(facts.steps))
    yield from judge_failed(facts.failed, facts.status)


settings = partial(Finding, subject=Subject.SETTINGS)


def judge_settings(facts: OwnFacts) -> Iterator[Finding]:
    if facts.unread:
        yield settings(name="settings", grade=Grade.UNKNOWN, words=facts.unread)
        return
    for each in facts.loose:
        if each.secret:
            words = f"{each.path}: holds a secret, and others than root may read it"
            yield settings(
                name="permissions", grade=Grade.BROKEN, words=words, mend=each.command, fix=True
            )
    mended = {str(each.path) for each in facts.loose}
    problems = [each for each in facts.problems if each.where not in mended]
    for problem in problems:
        yield settings(name="settings", grade=Grade.BROKEN, words=str(problem).rstrip("."))
    for path in facts.unseen:
        words = f"{path} is root's alone to read"
        yield settings(name="secrets", grade=Grade.UNKNOWN, words=words)
    if not facts.tunnels and not problems:
        words = "no tunnel is declared yet; with a provider's .conf"
        mend = "wgconfine init CONF --name NAME"
        yield settings(name="settings", grade=Grade.NOTE, words=words, mend=mend)
    elif not problems and not any(each.secret for each in facts.loose):
        count = len(facts.tunnels)
        words = "1 tunnel, no problem found" if count == 1 else f"{count} tunnels, no problem found"
        yield settings(name="settings", grade=Grade.OK, words=words)


installed = partial(Finding, subject=Subject.INSTALLED)


def judge_installed(facts: OwnFacts) -> Iterator[Finding]:
    for problem in facts.in_the_way:
        yield installed(name="in-the-way", grade=Grade.BROKEN, words=str(problem).rstrip("."))
    for each in facts.loose:
        if not each.secret:
            words = f"{each.path}: belongs to somebody else than root, who could change it"
            known = facts.steps is not None  # what is to be in it
            yield installed(
                name="permissions",
                grade=Grade.BROKEN,
                words=words,
                mend=each.command if known else "",
                fix=known,
            )
    if facts.failure:
        yield installed(name="plan", grade=Grade.BROKEN, words=facts.failure)
    if facts.steps is None:
        if facts.booted and not (facts.in_the_way or facts.failure or facts.problems):
            words = "whether it is as the settings say is found out as root alone"
            yield installed(name="plan", grade=Grade.UNKNOWN, words=words)
        return
    changes = [each.change for each in facts.steps if isinstance(each, FileStep)]
    asked = [each for each in facts.steps if isinstance(each, UnitStep)]
    if changes:
        words = f"{'; '.join(kinds_of(changes))}"
        yield installed(name="files", grade=Grade.BROKEN, words=words, mend=APPLY, fix=True)
    elif asked:
        steps = "; ".join(each.describe() for each in asked[:SHOWN])
        words = f"systemd is not where the settings want it: {steps}"
        yield installed(name="units", grade=Grade.BROKEN, words=words, mend=APPLY, fix=True)
    elif facts.tunnels and not any(not each.secret for each in facts.loose):
        words = "all files are there, as the settings say, and systemd has read them"
        yield installed(name="files", grade=Grade.OK, words=words)


def kinds_of(changes: Sequence[Change]) -> Iterator[str]:
    """Say of what kinds files differ: a tunnel that is new has none of its own yet."""
    new = [
        each.path.stem
        for each in changes
        if each.kind is ChangeKind.CREATE and each.path == record_path(each.path.stem)  # type: ignore[arg-type]  # a name, or another path
    ]
    if new:
        yield f"{', '.join(new)}: not applied yet"
    words = {
        ChangeKind.CREATE: "missing",
        ChangeKind.UPDATE: "not as the settings say (they have changed, or the file has)",
        ChangeKind.REMOVE: "left over",
    }
    for kind, word in words.items():
        found = [str(each.path) for each in changes if each.kind is kind]
        if found and not (new and kind is ChangeKind.CREATE):
            yield f"{some(found)}: {word}"


def some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


running = partial(Finding, subject=Subject.RUNNING)


def judge_running(status: Status, *, applying: bool) -> Iterator[Finding]:
    """Say how each tunnel and each of its services is, as `status` does.

    What the next `apply` mends is not said twice.
    """
    for tunnel in status.tunnels:
        if not (applying and tunnel.state == Word.DOWN):
            yield judge_tunnel(tunnel)
        for problem in tunnel.problems:
            if not (applying and APPLY in problem):
                words = f"{tunnel.name}: {problem}"
                yield running(name="problem", grade=Grade.BROKEN, words=words)
        for service in tunnel.services:
            yield from judge_service(service, tunnel.name)
    for service in status.closed:
        word = Grade.BROKEN if service.state == "NOT CONFINED" else Grade.NOTE
        words = f"{service.unit}: {service.state}; it does not start until it is released"
        mend = f"wgconfine release {shlex.quote(service.unit)}"
        yield running(name="closed", grade=word, words=words, mend=mend)


def judge_tunnel(tunnel: TunnelStatus) -> Finding:
    words = ": ".join(filter(None, (tunnel.name, tunnel.state, tunnel.why)))
    grade = {Word.UP: Grade.OK, Word.DOWN: Grade.NOTE}.get(Word(tunnel.state), Grade.BROKEN)
    mend = "" if grade is Grade.OK else f"wgconfine status {tunnel.name}"
    return running(name="tunnel", grade=grade, words=words, mend=mend)


def judge_service(service: ServiceStatus, tunnel: str) -> Iterator[Finding]:
    if service.state in BAD_SERVICES:
        why = f" ({service.why})" if service.why else ""
        yield running(
            name="service",
            grade=Grade.BROKEN,
            words=f"{service.unit} of {tunnel}: {service.state}{why}",
            mend=f"wgconfine logs {tunnel}",
        )


def judge_failed(units: Mapping[str, str], status: Status | None) -> Iterator[Finding]:
    """Say which units of ours have failed, but what `status` says of a tunnel already."""
    said = "\n".join(
        text for each in (status.tunnels if status else ()) for text in (each.why, *each.problems)
    )
    for unit, result in units.items():
        if unit not in said:
            name = unit.partition("@")[2].removesuffix(".service")
            again = unit.startswith("wgconfine-verify@")
            look = f"journalctl -b -u {shlex.quote(unit)}"
            yield running(
                name="failed",
                grade=Grade.BROKEN,
                words=f"{unit} has failed ({result})",
                mend=f"wgconfine verify {name}" if again else look,
            )
