"""`wgconfine doctor`: what of this machine is fine, what will not work, and what mends it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wgconfine.cli.apply import carry_out
from wgconfine.cli.dialogue import coloured, columns, complain, confirm
from wgconfine.cli.examination import Examination, examine, opened_secret
from wgconfine.cli.survey import survey
from wgconfine.config.escape import escape
from wgconfine.doctor.ours import Loose
from wgconfine.model.doctor import exit_code
from wgconfine.model.errors import (
    ExitCode,
    NeedsRoot,
    ProblemsFound,
    Refused,
)
from wgconfine.model.tree import File, Link
from wgconfine.report import doctor as words
from wgconfine.system.installed import LIVE
from wgconfine.system.lock import apply_lock
from wgconfine.system.tree import TreeWriter

__all__ = ["run_doctor"]


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
    if as_json:
        print(words.as_json(seen.findings))
    else:
        print(words.as_text(seen.findings, width=columns(), colour=coloured()))


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
        for each in seen.mendable:
            complain(f"[#] {escape(each.step)}")
            if each.secret:
                tighten(each)
            elif seen.found is not None:
                rewrite(seen.found.desired[each.path])
        if seen.found is not None:
            steps_by(LIVE, seen.steps[len(seen.mendable) :])
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
    steps = [escape(each.describe()) for each in found.steps]
    more = [each for each in steps if each not in agreed]
    if more:
        complain("There is more to do now. See wgconfine plan:", *(f"  {each}" for each in more))
    elif found.steps:
        carry_out(found, root, yes=True)


def tighten(loose: Loose) -> None:
    """Take rights away; never give any to what is not the very file that was looked at."""
    with opened_secret(loose.path) as descriptor:
        if descriptor is not None:
            os.fchmod(descriptor, 0o600)


def rewrite(entry: File | Link) -> None:
    """Have a file of ours belong to root, as it should be: whoever owned it may have written it.

    Its mode, too, which may make a program of it that runs as whoever owns it.
    """
    writer = TreeWriter(LIVE)
    if isinstance(entry, Link):
        writer.remove(entry.path)  # one that leads there already would stay
    writer.put(entry)
