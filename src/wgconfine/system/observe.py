"""Read the state of the running machine for `status`: systemd's units, links, namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from wgconfine.config.escape import escape
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.state import ALIVE, UnitState, judge
from wgconfine.model.status import (
    CommandStatus,
    Counter,
    Declared,
    Holes,
    PeerStatus,
    ServiceStatus,
    Status,
    TunnelStatus,
    VerifyStatus,
)
from wgconfine.model.tunnel import (
    Illness,
    Standing,
    Trouble,
    TunnelFacts,
    Word,
    judge_tunnel,
)
from wgconfine.model.verdict import Verdict
from wgconfine.render.places import dropin_path
from wgconfine.runtime import health, paths, trouble
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import (
    LINK,
    named_namespace,
    record_of_namespace,
    tunnel_state,
    verified,
)
from wgconfine.runtime.process import ENVIRONMENT
from wgconfine.runtime.state import read_state
from wgconfine.runtime.switch import Table, look
from wgconfine.system.declared import read_record
from wgconfine.system.outside import carriers, pin_status, read_turns, too_long
from wgconfine.system.portstatus import (
    inbound_status,
    outbound_deny,
    port_units,
    publish_status,
    reach_status,
    read_counters,
)
from wgconfine.system.transient import commands_of
from wgconfine.system.unitstates import unit_states

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from wgconfine.model.settings import Settings
    from wgconfine.system.systemctl import Systemctl

    States = Mapping[str, UnitState]
    Inside = tuple[Table | None, tuple[PeerStatus, ...], Mapping[str, Counter]]
    Answer = TypeVar("Answer")

__all__ = ["observe", "own_units", "peer_lines", "reason_of_refusal", "runs_outside"]

PROC = Path("/proc")
RESOLVER = "nameserver "
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


def want_target(unit: UnitName) -> str:
    return f"wgconfine-want@{unit.removesuffix('.service')}.target"


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


def read_trouble(name: TunnelName) -> Trouble | None:
    """Give why it could not be configured; root alone can read that."""
    try:
        kept = trouble.read(name)
    except OSError:
        return None
    if kept is None:
        return None
    return Trouble(why=escape(kept.why), since=max(0, trouble.clock() - kept.since))


def read_illness(name: TunnelName) -> Illness | None:
    """Give what the last tick found wrong with the tunnel, since when, and what it has done."""
    try:
        kept = health.parse(read_state(paths.health(name)))
    except OSError:
        return None
    if not kept.why:
        return None
    since = max(0, trouble.clock() - kept.sick)
    return Illness(why=escape(kept.why), since=since, steps=kept.steps)


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


def read_switch(name: TunnelName) -> Table | None:
    """Give the second switch with what it has counted; None without root, or where it is not."""
    if os.geteuid() != 0:
        return None
    try:
        return look(name)
    except (Failure, OSError):
        return None


def read_firewall(name: TunnelName) -> dict[str, Counter]:
    """Give the counters of the namespace; none without root or a namespace."""
    if os.geteuid() != 0 or identity(record_of_namespace(name)) is None:
        return {}
    return read_counters(name)


def read_namespace(name: TunnelName) -> str:
    """Give the path of the tunnel's namespace, empty unless what is there is ours."""
    path = named_namespace(name)
    there = identity(path)
    return path if there is not None and there == identity(record_of_namespace(name)) else ""


def read_resolvers(name: TunnelName) -> tuple[str, ...]:
    """Give the resolvers that services of the tunnel are given."""
    try:
        lines = read_state(f"{tunnel_state(name)}/resolv.conf").splitlines()
    except OSError:
        return ()
    return tuple(line.removeprefix(RESOLVER) for line in lines if line.startswith(RESOLVER))


def read_verify(name: TunnelName) -> VerifyStatus | None:
    """Give what the last `verify` of a tunnel left; None for nothing, or what is no such thing."""
    try:
        values = json.loads(Path(verified(name)).read_text(encoding="utf-8"))
        age = max(0, int(time.time()) - int(values["time"]))
        leaks = (each for each in values.get("checks", []) if each["verdict"] == Verdict.LEAK)
        named = (" of ".join(filter(None, (each["name"], each["unit"]))) for each in leaks)
        return VerifyStatus(verdict=str(values["verdict"]), age=age, leaks=tuple(named))
    except (OSError, ValueError, KeyError, TypeError):
        return None


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


def is_set_up(pid: int) -> bool:
    """Tell whether a process is systemd's own, before it executes the service's program.

    With Type=idle it waits like that for seconds. It bears the program's name in parentheses. Name
    and program alone prove nothing, since anybody may run systemd's under any name: until it has
    joined the namespace it is a child of PID 1 with root's user and all of PID 1's capabilities,
    which no service can get back that was once deprived of them.
    """
    try:
        program = (PROC / str(pid) / "exe").readlink()
        manager = (PROC / "1/exe").readlink()
        name = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace")
        powerful = has_powers_of_manager(pid)
    except OSError:
        return False
    executor = Path(f"{manager}-executor")
    return powerful and (program == executor or (program == manager and name.startswith("(")))


def has_powers_of_manager(pid: int) -> bool:
    status, manager = process_status(pid), process_status(1)
    return (
        status["PPid"] == "1"
        and set(status["Uid"].split()) == {"0"}
        and status["CapEff"] == manager["CapEff"]
        and (PROC / str(pid) / "ns/user").readlink() == (PROC / "1/ns/user").readlink()
    )


