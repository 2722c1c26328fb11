"""wgconfine-tick.service: once a minute, what is due of all tunnels. PID 1 does the work.

Starts `verify` where its time has come, has a second switch that is gone loaded again, starts
sockets of published and reached ports that have failed, has a tunnel that does not carry mended
step by step, and is loud about services that systemd skips in silence.
"""

from __future__ import annotations

import os

from wgconfine import __version__
from wgconfine.runtime import clock, health, journal, paths, pin, sources, switch, whole
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.namespace import lost_names
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.record import Record, installed, load
from wgconfine.runtime.services import ask_to_start
from wgconfine.runtime.state import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROPERTIES = (
    "Id", "ActiveState", "Result", "AssertResult", "AssertTimestampMonotonic",
    "ConditionResult", "ConditionTimestampMonotonic",
)  # fmt: skip
OTHER_UNITS = "the units are of another version of wgconfine. Run wgconfine apply."


def tick() -> None:
    """Look at every tunnel that is installed. Raises Failure at the end if one could not be."""
    records, failures = read_records()
    # Health is last: it keeps something at each tick, and a service can fill /run.
    mends = (mend_names, mend_switches, sources.reload_changed)
    for part in (look_at_units, *mends, start_due, start_metrics, look_at_health):
        try:
            part(records)
        # The others have their turn all the same. ValueError: what was kept below /run is damaged.
        except (Failure, OSError, ValueError) as failure:
            failures.append(str(failure))
    if units_are_others():
        # What could not be done is a consequence of that, if anything.
        failures = [OTHER_UNITS] if failures else []
        if not failures:
            warn(OTHER_UNITS)
    if failures:
        raise Failure("\n".join(failures))


def units_are_others() -> bool:
    """Tell whether an upgrade is not applied yet: by what the unit says that has started this."""
    of_a_unit = "INVOCATION_ID" in os.environ  # systemd.exec(5)
    return of_a_unit and os.environ.get("WGCONFINE_VERSION") != __version__


def read_records() -> tuple[list[Record], list[str]]:
    """Give what is installed, and a word for each that can't be read."""
    records, failures = [], []
    for name in installed():
        try:
            records.append(load(name))
        except Failure as failure:
            failures.append(str(failure))
    return records, failures


def look_at_health(records: Iterable[Record]) -> None:
    health.look_at(records, clock.since_boot())


def start_due(records: Iterable[Record]) -> None:
    """Ask for `verify` of each tunnel whose time has come; it is not waited for."""
    now = clock.since_boot()
    due = [each.name for each in records if is_due(each.verify_every, last_asked(each.name), now)]
    if not due:
        return
    units = [f"wgconfine-verify@{name}.service" for name in due]
    step(f"systemctl start --no-block {' '.join(units)}")
    run("systemctl", "start", "--no-block", "--", *units)
    for name in due:
        write_state(paths.verify_stamp(name), f"{now}\n")


def start_metrics(_records: Iterable[Record]) -> None:
    """Have the metrics written anew where somebody collects them."""
    if os.path.isdir(paths.COLLECTOR):
        unit = "wgconfine-metrics.service"
        status, _, complaint = Running("systemctl", "start", "--no-block", "--", unit).wait()
        if status != 0:  # its owner may have masked it
            warn(f"systemctl start: {complaint.strip()}")


def is_due(every: int | None, last: int | None, now: int) -> bool:
    """Tell whether `every` seconds have passed; None is never, and not asked yet is due."""
    if every is None:
        return False
    return last is None or not 0 <= now - last < every


def last_asked(name: str) -> int | None:
    text = read_state(paths.verify_stamp(name)).strip()
    return int(text) if text.isdecimal() else None


def look_at_units(records: Iterable[Record]) -> None:
    """Ask systemd once of all services, all sockets with their namespaces, and who waits."""
    homes = {unit: record.name for record in records for unit in record.services}
    sockets = {unit: record.name for record in records for unit in record.sockets}
    waits = {ready_unit(record.name): record.name for record in records if record.waits}
    spaces = map(namespace_unit, dict.fromkeys(sockets.values()))
    states = read_states([*homes, *sockets, *spaces, *waits])
    start_failed(sockets, states)
    forget_late_answers(waits, states)
    announce_refused(homes, states)


def namespace_unit(name: str) -> str:
    return f"wgconfine-netns@{name}.service"


def ready_unit(name: str) -> str:
    return f"wgconfine-ready@{name}.service"


