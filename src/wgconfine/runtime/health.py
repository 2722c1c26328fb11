"""Is a tunnel well, by what has changed since the last look; and what is done where it is not.

The tick looks and decides. What it decides on is done by units, so that PID 1 orders it: no service
is stopped by it, nothing is sent but to the tunnel's own peers, and no third party is asked.
"""

from __future__ import annotations

import time

from wgconfine.runtime import clock, journal, link, paths, pin, shared, turns
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.healthjudge import (
    SILENT,
    STEPS,
    Health,
    Peer,
    earlier,
    format_health,
    is_new,
    judge,
    next_step,
    parse,
)
from wgconfine.runtime.namespace import Visit, is_at_home
from wgconfine.runtime.process import run
from wgconfine.runtime.services import ask_to_start
from wgconfine.runtime.state import is_up, read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgconfine.runtime.record import Record

    Seen = tuple[list[str], dict[str, Peer]]
    """What is missing of a tunnel, and its peers by public key."""

PATIENCE = "5"
"""Seconds for wg(8) to answer: a wireguard-go that hangs must not hold other tunnels up."""
ASK = ("timeout", "--signal=KILL", PATIENCE, "wg", "show")
SETTLED = 2.0
"""Seconds after which what is missing is looked for again: a reload may be under way."""
OF_ONE = (Failure, OSError, ValueError)
"""What may go wrong with one tunnel, and keep nobody from looking at the others. The last is of
what is kept, and damaged."""


def look_at(records: Iterable[Record], now: int) -> None:
    """Look at each tunnel that is up, and do what is due. Raises Failure at the end."""
    failures = []
    known = clock.Handshakes()
    ordered = outer_first(records)
    seen, failed = first_looks(ordered)
    for record in ordered:
        try:
            if record.name in failed:
                raise failed[record.name]
            look_at_one(record, now, known, seen.get(record.name))
        except OF_ONE as failure:
            if is_up(record.name):  # else it was stopped while it was looked at
                failures.append(str(failure))
    known.save([record.name for record in ordered])
    if failures:
        raise Failure("\n".join(failures))


def first_looks(records: Iterable[Record]) -> tuple[dict[str, Seen], dict[str, Exception]]:
    """Look at those that are up; where anything is missing, give what is under way its time.

    Once for all of them, since many may be sick at the same time.
    """
    seen: dict[str, Seen] = {}
    failed: dict[str, Exception] = {}
    for record in records:
        try:
            if is_up(record.name):
                seen[record.name] = observe(record)
        except OF_ONE as failure:
            failed[record.name] = failure
    if any(missing for missing, _ in seen.values()):
        time.sleep(SETTLED)
    return seen, failed


def look_at_one(record: Record, now: int, known: clock.Handshakes, seen: Seen | None) -> None:
    """Keep what was seen of a tunnel, and do what is due. Raises Failure.

    What was missing a moment ago is looked for once more.
    """
    place = paths.health(record.name)
    kept = parse(read_state(place))
    if not is_up(record.name):
        if kept.noted:
            shared.end(record.name)
        if kept.peers or kept.why:
            write_state(place, "")
        return
    missing, peers = observe(record) if seen is None or seen[0] else seen
    if record.pin_endpoint and not missing:
        call_back(record)
    late = why_late(record.name, kept, peers, known)
    # A cause that is known need not be waited for.
    patience = record.handshake_max_age and (0 if late else record.handshake_max_age)
    health = judge(kept, missing, peers, now=now, patience=patience)
    cause = explain(record, kept, health, late=late, now=now)
    announce(record.name, kept, health, now)
    due = "" if cause else next_step(kept, health, now, turns.count(record))
    if due:
        health.acted, health.steps = now, health.steps + 1
    # Of root alone: whom one talks to, and when. Before the step, which reads it.
    write_state(place, format_health(health), mode=0o600)
    if due:
        act(record.name, due, health.why)


def call_back(record: Record) -> None:
    """Have a peer that is elsewhere set back to where its tunnel is pinned to."""
    pins = pin.read_pins(record.name)
    with Visit(record.name):
        seen = rows(run(*ASK, record.wg_name, "endpoints"))
    allowed = {link.endpoint_text(*each) for each in pins.endpoints} if pins is not None else set()
    moved = [
        f"{key[:8]}… to {where}"
        for key, (where, *_) in seen.items()
        if where not in {*allowed, link.NONE}
    ]
    if moved:
        unit = f"wgconfine-{STEPS[0]}@{record.name}.service"
        journal.send(
            journal.WARNING,
            f"tunnel {record.name}: peer {', '.join(moved)} has moved, and is set back by {unit}",
            journal.MENDED,
            wgconfine_tunnel=record.name,
            object_systemd_unit=unit,
        )
        ask_to_start(unit)


