"""Is a tunnel well, by what has changed since the last look; and what is done where it is not.

The tick looks and decides. What it decides on is done by units, so that PID 1 orders it: no service
is stopped by it, nothing is sent but to the tunnel's own peers, and no third party is asked.
"""

from __future__ import annotations

import time

from wgconfine.config import wgquick
from wgconfine.runtime import journal, link, paths
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.namespace import Visit, outer_identity
from wgconfine.runtime.process import run
from wgconfine.runtime.services import ask_to_start
from wgconfine.runtime.state import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgconfine.runtime.record import Record

SILENT = "no answer from peer"
STEPS = ("reload", "rebind", "relink")
"""What is tried, milder things first: configure it and look its names up anew; another source port;
another link in the same namespace."""
PATIENCE = "5"
"""Seconds for wg(8) to answer: a wireguard-go that hangs must not hold other tunnels up."""
ASK = ("timeout", "--signal=KILL", PATIENCE, "wg", "show")
SETTLED = 2.0
"""Seconds after which what is missing is looked for again: a reload may be under way."""
PAUSE, LONGEST_PAUSE = 110, 1800
"""Seconds from one step to the next: two ticks; each longer than the one before once all have been
tried."""


class Peer:
    """One peer: bytes, and its last handshake as wg(8) has it, in seconds since the epoch.

    `since` is when that was first seen, in seconds since boot: the other clock may jump. `asked`
    is 1 where bytes were sent and none have come since.
    """

    __slots__ = ("asked", "handshake", "received", "sent", "since")

    def __init__(
        self, handshake: int, received: int, sent: int, since: int = 0, asked: int = 0
    ) -> None:
        self.handshake, self.received, self.sent = handshake, received, sent
        self.since, self.asked = since, asked


class Health:
    """What is known of a tunnel. It is well where `why` is empty.

    `sick` is since when it is not, `acted` when something was done last, both in seconds since
    boot; `steps` how often.
    """

    __slots__ = ("acted", "peers", "sick", "steps", "why")

    def __init__(self, peers: dict[str, Peer], why: str = "") -> None:
        self.peers, self.why = peers, why
        self.sick = self.acted = self.steps = 0


def look_at(records: Iterable[Record], now: int) -> None:
    """Look at each tunnel that is up, and do what is due. Raises Failure at the end."""
    failures = []
    for record in outer_first(records):
        place = paths.health(record.name)
        kept = parse(read_state(place))
        if not read_state(f"{paths.tunnel_state(record.name)}/{paths.IN_FORCE}"):
            if kept.peers or kept.why:
                write_state(place, "")
            continue
        try:
            missing, peers = observe(record)
            if missing:
                time.sleep(SETTLED)
                missing, peers = observe(record)
        except Failure as failure:
            failures.append(str(failure))
            continue
        health = judge(kept, missing, peers, now=now, patience=record.handshake_max_age)
        cause = trouble_of(record.via) if record.via and health.why.startswith(SILENT) else ""
        health.why = cause or health.why
        announce(record.name, kept, health, now)
        due = "" if cause else next_step(kept, health, now)
        if due:
            health.acted, health.steps = now, health.steps + 1
            act(record.name, due, health.why)
        # Of root alone: whom one talks to, and when.
        write_state(place, format_health(health), mode=0o600)
    if failures:
        raise Failure("\n".join(failures))


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
    if not read_state(f"{paths.tunnel_state(via)}/{paths.IN_FORCE}"):
        return f"tunnel {via}, which it goes through, is not up"
    why = parse(read_state(paths.health(via))).why
    return f"tunnel {via}, which it goes through: {why}" if why else ""


