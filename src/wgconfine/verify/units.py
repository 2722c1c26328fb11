"""Are the units what was rendered: files, what others add to them, and what systemd made of it?"""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.model.settings import Refinement, TunnelName, UnitName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.tree import File, Link, Tree
from wgconfine.model.units import Assignment, UnitFacts, UnitText
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.plan.commandline import split_words
from wgconfine.plan.portsteps import is_port
from wgconfine.plan.unitcheck import named_problems
from wgconfine.plan.unitdigest import without_comments
from wgconfine.plan.unitfile import parse_unit
from wgconfine.render.places import (
    COMMAND_DROPIN,
    UNITS,
    closing_path,
    command_dropin_path,
    dropin_path,
    record_path,
    unit_digest,
)
from wgconfine.render.service import dropin_settings, slice_name
from wgconfine.render.tunnel import name_dropins
from wgconfine.system.servicestatus import reason_of_refusal
from wgconfine.verify.effective import PROPERTIES, judge_effective
from wgconfine.verify.subject import Origin, Subject, units_of_ports, units_of_tunnel

__all__ = ["check_units"]

check = partial(Check, area=Area.UNITS)

Shown = Mapping[str, str]

SECOND = 1.0
"""What clock ticks and the time of a file system may differ by, and more."""


def check_units(subject: Subject) -> list[Check]:
    """Look at the tunnel's own units, then at each of its services."""
    shown = subject.systemctl.show(subject.settings.services, PROPERTIES)
    if record_path(subject.name) not in subject.installed:  # then that is all there is to say
        dropins = [judge_dropin(unit, None, subject) for unit in subject.settings.services]
        return [judge_record(subject), *dropins]
    return [
        judge_record(subject),
        *judge_own_files(subject),
        *judge_own_units(subject),
        *(
            found
            for unit in subject.settings.services
            for found in check_service(subject, unit, shown[unit])
        ),
    ]


def check_service(subject: Subject, unit: UnitName, shown: Shown) -> list[Check]:
    facts = subject.facts.get(unit)
    dropin = judge_dropin(unit, facts, subject)
    found = [
        judge_state(subject.name, unit, subject.states[unit]),
        dropin,
        judge_closing(unit, subject.desired, subject.installed),
    ]
    if facts is not None:
        found += judge_facts(unit, facts, subject.settings.refinement(unit))
    if subject.states[unit].load == "loaded" and dropin_path(unit) in subject.installed:
        lines = rendered_lines(unit, subject, stale=dropin.verdict is Verdict.BROKEN)
        found += judge_effective(unit, lines, shown)
        found.append(judge_reload(unit, subject.states[unit]))
        pid = subject.states[unit].main_pid
        if pid:
            found += judge_age(unit, started_at(pid), changed_at(dropin_path(unit)))
    return found


OF_THE_UNIT = {"ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost", "PIDFile"}
"""What the drop-in has according to the unit's own lines."""


def rendered_lines(unit: UnitName, subject: Subject, *, stale: bool) -> list[Assignment]:
    """Give the settings that the unit must have in the end: the drop-in's, as it would be now.

    Where that is not known it is the installed one's, and of a unit that has changed since it was
    written (`stale`) what follows from the unit's own lines.
    """
    path = dropin_path(unit)
    installed, desired = (lines_of(tree.get(path)) for tree in (subject.installed, subject.desired))
    if subject.origin is not Origin.SETTINGS or not desired:
        return installed
    if not stale:
        return desired
    return [line for line in desired if line.key not in OF_THE_UNIT] + [
        line for line in installed if line.key in OF_THE_UNIT
    ]


def lines_of(file: File | Link | None) -> list[Assignment]:
    if not isinstance(file, File):
        return []
    return [*parse_unit(UnitText(path=file.path, text=file.text))]


def judge_state(name: TunnelName, unit: UnitName, state: UnitState) -> Check:
    """Say how the service is. One that was kept from running is never called stopped."""
    word = judge(state)
    if word == "refused":
        return check(
            name="state",
            unit=unit,
            verdict=Verdict.BROKEN,
            evidence=f"refused: {reason_of_refusal(name, unit, state)}",
        )
    if word in {"not-found", "masked"}:
        evidence = {"not-found": "there is no such unit", "masked": "it is masked"}[word]
        return check(name="state", unit=unit, verdict=Verdict.BROKEN, evidence=evidence)
    return check(name="state", unit=unit, verdict=Verdict.OK, evidence=word)


