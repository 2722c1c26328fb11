"""What `doctor` looks at, wgconfine's own with it, and what of that `--fix` may mend."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from wgconfine.cli.survey import Survey, survey
from wgconfine.config.escape import escape
from wgconfine.doctor.base import is_booted
from wgconfine.doctor.ours import Loose, OwnFacts, judge_own
from wgconfine.doctor.run import judge_machine, look_at_machine
from wgconfine.model.doctor import Finding
from wgconfine.model.errors import (
    InTheWay,
    NeedsRoot,
    OperationFailed,
    ProblemsFound,
)
from wgconfine.model.settings import Settings
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.trusted import LIMIT
from wgconfine.system.confcheck import check_sources
from wgconfine.system.installed import LIVE, PATTERNS, closed_services
from wgconfine.system.observe import observe
from wgconfine.system.sources import PLACE, read_all
from wgconfine.system.systemctl import RealSystemctl, loaded_units
from wgconfine.system.tree import read_installed

__all__ = ["Examination", "as_mended", "examine", "is_merely_readable", "opened_secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found, and what of it `--fix` may do; `found` is None where there is no plan."""

    findings: tuple[Finding, ...]
    loose: tuple[Loose, ...]
    found: Survey | None

    @property
    def mendable(self) -> tuple[Loose, ...]:
        """What can be made right: of a file that is written anew one has to know what is in it.

        One that should not be there at all is taken away by a step of the plan.
        """
        known = self.found.desired if self.found is not None else {}
        return tuple(each for each in self.loose if each.secret or each.path in known)

    @property
    def steps(self) -> tuple[str, ...]:
        """What would be done, one line each."""
        steps = self.found.steps if self.found is not None else ()
        lines = (*(each.step for each in self.mendable), *(each.describe() for each in steps))
        return tuple(map(escape, lines))  # none of them is two


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
    except (OperationFailed, Failure) as error:
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
    except (OperationFailed, Failure):  # what does not answer, or is missing, has its own finding
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


@contextmanager
def opened_secret(path: PurePosixPath) -> Iterator[int | None]:
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
        with suppress(OSError), opened_secret(each.path) as descriptor:
            if each.secret and descriptor is not None:
                found[each.path] = os.pread(descriptor, LIMIT + 1, 0)
    return found
