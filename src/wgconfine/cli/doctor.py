"""`wgconfine doctor`: what of this machine is fine, what will not work, and what mends it."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.cli.apply import carry_out
from wgconfine.cli.dialogue import coloured, columns, complain, confirm
from wgconfine.cli.survey import Survey, survey
from wgconfine.doctor.ours import Loose, OwnFacts, judge_own
from wgconfine.doctor.run import is_booted, judge_machine, look_at_machine
from wgconfine.model.doctor import Finding, exit_code
from wgconfine.model.errors import (
    ExitCode,
    InTheWay,
    NeedsRoot,
    OperationFailed,
    ProblemsFound,
    Refused,
)
from wgconfine.model.settings import Settings
from wgconfine.model.tree import File, Link
from wgconfine.report import doctor as words
from wgconfine.runtime.trusted import LIMIT
from wgconfine.system.confcheck import check_sources
from wgconfine.system.installed import LIVE, PATTERNS, closed_services
from wgconfine.system.lock import apply_lock
from wgconfine.system.observe import observe
from wgconfine.system.sources import PLACE, read_all
from wgconfine.system.systemctl import RealSystemctl, loaded_units
from wgconfine.system.tree import TreeWriter, read_installed

__all__ = ["run_doctor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found, and what of it `--fix` may do; `found` is None where there is no plan."""

    findings: tuple[Finding, ...]
    loose: tuple[Loose, ...]
    found: Survey | None

    @property
    def steps(self) -> tuple[str, ...]:
        """What would be done, one line each."""
        steps = self.found.steps if self.found is not None else ()
        return (*(each.command for each in self.loose), *(each.describe() for each in steps))


def run_doctor(*, as_json: bool, fix: bool, yes: bool) -> ExitCode:
    """Print what was found, and with `fix` mend what is ours, and look again.

    1 where something will not work, else 6 where not all could be looked at. Raises NeedsRoot for
    `fix` without root, Refused where the person says no.
    """
    if fix and os.geteuid() != 0:
        raise NeedsRoot("doctor --fix changes the machine: run it as root.")
    seen = examine()
    if fix:
        if not as_json:
            show(seen, as_json=False)
        if mend(seen, yes=yes):
            seen = examine()
        elif not as_json:
            return exit_code(seen.findings)
    show(seen, as_json=as_json)
    return exit_code(seen.findings)


def show(seen: Examination, *, as_json: bool) -> None:
    found = seen.findings
    text = words.as_json if as_json else partial(words.as_text, width=columns(), colour=coloured())
    print(text(found))


def examine() -> Examination:
    """Look at everything. What can't be looked at is a finding, and never an error."""
    own, found = look_at_own()
    facts = look_at_machine(own.tunnels)
    return Examination(
        findings=(*judge_machine(facts, own.tunnels), *judge_own(own)),
        loose=own.loose,
        found=found,
    )


def look_at_own() -> tuple[OwnFacts, Survey | None]:
    try:
        tunnels, problems = read_all(LIVE)
    except NeedsRoot as refused:
        return OwnFacts(unread=str(refused).rstrip(".")), None
    except ProblemsFound as wrong:  # the directory itself
        tunnels, problems = [], list(wrong.problems)
    sources = check_sources(tunnels)
    facts = OwnFacts(
        booted=is_booted(),
        tunnels=tuple(tunnels),
        problems=tuple(dict.fromkeys((*problems, *sources.problems))),
        unseen=tuple(dict.fromkeys(sources.unseen)),
        loose=tuple(loose_files(tunnels)) if os.geteuid() == 0 else (),
    )
    if not facts.booted:
        return facts, None
    facts = look_at_running(facts)
    return planned(facts) if os.geteuid() == 0 else (facts, None)


def planned(facts: OwnFacts) -> tuple[OwnFacts, Survey | None]:
    """Add what `apply` would do, or why it would do nothing."""
    try:
        found = survey(LIVE, again=True, written=as_mended(facts.loose))
    except InTheWay as error:
        return replace(facts, in_the_way=error.problems), None
    except ProblemsFound as error:
        problems = tuple(dict.fromkeys((*facts.problems, *error.problems)))
        return replace(facts, problems=problems), None
    except OperationFailed as error:
        return replace(facts, failure=" ".join(str(error).split("\n"))), None
    return replace(facts, steps=found.steps), found