def forget_late_answers(waits: dict[str, str], states: dict[str, dict[str, str]]) -> None:
    """Start what has failed since no peer had answered in time, once one has: it is done at once.

    Else it were called failed for as long as the tunnel runs, and carries.
    """
    late = [
        unit
        for unit, name in waits.items()
        if states.get(unit, {}).get("ActiveState") == "failed" and health.has_answered(name)
    ]
    if late:
        ask_to_start(*late)


def read_states(units: list[str]) -> dict[str, dict[str, str]]:
    """Give the properties of each unit; nothing where systemd has not told of each."""
    if not units:
        return {}
    shown = run("systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *units)
    blocks = shown.strip("\n").split("\n\n")
    if len(blocks) != len(units):
        warn("systemctl show: not an answer for each unit")
        return {}
    return {
        unit: dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        for unit, block in zip(units, blocks, strict=True)
    }


def announce_refused(homes: dict[str, str], states: dict[str, dict[str, str]]) -> None:
    """Tell the journal of services that are kept from running, of each once until it runs again.

    systemd itself says of a failed Assert…=, a Condition…= and an ExecCondition= that could not be
    set up "inactive" with success, and one line in the journal.
    """
    refused = {unit: why for unit in homes if (why := why_refused(states.get(unit, {})))}
    known = read_known(paths.refused_services())
    for unit in sorted(refused.keys() - known):
        from shlex import quote  # noqa: PLC0415 — seldom: it imports re

        journal.send(
            journal.ERROR,
            f"{unit} is kept from running: {refused[unit]}. See systemctl status {quote(unit)}",
            journal.REFUSED,
            wgconfine_tunnel=homes[unit],
            wgconfine_unit=unit,
            object_systemd_unit=unit,
        )
    if refused.keys() != known:
        write_known(paths.refused_services(), refused)


def read_known(path: str) -> set[str]:
    """Give the units of which the journal was told at the last tick."""
    return set(read_state(path).splitlines())


def write_known(path: str, units: Iterable[str]) -> None:
    """Keep them: after all that is to be done, for a service can fill /run."""
    write_state(path, "".join(f"{unit}\n" for unit in sorted(units)))


def start_failed(sockets: dict[str, str], states: dict[str, dict[str, str]]) -> None:
    """Start the sockets that have failed while their namespace is there; not one that was stopped.

    Loud of each once, until it listens again: an address may be somebody else's for long.
    """
    failed = [
        unit
        for unit, name in sockets.items()
        if states.get(unit, {}).get("ActiveState") == "failed"
        and states[namespace_unit(name)].get("ActiveState") == "active"
    ]
    known = read_known(paths.failed_sockets())
    for unit in sorted(set(failed) - known):
        journal.send(
            journal.WARNING,
            f"{unit} had failed: {states[unit].get('Result')}. It is started again. "
            f"See systemctl status {unit}",
            journal.MENDED,
            wgconfine_tunnel=sockets[unit],
            wgconfine_unit=unit,
            object_systemd_unit=unit,
        )
    if failed:
        ask_to_start(*failed)
    if set(failed) != known:
        write_known(paths.failed_sockets(), failed)


def why_refused(state: dict[str, str]) -> str:
    """Say what kept a unit from running; nothing where it runs, or nobody has tried."""
    if state.get("ActiveState") not in {"inactive", "failed"}:
        return ""
    for what in ("Assert", "Condition"):
        # Of a unit that was never started systemd says "no" without having looked.
        tried = state.get(f"{what}TimestampMonotonic", "0") not in {"", "0"}
        if tried and state.get(f"{what}Result") == "no":
            return f"its {what}…= does not hold"
    if state.get("Result") == "exec-condition":
        return "its ExecCondition= did not let it, or could not be set up"
    return ""


def mend_switches(_records: Iterable[Record]) -> None:
    """Have the second switch loaded again where somebody took it away: `nft flush ruleset`."""
    for name in pin.lost():
        whole.mend_switch(name, whole.PIN)
    on = switch.switched_on()
    if not on:
        return
    there = run("nft", "list", "tables", "inet").split("\n")
    for name in on:
        if f"table inet {switch.table_name(name)}" not in there:
            whole.mend_switch(name, whole.SWITCH)


def mend_names(records: Iterable[Record]) -> None:
    """Likewise the names of namespaces."""
    for record in records:
        if lost_names(record.name):
            whole.mend_inside(record.name, whole.NAME)