def explain(record: Record, kept: Health, health: Health, *, late: str, now: int) -> str:
    """Say why it is sick where no step of ours mends that; empty where one may."""
    silent = health.why.startswith(SILENT)
    cause = late if silent else ""
    if silent and record.via and (trouble := trouble_of(record.via)):
        health.why = cause = trouble
    elif cause:
        health.why = f"{health.why}: {cause}"
    found = count_on(record, kept, health)
    if found and not health.why:
        health.why = cause = found
        health.sick, health.acted, health.steps = kept.sick or now, kept.acted, kept.steps
    return cause


def why_late(name: str, kept: Health, peers: dict[str, Peer], known: clock.Handshakes) -> str:
    """Say why the clock is behind, if it is, and learn of handshakes that have come about."""
    latest = max((each.handshake for each in peers.values()), default=0)
    befores = ((earlier(kept, peers, key), each) for key, each in peers.items())
    if latest and any(before is None or is_new(before, each) for before, each in befores):
        known.saw(name, latest)
    return clock.why_behind(max(latest, known.last.get(name, 0)), int(time.time()))


def count_on(record: Record, kept: Health, health: Health) -> str:
    """Note sessions as long as handshakes follow one another too soon, and say what that tells."""
    often = [key for key, peer in health.peers.items() if peer.soon >= shared.OFTEN]
    if not often:
        if kept.noted:
            shared.end(record.name)
        return ""
    if not kept.noted:
        health.noted = int(shared.begin(record.name, record.wg_name, often[0]))
        return ""
    health.noted = kept.noted + 1
    if kept.noted == 1:
        shared.forget_seen(record.name)
        return ""
    return kept.why if kept.why.startswith(shared.WHY) else shared.look(record.name)


def outer_first(records: Iterable[Record]) -> list[Record]:
    """Give each tunnel after the one that it goes through."""
    vias = {record.name: record.via for record in records}

    def depth(record: Record) -> int:
        way = [record.name]
        while (outer := vias.get(way[-1])) and outer not in way:
            way.append(outer)
        return len(way)

    return sorted(records, key=depth)


def trouble_of(via: str) -> str:
    """Say why nothing comes back through a tunnel; empty where that is not its fault."""
    if not is_up(via):
        return f"tunnel {via}, which it goes through, is not up"
    why = parse(read_state(paths.health(via))).why
    return f"tunnel {via}, which it goes through: {why}" if why else ""


def observe(record: Record) -> Seen:
    """Give what is missing inside, and the peers. Raises Failure.

    Not by `wg show dump`, whose first line is the private key.
    """
    conf = link.declared(record.name)
    with Visit(record.name):
        lacks = link.missing(conf)
        if paths.LINK not in link.names_in_this_namespace():
            return lacks, {}
        if not is_at_home(record.name, record.via):
            lacks.append("its socket in the right namespace")
        handshakes = rows(run(*ASK, record.wg_name, "latest-handshakes"))
        transfer = rows(run(*ASK, record.wg_name, "transfer"))
        # Of several peers nothing tells whose they are.
        tried = link.tried_to_send() if len(handshakes) == 1 else 0
    peers = {
        key: Peer(int(seen[0]), int(transfer[key][0]), int(transfer[key][1]) + tried)
        for key, seen in handshakes.items()
        if key in transfer
    }
    return lacks, peers


def rows(output: str) -> dict[str, list[str]]:
    lines = (line.split("\t") for line in output.splitlines())
    return {words[0]: words[1:] for words in lines}


def announce(name: str, kept: Health, health: Health, now: int) -> None:
    """Tell the journal when it falls sick and when it is well again."""
    if health.why and not kept.why:
        journal.send(
            journal.WARNING,
            f"tunnel {name}: {health.why}",
            journal.DEGRADED,
            wgconfine_tunnel=name,
            object_systemd_unit=f"wgconfine@{name}.service",
        )
    elif kept.why and not health.why:
        journal.send(
            journal.INFO,
            f"tunnel {name}: well again after {now - kept.sick} s and {kept.steps} steps",
            journal.RECOVERED,
            wgconfine_tunnel=name,
            object_systemd_unit=f"wgconfine@{name}.service",
        )


def has_answered(name: str) -> bool:
    """Tell whether a peer had had a handshake at the last look, and the tunnel was well.

    False of one that has been stopped since: that look was at another time.
    """
    kept = parse(read_state(paths.health(name)))
    return is_up(name) and not kept.why and any(peer.handshake for peer in kept.peers.values())


def act(name: str, due: str, why: str) -> None:
    """Start the unit of a step."""
    reload = f"wgconfine-{STEPS[0]}@{name}.service"
    if due != STEPS[0] and run("systemctl", "show", "-P", "Result", reload).strip() != "success":
        due = STEPS[0]  # without a .conf, or a key, there would be no other link
    unit = f"wgconfine-{due}@{name}.service"
    journal.send(
        journal.WARNING,
        f"tunnel {name}: {why}. Starting {unit}",
        journal.MENDED,
        wgconfine_tunnel=name,
        object_systemd_unit=unit,
    )
    ask_to_start(unit)