def look_at_running(facts: OwnFacts) -> OwnFacts:
    try:
        installed = read_installed(LIVE, PATTERNS)
        status = observe(
            RealSystemctl(),
            facts.tunnels,
            closed_services(installed),
            settings_wrong=bool(facts.problems),
        )
        units = loaded_units(("wgconfine*",), ("ActiveState", "Result"))
    except OperationFailed:  # systemd does not answer: its own finding says so
        return facts
    failed = {
        unit: each["Result"] for unit, each in units.items() if each["ActiveState"] == "failed"
    }
    return replace(facts, status=status, failed=failed)


def loose_files(tunnels: Iterable[Settings]) -> Iterator[Loose]:
    """Give what of ours can safely be made right.

    A secret in /etc/wgconfine that others may read, but not write: what they may have written is
    for a person to judge. Of what we wrote ourselves what belongs to somebody else: it is written
    anew.
    """
    for path in dict.fromkeys(path for each in tunnels for path in each.secret_files):
        with suppress(OSError):
            if path.is_relative_to(PLACE) and is_merely_readable(os.lstat(path)):
                yield Loose(path=path, secret=True)
    with suppress(OperationFailed):
        for path in read_installed(LIVE, PATTERNS):
            with suppress(OSError):
                if os.lstat(path).st_uid != 0:
                    yield Loose(path=path, secret=False)


def is_merely_readable(status: os.stat_result) -> bool:
    mode = stat.S_IMODE(status.st_mode)
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == 0
        and status.st_nlink == 1
        and not mode & 0o022
        and bool(mode & 0o077)
    )


def mend(seen: Examination, *, yes: bool) -> bool:
    """Do what is ours to do, once a person agrees; tell whether anything was done.

    Raises Refused without a word of his, and OperationFailed for what did not work.
    """
    if not seen.steps:
        complain("There is nothing of wgconfine's own to mend.")
        return False
    complain("This would be done:", *(f"  {each}" for each in seen.steps))
    if not yes:
        if not sys.stdin.isatty():
            raise Refused("doctor --fix: say --yes where there is no terminal to ask on.")
        confirm("Do it?")
    with apply_lock(LIVE, complain):
        for each in seen.loose:
            complain(f"[#] {each.command}")
            tighten(each)
        steps_by(LIVE, seen.steps[len(seen.loose) :])
    return True


def steps_by(root: Path, agreed: Sequence[str]) -> None:
    """Do what `apply` does now, as far as it is what was agreed to.

    Another `apply` may have come before, and modes that were made right let more be seen.
    """
    try:
        found = survey(root, again=True)
    except ProblemsFound as error:
        complain(str(error))
        return
    more = [each.describe() for each in found.steps if each.describe() not in agreed]
    if more:
        complain("There is more to do now. See wgconfine plan:", *(f"  {each}" for each in more))
    elif found.steps:
        carry_out(found, root, yes=True)


@contextmanager
def opened(path: PurePosixPath) -> Iterator[int | None]:
    """Open a secret that others may merely read; None where it is not that any more."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor if is_merely_readable(os.fstat(descriptor)) else None
    finally:
        os.close(descriptor)


def as_mended(loose: Iterable[Loose]) -> dict[PurePosixPath, bytes]:
    """Give secrets by what is in them: how they may be read is told apart from that."""
    found = {}
    for each in loose:
        with suppress(OSError), opened(each.path) as descriptor:
            if each.secret and descriptor is not None:
                found[each.path] = os.pread(descriptor, LIMIT + 1, 0)
    return found


def tighten(loose: Loose) -> None:
    """Take rights away; never give any to what is not the very file that was looked at."""
    if not loose.secret:
        rewrite(loose.path)
        return
    with opened(loose.path) as descriptor:
        if descriptor is not None:
            os.fchmod(descriptor, 0o600)


def rewrite(path: PurePosixPath) -> None:
    """Have a file of ours belong to root: whoever owned the old one may still write to that."""
    entry = read_installed(LIVE, [str(path)]).get(path)
    writer = TreeWriter(LIVE)
    if isinstance(entry, File):
        writer.put(entry)
    elif isinstance(entry, Link):
        writer.remove(path)
        writer.put(entry)
