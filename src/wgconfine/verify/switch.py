"""Is the second switch on, for the control group as it is now, and has it anything to count?"""

from dataclasses import dataclass
from pathlib import Path

from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.paths import slice_group, switch_state
from wgconfine.runtime.process import Running
from wgconfine.runtime.switch import (
    DIRECTIONS,
    HIERARCHY,
    NOT_AVAILABLE,
    Table,
    chain_lines,
    table_name,
)
from wgconfine.verify.subject import Subject

__all__ = ["Switch", "check_switch", "judge_switch", "observe_switch"]

NO_TABLE = "No such file or directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What is there of a tunnel's second switch.

    `state` is what its unit left, empty where it does not run. `table` is None without one, or
    where nft could not tell (`trouble` says why). `group` is whether its slice's control group is
    there.
    """

    state: str
    table: Table | None
    group: bool
    trouble: str = ""


def check_switch(subject: Subject) -> list[Check]:
    """Give what is to be said of the tunnel's second switch; nothing of a tunnel that is down.

    `switch` is the rule, `switch-counter` what it has counted.
    """
    tunnel = subject.states[f"wgconfine@{subject.name}.service"]
    if tunnel.active not in {"active", "reloading", "refreshing"} and not subject.running:
        return []
    return judge_switch(subject.name, observe_switch(subject.name))


def observe_switch(name: str) -> Switch:
    """Ask nft(8) for the table of the host's namespace, and read what its unit said."""
    try:
        state = Path(switch_state(name), "state").read_text(encoding="utf-8").strip()
    except OSError:
        state = ""
    table, trouble = None, ""
    try:
        status, text, complaint = Running("nft", "list", "table", "inet", table_name(name)).wait()
    except (Failure, OSError) as error:
        trouble = str(error)
    else:
        table = Table(text) if status == 0 else None
        if table is None and NO_TABLE not in complaint:
            trouble = complaint.strip().partition("\n")[0] or f"nft: exit {status}"
    return Switch(
        state=state,
        table=table,
        group=Path(HIERARCHY, slice_group(name)).is_dir(),
        trouble=trouble,
    )


def judge_switch(name: str, switch: Switch) -> list[Check]:
    """Compare with what its unit loads, to the letter: nft prints a number for a dead group."""
    if switch.state.startswith(NOT_AVAILABLE):
        reason = switch.state.removeprefix(NOT_AVAILABLE)
        return [rule_check(Verdict.UNAVAILABLE, f"this machine can't have it: {reason}")]
    if switch.trouble:
        return [rule_check(Verdict.UNKNOWN, switch.trouble)]
    found = difference(name, switch)
    if found:
        mend = f"systemctl restart wgconfine-switch@{name}.service"
        checks = [rule_check(Verdict.NOT_CONFINED, found, mend)]
    else:
        evidence = f"table inet {table_name(name)} drops what {slice_group(name)} sends outside"
        checks = [rule_check(Verdict.OK, evidence)]
    if switch.table is not None and switch.table.ours:
        checks.append(counter_check(name, switch.table))
    return checks


def difference(name: str, switch: Switch) -> str:
    """Say how the rule is not what it should be; empty where it is."""
    table = switch.table
    if table is None:
        return f"table inet {table_name(name)} is not there"
    if not table.ours:
        return f"table inet {table_name(name)} is not wgconfine's"
    for hook in DIRECTIONS:
        lines = table.chains.get(hook, [])
        if lines != chain_lines(name, hook):
            said = " / ".join(lines) or "is not there"
            return f"chain {hook} of table inet {table_name(name)}: {said}"
    missing = set(DIRECTIONS.values()) - table.counted.keys()
    if missing:
        return f"table inet {table_name(name)} lacks counter {min(missing)}"
    return "" if switch.group else f"{slice_group(name)} is not there"


def rule_check(verdict: Verdict, evidence: str, mend: str = "") -> Check:
    area = Area.STRUCTURE
    return Check(area=area, name="switch", verdict=verdict, evidence=evidence, mend=mend)


def counter_check(name: str, table: Table) -> Check:
    """Judge what was counted: of a service inside there is nothing to count."""
    total = sum(table.counted.values())
    counts = ", ".join(f"{table.counted.get(each, 0)} {each}" for each in DIRECTIONS.values())
    return Check(
        area=Area.ESCAPES,
        name="switch-counter",
        verdict=Verdict.LEAK if total else Verdict.OK,
        evidence=(
            f"services were in the host's namespace: packets dropped there since {table.since}: "
            f"{counts}"
            if total
            else f"0 packets in the host's namespace since {table.since}"
        ),
        # Once the cause is found: what is counted stays counted over reloads and restarts, and the
        # reload forgets what was kept of it.
        mend=(
            f"nft reset counters table inet {table_name(name)}"
            f" && systemctl reload wgconfine-switch@{name}.service"
            if total
            else ""
        ),
    )