def observe(record: Record) -> tuple[list[str], dict[str, Peer]]:
    """Give what is missing inside, and the peers. Raises Failure.

    Not by `wg show dump`, whose first line is the private key.
    """
    state = f"{paths.tunnel_state(record.name)}/{paths.DECLARED}"
    try:
        conf = wgquick.parse(read_state(state), state, need_private_key=False)
    except wgquick.ConfError as error:
        raise Failure(str(error)) from None
    with Visit(record.name):
        lacks = link.missing(conf)
        if paths.LINK not in link.names_in_this_namespace():
            return lacks, {}
        if read_state(f"{paths.tunnel_state(record.name)}/{paths.OUTER}") != outer_identity(
            record.via
        ):
            lacks.append("its socket in the right namespace")
        handshakes = rows(run(*ASK, record.wg_name, "latest-handshakes"))
        transfer = rows(run(*ASK, record.wg_name, "transfer"))
    peers = {
        key: Peer(int(seen[0]), int(transfer[key][0]), int(transfer[key][1]))
        for key, seen in handshakes.items()
        if key in transfer
    }
    return lacks, peers


def rows(output: str) -> dict[str, list[str]]:
    lines = (line.split("\t") for line in output.splitlines())
    return {words[0]: words[1:] for words in lines}


def judge(
    kept: Health, missing: list[str], peers: dict[str, Peer], *, now: int, patience: int | None
) -> Health:
    """Compare with the last look. `patience` is how old a handshake may be: seconds, None for ever.

    A peer is silent to whom bytes were sent before the last look and from whom none have come
    since, and whose last handshake is that old. At the first such look it may be a packet that is
    under way, or the network of a machine that has just woken up.
    """
    silent = []
    for key, peer in sorted(peers.items()):
        before = kept.peers.get(key)
        same = before is not None and before.handshake == peer.handshake
        peer.since = before.since if before is not None and same else now
        if before is None or not same or peer.received != before.received:
            continue
        peer.asked = int(before.asked or peer.sent > before.sent)
        if before.asked and patience is not None and now - peer.since >= patience:
            silent.append(key)
    why = f"{', '.join(missing)}: missing" if missing else ""
    if silent and not missing:
        why = f"{SILENT} {', '.join(f'{key[:8]}…' for key in silent)} for {patience} s or longer"
    health = Health(peers, why)
    if why:
        health.sick = kept.sick or now
        health.acted, health.steps = kept.acted, kept.steps
    return health


def next_step(kept: Health, health: Health, now: int) -> str:
    """Give the step whose time has come; empty where it is well, or the last one may yet help.

    Nothing is done for a peer to whom nothing is sent any more, and nothing that other peers would
    notice as long as one of them answers: that one may be switched off.
    """
    if not health.why:
        return ""
    silent = health.why.startswith(SILENT)
    known = [(kept.peers[key], peer) for key, peer in health.peers.items() if key in kept.peers]
    sending = any(peer.asked and peer.sent > before.sent for before, peer in known)
    answered = any(peer.received > before.received for before, peer in known)
    rounds = max(0, health.steps - len(STEPS) + 1)
    pause = min(PAUSE << min(rounds, 10), LONGEST_PAUSE)
    waited = health.steps == 0 or now - health.acted >= pause
    if not waited or (silent and not sending):
        return ""
    return STEPS[0] if silent and answered else STEPS[min(health.steps, len(STEPS) - 1)]


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
    """Tell whether a peer had had a handshake at the last look, and the tunnel was well."""
    kept = parse(read_state(paths.health(name)))
    return not kept.why and any(peer.handshake for peer in kept.peers.values())


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


def format_health(health: Health) -> str:
    """Give the text that parse() reads, a line for each thing."""
    lines = [f"sick {health.sick} {health.acted} {health.steps}", f"why {health.why}"]
    lines += [
        f"peer {key} {peer.handshake} {peer.received} {peer.sent} {peer.since} {peer.asked}"
        for key, peer in health.peers.items()
    ]
    return "\n".join(lines) + "\n"


def parse(text: str) -> Health:
    """Read what was kept; what is no such text is nothing."""
    health = Health({})
    try:
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "sick":
                health.sick, health.acted, health.steps = map(int, rest.split())
            elif kind == "why":
                health.why = rest
            elif kind == "peer":
                key, *numbers = rest.split()
                health.peers[key] = Peer(*map(int, numbers))
    except (ValueError, TypeError):
        return Health({})
    return health
