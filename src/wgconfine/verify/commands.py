"""Are commands of `wgconfine exec` what was rendered: what others add to them, and those that run?

Their processes are looked at as those of services: verify/processes.py.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from wgconfine.model.settings import UnitName
from wgconfine.model.state import ALIVE
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.plan.unitcheck import check_unit
from wgconfine.render.command import command_settings
from wgconfine.render.places import command_dropin_path
from wgconfine.system.commands import command_facts
from wgconfine.verify.effective import PROPERTIES, judge_effective
from wgconfine.verify.subject import Origin, Subject
from wgconfine.verify.units import changed_at, judge_age, lines_of, started_at

__all__ = ["check_commands", "judge_additions"]

check = partial(Check, area=Area.UNITS)


def check_commands(subject: Subject) -> list[Check]:
    """Look at what confines a tunnel's commands, and at each that runs now."""
    path = command_dropin_path(subject.name)
    if path not in subject.installed:  # of an earlier version, or taken away: `own-files`
        return []
    found = [judge_additions(command_facts(subject.name))]
    lines = rendered_lines(subject)
    shown = subject.systemctl.show(subject.commands, (*PROPERTIES, "ActiveState", "MainPID"))
    for unit in subject.commands:
        if shown[unit]["ActiveState"] in ALIVE:
            found += judge_command(subject, unit, lines, shown[unit])
    return found


def rendered_lines(subject: Subject) -> list[Assignment]:
    path = command_dropin_path(subject.name)
    desired, installed = (lines_of(tree.get(path)) for tree in (subject.desired, subject.installed))
    return desired if subject.origin is Origin.SETTINGS and desired else installed


def judge_additions(facts: UnitFacts) -> Check:
    """Say which drop-ins of others would undo what confines commands: `exec` refuses then."""
    own = partial(check, name="exec-drop-ins")
    if problems := check_unit(facts, command_settings()):
        return own(verdict=Verdict.NOT_CONFINED, evidence="; ".join(map(str, problems)))
    return own(verdict=Verdict.OK, evidence="nobody changes what confines commands of exec")


def judge_command(
    subject: Subject, unit: UnitName, lines: list[Assignment], shown: Mapping[str, str]
) -> Iterator[Check]:
    yield from judge_effective(unit, lines, shown)
    pid = int(shown["MainPID"] or "0")
    if pid:
        path = command_dropin_path(subject.name)
        yield from judge_age(unit, started_at(pid), changed_at(path), mend="stop")