def judge_record(subject: Subject) -> Check:
    """Tell whether what is installed was made from the settings of now."""
    settings, path = subject.settings, record_path(subject.name)
    own = partial(check, name="settings")
    if subject.origin is Origin.INSTALLED:
        evidence = f"{settings.path} is wrong; what is installed was verified"
        return own(verdict=Verdict.UNKNOWN, evidence=evidence, mend="wgconfine check")
    if subject.origin is Origin.ORPHANED:
        evidence = "no longer in the settings, and still installed"
    elif not settings.enable:
        evidence = "disabled, and still installed"
    elif path not in subject.installed:
        return own(verdict=Verdict.NOT_CONFINED, evidence="not applied yet", mend="wgconfine apply")
    elif settings_changed(subject):
        evidence = "the settings have changed since they were applied"
    else:
        return own(verdict=Verdict.OK, evidence=f"{settings.path} is what was applied")
    return own(verdict=Verdict.BROKEN, evidence=evidence, mend="wgconfine apply")


def settings_changed(subject: Subject) -> bool:
    """Tell whether NAME.json names another digest of the settings than they have now."""
    file = subject.installed.get(record_path(subject.name))
    digest = f'"settings-digest": "{subject.settings.digest}"'
    return not (isinstance(file, File) and digest in file.text)


def judge_own_files(subject: Subject) -> Iterator[Check]:
    """Compare the files of the tunnel's own units with what `apply` would write now."""
    own = partial(check, name="own-files")
    if subject.origin is not Origin.SETTINGS or not subject.settings.enable:
        return
    wanted = [path for path in subject.desired if is_own(path, subject)]
    wrong = [path for path in wanted if subject.installed.get(path) != subject.desired[path]]
    missing = [path for path in wrong if path not in subject.installed]
    edited = [path for path in wrong if path in subject.installed]
    if missing:
        yield own(
            verdict=Verdict.NOT_CONFINED,
            evidence=f"missing: {join(missing)}",
            mend="wgconfine apply",
        )
    if edited:
        stale = settings_changed(subject)
        why = "not as the settings say now" if stale else "edited, or of another version"
        yield own(
            verdict=Verdict.BROKEN if stale else Verdict.NOT_CONFINED,
            evidence=f"{why}: {join(edited)}",
            mend="wgconfine apply",
        )
    if not wrong:
        yield own(verdict=Verdict.OK, evidence=f"{len(wanted)} files as rendered")


def join(paths: Iterable[PurePosixPath]) -> str:
    return ", ".join(map(os.fspath, paths))


def is_own(path: PurePosixPath, subject: Subject) -> bool:
    """Tell whether a file is of this tunnel and of none of its services: templates are of all."""
    ports = {*units_of_ports(subject.settings), *units_of_ports(subject.applied)}
    of_unit = path.parent.name.endswith(".service.d") and path.name != COMMAND_DROPIN
    if of_unit and path.parent.name.startswith("wgconfine"):
        unit = path.parent.name.removesuffix(".d")
        return unit in ports or unit.partition("@")[2] == f"{subject.name}.service"
    if is_port(path.name):
        return path.name in ports
    if path.parent == UNITS and path.suffix == ".slice":
        return path.name == slice_name(subject.name)
    if path.parent.name == "multi-user.target.wants":
        return path.name == f"wgconfine@{subject.name}.service"
    names = (file.path for file in name_dropins(subject.settings))
    if path in {record_path(subject.name), command_dropin_path(subject.name), *names}:
        return True
    return path.name.startswith("wgconfine") and path.parent == UNITS


def judge_own_units(subject: Subject) -> Iterator[Check]:
    """Name drop-ins of others that set what a unit of ours sets, and what systemd has not read."""
    found = False
    for unit in (*units_of_tunnel(subject.name), *units_of_ports(subject.applied)):
        facts = subject.facts.get(UnitName(unit))
        if facts is not None:
            for text, keys in overrides(facts, subject.installed):
                found = True
                yield check(
                    name="own-units",
                    verdict=Verdict.NOT_CONFINED,
                    evidence=f"{text.path} sets {', '.join(keys)} of {unit}",
                    mend=f"rm {text.path}; systemctl daemon-reload",
                )
        if subject.states[unit].need_daemon_reload:
            found = True
            yield check(
                name="own-units",
                verdict=Verdict.BROKEN,
                evidence=f"{unit} has changed on disk since systemd read it",
                mend="systemctl daemon-reload",
            )
    if not found:
        yield check(name="own-units", verdict=Verdict.OK, evidence="nobody changes them")


ADDED = {"After", "Before", "BindsTo", "Conflicts", "PartOf", "Requires", "Upholds", "Wants"}
"""Dependencies that are said elsewhere add to ours: no line takes one away (systemd.unit(5))."""


def overrides(facts: UnitFacts, installed: Tree) -> Iterator[tuple[UnitText, list[str]]]:
    """Give each drop-in of others with the settings of ours that it sets."""
    mine = [text for text in facts.texts if text.path in installed]
    others = [text for text in facts.texts if text.path not in installed]
    lines = [line for text in mine for line in parse_unit(text) if line.key not in ADDED]
    ours = {(line.section, line.key) for line in lines}
    variables = {name for line in lines if line.key == "Environment" for name in names_in(line)}
    for text in others:
        keys = [
            line.key
            for line in parse_unit(text)
            if (line.section, line.key) in ours and not adds_variables(line, variables)
        ]
        if keys:
            yield text, list(dict.fromkeys(keys))