def process_status(pid: int) -> dict[str, str]:
    text = (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    lines = (line.partition(":") for line in text.split("\n"))  # a name has no newline alone
    return {key: value.strip() for key, _, value in lines}


def runs_outside(name: TunnelName, main_pid: int) -> bool | None:
    """Tell whether a process is in another namespace than the tunnel's; None if unseen.

    One that systemd is still setting up has not joined yet, and runs nothing of the service's.
    """
    if is_set_up(main_pid):
        return False
    own = identity(f"/proc/{main_pid}/ns/net")
    return None if own is None else own != identity(record_of_namespace(name))


def outside_units(
    services: Iterable[ServiceStatus], commands: Iterable[CommandStatus]
) -> Iterator[str]:
    yield from (each.unit for each in services if each.state == "NOT CONFINED")
    yield from (each.unit for each in commands if each.state == "NOT CONFINED")


def is_there(command: UnitState) -> bool:
    """Tell whether a command has not ended: systemd forgets it then, a moment later."""
    return command.load == "loaded" and command.active in ALIVE


def command_status(name: TunnelName, state: UnitState) -> CommandStatus:
    """Judge what `wgconfine exec` runs, and say what it is: of that only who it is and its name."""
    judged = service_status(name, state, {})
    program = user = ""
    if state.main_pid:
        with suppress(OSError, KeyError):
            about = process_status(state.main_pid)
            program, user = escape(about["Name"]), user_name(int(about["Uid"].split()[0]))
    return CommandStatus(
        unit=judged.unit, state=judged.state, why=judged.why, program=program, user=user
    )


def user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 — where a command runs alone

    try:
        return escape(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)


def service_status(name: TunnelName, state: UnitState, states: States) -> ServiceStatus:
    """Judge one service; a running one by the namespace that its main process is really in."""
    unit, word = UnitName(state.name), judge(state)
    why = ""
    shown: str = word
    if word == "running" and state.main_pid:
        outside = runs_outside(name, state.main_pid)
        if outside is None:
            why = "its namespace can't be seen: run this as root"
        elif outside:
            shown, why = "NOT CONFINED", "its process is in another namespace: systemctl stop it"
        else:
            shown = "confined"
    elif word == "refused":
        why = reason_of_refusal(name, unit, state)
    elif word == "stopped" and is_wanted(unit, states):
        shown, why = "waiting", f"for wgconfine@{name}.service; it starts when that does"
    if state.need_daemon_reload:
        why = "; ".join(filter(None, (why, "its unit changed on disk: systemctl daemon-reload")))
    return ServiceStatus(unit=unit, state=shown, why=why)


def is_wanted(unit: UnitName, states: States) -> bool:
    target = states.get(want_target(unit))
    return target is not None and judge(target) == "running"


def reason_of_refusal(name: TunnelName, unit: UnitName, state: UnitState) -> str:
    """Give the first cause that holds: what is missing comes before what that led to."""
    needed = (
        named_namespace(name),
        record_of_namespace(name),
        f"{tunnel_state(name)}/resolv.conf",
        f"{tunnel_state(name)}/nsswitch.conf",
    )
    missing = [path for path in needed if not os.path.exists(path)][:1]  # noqa: PTH110 — /run, by name
    closed = state.guard_fired and not os.path.exists(dropin_path(unit))  # noqa: PTH110
    causes = (
        (
            missing,
            f"{''.join(missing)} is missing: systemctl restart wgconfine-netns@{name}.service",
        ),
        (
            identity(needed[0]) != identity(needed[1]),
            f"another namespace has taken the name {needed[0]}",
        ),
        (closed, "its drop-in is gone, so that it is closed: wgconfine apply"),
        (state.guard_fired, "its guard found it outside of the tunnel's namespace"),
        (
            state.assertion is False,
            "an Assert…= of the unit does not hold: systemctl status it",
        ),
        (
            state.condition is False,
            "a Condition…= of the unit does not hold: systemctl status it",
        ),
    )
    otherwise = "it could not be set up inside: journalctl -u it"
    return next((why for holds, why in causes if holds), otherwise)


def closed_status(unit: UnitName, state: UnitState) -> ServiceStatus:
    word = judge(state)
    shown = "NOT CONFINED" if word == "running" else "closed"
    why = f"not confined and not released: wgconfine release {unit}"
    return ServiceStatus(unit=unit, state=shown, why=why)


def read_peers(name: TunnelName, link: str) -> tuple[PeerStatus, ...]:
    """Give the peers of the live link; none without root."""
    lines = peer_lines(name, link) if os.geteuid() == 0 else None
    return tuple(map(peer_status, lines or ()))


def peer_lines(name: TunnelName, link: str) -> list[list[str]] | None:
    """Ask `wg show LINK dump` inside the namespace, field by field; None where that can't be asked.

    Its first line holds keys and is dropped; the second field of each is a preshared key.
    """
    namespace = record_of_namespace(name)
    if identity(namespace) is None:
        return None
    done = subprocess.run(
        ["nsenter", f"--net={namespace}", "wg", "show", link, "dump"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    return [line.split("\t") for line in done.stdout.splitlines()[1:]]


def peer_status(fields: Sequence[str]) -> PeerStatus:
    public_key, _, endpoint, _, handshake, received, sent, _ = fields
    age = None if handshake == "0" else max(0, int(time.time()) - int(handshake))
    return PeerStatus(
        public_key=public_key,
        endpoint=None if endpoint == "(none)" else endpoint,
        handshake_age=age,
        received=int(received),
        sent=int(sent),
    )
