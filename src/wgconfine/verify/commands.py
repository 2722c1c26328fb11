"""Are commands of `wgconfine exec` what was rendered: what others add to them, and those that run?

Their processes are looked at as those of services: verify/processes.py.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from wgconfine.model.settings import UnitName
from wgconfine.model.state import ALIVE
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.plan.commandcheck import why_refused, why_weaker
from wgconfine.render.places import command_dropin_path
from wgconfine.system.commands import command_facts
from wgconfine.verify.effective import PROPERTIES, judge_effective
from wgconfine.verify.subject import Origin, Subject
from wgconfine.verify.units import changed_at, judge_age, lines_of, started_at

__all__ = ["check_commands", "judge_additions", "judge_users"]

check = partial(Check, area=Area.UNITS)


def check_commands(subject: Subject) -> list[Check]:
    """Look at what confines a tunnel's commands, and at each that runs now."""
    path = command_dropin_path(subject.name)
    if path not in subject.installed:  # of an earlier version, or taken away: `own-files`
        return []
    found = [judge_additions(command_facts(subject.name))]
    lines = rendered_lines(subject)
    shown = subject.systemctl.show(subject.commands, (*PROPERTIES, "ActiveState", "MainPID", "UID"))
    for unit in subject.commands:
        if shown[unit]["ActiveState"] in ALIVE:
            found += judge_command(subject, unit, lines, shown[unit])
    return found


def rendered_lines(subject: Subject) -> list[Assignment]:
    path = command_dropin_path(subject.name)
    desired, installed = (lines_of(tree.get(path)) for tree in (subject.desired, subject.installed))
    return desired if subject.origin is Origin.SETTINGS and desired else installed


def judge_additions(facts: UnitFacts) -> Check:
    """Say which drop-ins of others would undo what confines commands: `exec` refuses then.

    So it does where they would change who or what runs, which lets nothing out and is no failure.
    """
    own = partial(check, name="exec-drop-ins")
    if problems := why_weaker(facts):
        return own(verdict=Verdict.NOT_CONFINED, evidence="; ".join(map(str, problems)))
    said = "; ".join(map(str, why_refused(facts)))
    evidence = f"exec refuses: {said}" if said else "nobody changes what confines commands of exec"
    return own(verdict=Verdict.OK, evidence=evidence)


def judge_command(
    subject: Subject, unit: UnitName, lines: list[Assignment], shown: Mapping[str, str]
) -> Iterator[Check]:
    yield from judge_effective(unit, lines, shown)
    pid = int(shown["MainPID"] or "0")
    # While it is set up it has no user namespace of its own yet.
    if (
        pid
        and shown["ActiveState"] == "active"
        and shown["UID"].isdecimal()
        and shown["UID"] != "0"
    ):
        yield from judge_users(unit, user_namespace(pid), user_namespace(1))
    if pid:
        path = command_dropin_path(subject.name)
        yield from judge_age(unit, started_at(pid), changed_at(path), mend="stop")


def user_namespace(pid: int) -> int:
    """Give the inode of a process's user namespace; 0 where it has ended."""
    try:
        return Path(f"/proc/{pid}/ns/user").stat().st_ino
    except OSError:
        return 0


def judge_users(unit: UnitName, own: int, hosts: int) -> Iterator[Check]:
    """Say whether a command of a user's is kept out of that user's processes outside."""
    judged = partial(check, name="user-namespace", unit=unit)
    if own and own != hosts:
        yield judged(verdict=Verdict.OK, evidence="can't enter processes of its user's outside")
    elif own:
        yield judged(
            verdict=Verdict.NOT_CONFINED,
            evidence="is in the host's user namespace: it can enter processes of its user's outside"
            ", and by them the host's sockets",
            mend=f"systemctl stop {unit}",
        )