def adds_variables(line: Assignment, ours: Collection[str]) -> bool:
    """Tell whether it sets variables beside ours: such lines add up, and an empty one resets."""
    return line.key == "Environment" and bool(line.value) and not {*names_in(line)} & {*ours}


def names_in(line: Assignment) -> list[str]:
    """Give the variables that `Environment=` sets."""
    return [word.partition("=")[0] for word in split_words(line.value)]


def judge_dropin(unit: UnitName, facts: UnitFacts | None, subject: Subject) -> Check:
    """Compare the drop-in with what `apply` would write, and say why it is another."""
    path = dropin_path(unit)
    there, wanted = subject.installed.get(path), subject.desired.get(path)
    own = partial(check, name="drop-in", unit=unit, mend="wgconfine apply")
    if not isinstance(there, File):
        return own(verdict=Verdict.NOT_CONFINED, evidence=f"{path} is missing")
    if (
        subject.origin is not Origin.SETTINGS
        or not isinstance(wanted, File)
        or without_comments(there.text) == without_comments(wanted.text)
    ):
        return own(verdict=Verdict.OK, evidence=os.fspath(path), mend="")
    if settings_changed(subject):
        return own(verdict=Verdict.BROKEN, evidence=f"{path} is of earlier settings")
    if facts is not None and unit_digest(there.text) != facts.digest:
        return own(verdict=Verdict.BROKEN, evidence=f"{unit} has changed since {path} was written")
    return own(
        verdict=Verdict.NOT_CONFINED, evidence=f"{path} was edited, or is of another version"
    )


def judge_closing(unit: UnitName, desired: Tree, installed: Tree) -> Check:
    """Tell whether the file is there that refuses the service where its drop-in is gone."""
    path = closing_path(unit)
    there, wanted = installed.get(path), desired.get(path)
    own = partial(check, name="closing-file", unit=unit)
    if isinstance(there, File) and (wanted is None or there == wanted):
        return own(verdict=Verdict.OK, evidence=os.fspath(path))
    if there is None and is_read_only(path):
        return own(verdict=Verdict.UNAVAILABLE, evidence=f"{path.parents[1]} is read-only")
    evidence = (
        f"{path} is missing" if there is None else f"{path} was edited, or is of another version"
    )
    return own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend="wgconfine apply")


def is_read_only(path: PurePosixPath) -> bool:
    """Tell whether no file can be put there, by the nearest directory that exists."""
    for place in map(Path, path.parents):
        try:
            return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
        except OSError:
            continue
    return False


NAMES = ("unit", "host-socket", "joins-namespace", "later-drop-in")


def judge_facts(unit: UnitName, facts: UnitFacts, said: Refinement) -> list[Check]:
    """Say what of the unit and around it would be refused now, each rule by its name."""
    if facts.load_state != "loaded":
        return []
    problems = list(named_problems(facts, dropin_settings(said.hardening), said))
    broken = {name for name, _ in problems}
    found = [
        check(
            name=name,
            unit=unit,
            verdict=Verdict.NOT_CONFINED,
            evidence=str(problem),
        )
        for name, problem in dict.fromkeys(problems)
    ]
    return found + [
        check(name=name, unit=unit, verdict=Verdict.OK, evidence="none")
        for name in NAMES
        if name not in broken
    ]


def judge_reload(unit: UnitName, state: UnitState) -> Check:
    own = partial(check, name="daemon-reload", unit=unit)
    if not state.need_daemon_reload:
        return own(verdict=Verdict.OK, evidence="systemd has read the files as they are")
    evidence = "its files have changed since systemd read them"
    return own(verdict=Verdict.BROKEN, evidence=evidence, mend="systemctl daemon-reload")


def changed_at(path: PurePosixPath) -> float | None:
    """Give when the settings of a drop-in last changed, in seconds since the epoch."""
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return None


def judge_age(
    unit: UnitName, started: float | None, changed: float | None, *, mend: str = "restart"
) -> list[Check]:
    """Tell whether the running process was started with the drop-in as it is; both in seconds."""
    if started is None or changed is None or changed > time.time():
        return []
    own = partial(check, name="started-with", unit=unit)
    if changed <= started + SECOND:
        return [own(verdict=Verdict.OK, evidence="started since its drop-in last changed")]
    evidence = "it was started before its drop-in last changed"
    return [own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=f"systemctl {mend} {unit}")]


def started_at(pid: int) -> float | None:
    """Give when a process was started, in seconds since the epoch; None where it is gone.

    By the time since boot (proc_pid_stat(5), starttime): a clock that was set since, and a sleep of
    the machine, would put what systemd noted at another time.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    ticks = int(text.rpartition(")")[2].split()[19])
    since = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - since
