"""Put together how all tunnels and their services are at this moment, as `status` shows it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from wgconfine.config.escape import escape
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.status import Holes, Status, TunnelStatus
from wgconfine.model.tunnel import Standing, TunnelFacts, Word, judge_tunnel
from wgconfine.model.verdict import Verdict
from wgconfine.runtime.paths import LINK, tunnel_state
from wgconfine.runtime.state import read_state
from wgconfine.system.declared import read_record
from wgconfine.system.outside import carriers, pin_status, read_turns, too_long
from wgconfine.system.portstatus import (
    inbound_status,
    outbound_deny,
    port_units,
    publish_status,
    reach_status,
)
from wgconfine.system.servicestatus import (
    closed_status,
    command_status,
    is_there,
    service_status,
    want_target,
)
from wgconfine.system.transient import commands_of
from wgconfine.system.tunnelstate import (
    read_firewall,
    read_illness,
    read_namespace,
    read_peers,
    read_resolvers,
    read_switch,
    read_trouble,
    read_verify,
)
from wgconfine.system.unitstates import unit_states

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from wgconfine.model.settings import Settings
    from wgconfine.model.status import (
        CommandStatus,
        Counter,
        Declared,
        PeerStatus,
        ServiceStatus,
        VerifyStatus,
    )
    from wgconfine.model.tunnel import Trouble
    from wgconfine.runtime.switch import Table
    from wgconfine.system.systemctl import Systemctl

    States = Mapping[str, UnitState]
    Inside = tuple[Table | None, tuple[PeerStatus, ...], Mapping[str, Counter]]
    Answer = TypeVar("Answer")

__all__ = ["observe"]

OTHER_TEMPLATES = "the units are edited, or of another version of wgconfine: wgconfine apply"
LATE = 300
"""Seconds that a `verify` may take, and wait for an `apply`, before somebody need look."""


def observe(
    systemctl: Systemctl,
    tunnels: Iterable[Declared | Settings],
    closed: Iterable[UnitName],
    *,
    changed: Callable[[States], Collection[UnitName]] = lambda _: (),
    other_templates: bool = False,
    settings_wrong: bool = False,
) -> Status:
    """Give all that `status` shows. Reads only; what needs root and is not seen is left out.

    `changed` gives those of the units that are not any more what their drop-ins were written for.
    `other_templates` says that the units of ours are not what this version writes.
    `settings_wrong` says that some settings could not be parsed, so that a tunnel without any may
    well be declared.
    """
    declared = {settings.name: settings for settings in tunnels}
    records = {name: record for name in installed_names() if (record := read_record(name))}
    names = sorted(declared.keys() | records.keys())
    services = {name: services_of(declared.get(name), records.get(name)) for name in names}
    confined = {unit for units in services.values() for unit in units}
    left = sorted(set(closed) - confined)
    units = [unit for name in names for unit in own_units(name)]
    units += [unit for record in records.values() for unit in port_units(record)]
    units += [each for unit in (*confined, *left) for each in (unit, want_target(unit))]
    commands = {name: commands_of(name) for name in names}
    units += [unit for each in commands.values() for unit in each]
    # systemd takes as long for its answer as everything else together.
    answer = begun(lambda: unit_states(systemctl, units) if units else {})
    inside = {name: look_inside(name, records.get(name)) for name in names}
    states = answer()
    unlike = changed(states)
    return Status(
        tunnels=tuple(
            tunnel_status(
                name,
                declared.get(name),
                records.get(name),
                services[name],
                states,
                inside=inside[name],
                commands=commands[name],
                unlike=(
                    difference(
                        declared.get(name), records.get(name), settings_wrong=settings_wrong
                    ),
                    OTHER_TEMPLATES if other_templates and name in records else "",
                    *outdated(unlike, services[name]),
                ),
            )
            for name in names
        ),
        closed=tuple(closed_status(unit, states[unit]) for unit in left),
    )


def begun(work: Callable[[], Answer]) -> Callable[[], Answer]:
    """Begin some work beside what is done here; what is given waits for it, and has its result.

    Or raises what it raised. As `concurrent.futures`, which takes its time to be imported.
    """
    results: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 — it is raised where it is asked for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Answer:
        thread.join()
        for error in errors:
            raise error
        return results[0]

    return result


def look_inside(name: TunnelName, record: Mapping[str, object] | None) -> Inside:
    """Give the second switch, the peers, and the counters of the namespace."""
    link = str(record.get("link")) if record and is_userspace(record) else LINK
    return read_switch(name), read_peers(name, link), read_firewall(name)


def is_userspace(record: Mapping[str, object] | None) -> bool:
    return record is not None and record.get("backend") == "userspace"


def installed_names() -> list[TunnelName]:
    return [TunnelName(path.stem) for path in Path("/etc/wgconfine").glob("*.json")]


def services_of(
    settings: Declared | Settings | None, record: Mapping[str, object] | None
) -> tuple[UnitName, ...]:
    """Give what is confined by what is installed, or will be."""
    found: list[UnitName] = list(settings.services) if settings and settings.enable else []
    listed = record.get("services") if record else None
    if isinstance(listed, list):
        found += [UnitName(unit) for unit in listed if unit not in found]
    return tuple(found)


def holes_of(record: Mapping[str, object] | None, unit: UnitName) -> Holes:
    """Give what is open to a service by what is installed."""

    def listed(key: str) -> tuple[str, ...]:
        table = record.get(key) if record else None
        found = table.get(unit) if isinstance(table, dict) else None
        return tuple(map(str, found)) if isinstance(found, list) else ()

    return Holes(paths=listed("allow-paths"), bus=listed("allow-bus"))


def own_units(name: TunnelName) -> tuple[str, ...]:
    kinds = ("-netns", "", "-reload", "-wireguard", "-endpoint", "-ready")
    return tuple(f"wgconfine{kind}@{name}.service" for kind in kinds)


def tunnel_status(
    name: TunnelName,
    settings: Declared | Settings | None,
    record: Mapping[str, object] | None,
    services: Iterable[UnitName],
    states: States,
    *,
    inside: Inside,
    commands: Iterable[UnitName],
    unlike: Iterable[str],
) -> TunnelStatus:
    netns, tunnel, reload, wireguard, endpoint, ready = (states[unit] for unit in own_units(name))
    via = str(record.get("via") or "") if record else ""
    verify = read_verify(name)
    switch, peers, counters = inside
    carried = carriers(peers, record)
    shown = tuple(
        replace(service_status(name, states[unit], states), holes=holes_of(record, unit))
        for unit in services
    )
    run = tuple(command_status(name, states[unit]) for unit in commands if is_there(states[unit]))
    facts = TunnelFacts(
        name=name,
        tunnel=tunnel,
        namespace=netns,
        reload=reload,
        endpoint=endpoint,
        ready=ready,
        now=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
        enabled=settings is None or settings.enable,
        installed=record is not None,
        trouble=read_trouble(name),
        illness=read_illness(name),
        unanswered=unanswered(name, peers, asking=judge(endpoint) == "running"),
        unheard=unheard(peers),
        outer=states.get(f"wgconfine@{via}.service") if via else None,
        outside=tuple(outside_units(shown, run)),
        leaked=sum(switch.counted.values()) if switch else 0,
        counted_since=escape(switch.since) if switch else "",
        found=escape(", ".join(verify.leaks)) if verify else "",
        found_leak=verify.age if verify and verify.verdict == Verdict.LEAK else None,
    )
    standing = judge_tunnel(facts)
    problems = [*filter(None, unlike), *hidden(facts, standing)]
    problems += failures(name, reload, facts.trouble)
    problems += failures(name, wireguard) if is_userspace(record) else ()
    return TunnelStatus(
        name=name,
        state=standing.word.value,
        why=standing.why,
        since=standing.since,
        next=standing.next,
        configured=judge(tunnel) == "running",
        leaked=facts.leaked if switch else None,
        backend=str(record.get("backend")) if record else "",
        via=via,
        namespace=read_namespace(name),
        resolvers=read_resolvers(name),
        peers=peers,
        services=shown,
        commands=run,
        problems=(*problems, *too_long(name, carried), *overdue(name, record, verify)),
        verify=verify,
        publish=publish_status(record, states, netns),
        reach=reach_status(record, states, netns),
        inbound=inbound_status(record),
        outbound_deny=outbound_deny(record),
        firewall=counters,
        endpoints=read_turns(name),
        carriers=carried,
        pin=pin_status(name),
    )


def hidden(facts: TunnelFacts, standing: Standing) -> Iterator[str]:
    """Say what else there is of a tunnel that leaks."""
    below = judge_tunnel(facts, leaks=False)
    if standing.word is Word.LEAK and below.why:
        yield f"{below.word}: {below.why}. {below.next}"


def failures(name: TunnelName, unit: UnitState, trouble: Trouble | None = None) -> Iterator[str]:
    """Say that a unit beside the tunnel's own fails; without it the tunnel may well be up.

    A reload that is "refused" had nothing to reload.
    """
    if judge(unit) == "failed":
        look = f"wgconfine logs {name}" if trouble else f"journalctl -u {unit.name}"
        why = f"{trouble.why.removesuffix('.')}: " if trouble else ""
        yield f"{unit.name} failed: {why}{look}"


def unanswered(name: TunnelName, peers: Sequence[PeerStatus], *, asking: bool) -> tuple[str, ...]:
    """Give the names of endpoints for which no address is known; all that are asked if unseen."""
    try:
        lines = read_state(f"{tunnel_state(name)}/endpoints").splitlines()
    except OSError:
        return ()
    named = [words[:2] for line in lines if len(words := line.split()) > 1]
    without = {peer.public_key for peer in peers if peer.endpoint is None}
    found = (host for key, host in named if key in without or (not peers and asking))
    return tuple(dict.fromkeys(map(escape, found)))


def unheard(peers: Sequence[PeerStatus]) -> tuple[str, ...]:
    """Give the peers to whom something was sent, where nobody has ever answered."""
    if any(peer.handshake_age is not None for peer in peers):
        return ()
    return tuple(f"{peer.public_key[:8]}… at {peer.endpoint}" for peer in peers if peer.sent)


def overdue(
    name: TunnelName, record: Mapping[str, object] | None, verify: VerifyStatus | None
) -> Iterator[str]:
    """Say what is wrong by the last `verify`, and where it has not been done for too long."""
    if verify is None:
        return
    if verify.verdict not in {Verdict.OK, Verdict.BROKEN, Verdict.LEAK}:  # which is its state
        yield f"the last verify says: {verify.verdict}: wgconfine verify {name}"
    every = record.get("verify-every") if record else None
    if isinstance(every, int) and verify.age > 2 * every + LATE:
        unit = f"wgconfine-verify@{name}.service"
        yield f"verify is overdue: systemctl status wgconfine-tick.timer {unit}"


def outdated(changed: Collection[UnitName], services: Iterable[UnitName]) -> tuple[str, ...]:
    return tuple(
        f"{unit} has changed since it was confined: wgconfine apply"
        for unit in services
        if unit in changed
    )


def difference(
    settings: Declared | Settings | None,
    record: Mapping[str, object] | None,
    *,
    settings_wrong: bool,
) -> str:
    """Say how the settings differ from what is installed, and the command that mends it."""
    if settings is None:
        if settings_wrong:
            return "settings are wrong, and what was applied before is in force: wgconfine check"
        return "no longer in the settings: wgconfine apply"
    if record is None:
        return "not applied yet: wgconfine apply" if settings.enable else ""
    if not settings.enable:
        return "disabled, but still installed: wgconfine apply"
    if record.get("settings-digest") != settings.digest:
        return "the settings have changed since: wgconfine apply"
    return ""


def outside_units(
    services: Iterable[ServiceStatus], commands: Iterable[CommandStatus]
) -> Iterator[str]:
    yield from (each.unit for each in services if each.state == "NOT CONFINED")
    yield from (each.unit for each in commands if each.state == "NOT CONFINED")
