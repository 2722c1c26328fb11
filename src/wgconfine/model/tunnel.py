"""What is said of a tunnel in one word: from facts about it, in the order of their weight."""

import shlex
from dataclasses import dataclass
from enum import StrEnum

from wgconfine.model.state import UnitState, judge

__all__ = ["Illness", "Standing", "Trouble", "TunnelFacts", "Word", "judge_tunnel"]

CREDENTIALS_FAILED = 243
"""What systemd says of a main process whose credentials could not be loaded (systemd.exec(5))."""
SECOND = 1_000_000


class Word(StrEnum):
    """How a tunnel is."""

    UP = "up"
    WAITING = "waiting"
    DEGRADED = "degraded"
    DOWN = "down"
    REFUSED = "refused"
    LEAK = "LEAK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why the runtime could not configure it the last time, and for how many seconds that is so."""

    why: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Illness:
    """What the tick found wrong with a tunnel that is configured, and how often it has acted."""

    why: str
    since: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelFacts:
    """What has been seen of one tunnel; what could not be seen is as if it were well.

    `tunnel` to `ready` are its units. `enabled` is by its settings, `installed` says that an
    `apply` has been done. `unanswered` are host names of endpoints for which no address is known;
    `unheard` peers to whom bytes were sent, where no peer has ever answered. `outside` are services
    with a process in another namespace, `outer` is the unit of the tunnel that carries this one's
    packets, `leaked` the packets that the second switch has counted since `counted_since`.
    `found_leak` is how many seconds ago a `verify` found one, if it was the last, and `found` by
    which checks. `now` is in microseconds of CLOCK_MONOTONIC.
    """

    name: str
    tunnel: UnitState
    namespace: UnitState
    reload: UnitState
    endpoint: UnitState
    ready: UnitState
    now: int
    enabled: bool = True
    installed: bool = True
    trouble: Trouble | None = None
    illness: Illness | None = None
    unanswered: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    outer: UnitState | None = None
    outside: tuple[str, ...] = ()
    leaked: int = 0
    counted_since: str = ""
    found: str = ""
    found_leak: int | None = None

    def age(self, unit: UnitState) -> int | None:
        """Give the seconds since when a unit is what it is."""
        return max(0, self.now - unit.since) // SECOND if unit.since else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The word, why, for how many seconds (None if not known), and what is next or to be done."""

    word: Word
    why: str = ""
    since: int | None = None
    next: str = ""


def judge_tunnel(facts: TunnelFacts, *, leaks: bool = True) -> Standing:
    """Give the first that holds. Without `leaks` it is what it would be if nothing leaked."""
    rules = [refusal, absence, carriage, illness, silence]
    found = (rule(facts) for rule in ([leak, *rules] if leaks else rules))
    return next(filter(None, found), Standing(word=Word.UP, since=facts.age(facts.tunnel)))


def leak(facts: TunnelFacts) -> Standing | None:
    """What was seen outside; a leak that was counted stays one until somebody has looked."""
    why, since, mend = "", None, f"wgconfine verify {facts.name}"
    if facts.outside:
        units = " ".join(facts.outside)
        why = f"in another namespace: {units}"
        mend = f"systemctl stop {shlex.join(facts.outside)}"
    elif facts.leaked:
        why = (
            f"{facts.leaked} packets of its services were dropped in the host's namespace "
            f"since {facts.counted_since}"
        )
    elif facts.found_leak is not None:
        found = f": {facts.found}" if facts.found else ""
        why, since = f"the last verify has found one{found}", facts.found_leak
    return Standing(word=Word.LEAK, why=why, since=since, next=mend) if why else None


def refusal(facts: TunnelFacts) -> Standing | None:
    """What time does not mend, because the tunnel's units may not or will not run."""
    if not facts.enabled:
        return None
    for unit in (facts.namespace, facts.tunnel):
        word = judge(unit)
        why, mend = "", f"systemctl status {unit.name}"
        if word == "masked":
            why, mend = f"{unit.name} is masked", f"systemctl unmask {unit.name}"
        elif word == "refused":
            why = f"{unit.name} was kept from running"
        elif word == "failed" and unit is facts.namespace:
            why = facts.trouble.why if facts.trouble else f"{unit.name} failed"
            mend = f"once that is mended: systemctl start {facts.tunnel.name}"
        if why:
            return Standing(word=Word.REFUSED, why=why, since=facts.age(unit), next=mend)
    return None


def absence(facts: TunnelFacts) -> Standing | None:
    """It is not configured: nobody wants it, or it is on its way, or something is missing."""
    word, since = judge(facts.tunnel), facts.age(facts.tunnel)
    start = f"systemctl start {facts.tunnel.name}"
    if word == "running":
        return None
    # What a try has left is taken away before systemd waits for the next one.
    clearing = word == "stopping" and facts.tunnel.result not in {"", "success"}
    if facts.tunnel.active == "activating" or clearing:
        return waiting(facts, failed=clearing or word == "failed")
    if not facts.enabled:
        again = "with enable = true: wgconfine apply"
        return Standing(word=Word.DOWN, why="enable = false in its settings", next=again)
    if not facts.installed or word == "not-found":
        return Standing(word=Word.DOWN, why="it is not applied yet", next="wgconfine apply")
    why = {
        "stopping": "it is being stopped",
        "failed": facts.trouble.why if facts.trouble else f"it failed: {facts.tunnel.result}",
    }.get(word, "it is stopped")
    return Standing(word=Word.DOWN, why=why, since=since, next=start)


def waiting(facts: TunnelFacts, *, failed: bool) -> Standing:
    """It starts, or has failed to and is started again by systemd."""
    since, mend = facts.age(facts.tunnel), "it goes on by itself"
    if facts.trouble:
        why, since = facts.trouble.why, facts.trouble.since
    elif facts.reload.main_status == CREDENTIALS_FAILED:
        why, since = "its credential could not be loaded", facts.age(facts.reload)
    elif failed:
        why = "it could not be configured"
    elif judge(facts.namespace) != "running":
        why = f"{facts.namespace.name} is not there yet"
    else:
        why = "it is being configured"
    if facts.trouble or failed:
        mend = f"it is tried again every 5 s. To look: wgconfine logs {facts.name}"
    return Standing(word=Word.WAITING, why=why, since=since, next=mend)


def carriage(facts: TunnelFacts) -> Standing | None:
    """It is configured, and the tunnel that it goes through is not."""
    if facts.outer is None or judge(facts.outer) == "running":
        return None
    return Standing(
        word=Word.WAITING,
        why=f"the tunnel that it goes through is not up: {facts.outer.name}",
        since=facts.age(facts.outer),
        next=f"systemctl start {facts.outer.name}",
    )


def illness(facts: TunnelFacts) -> Standing | None:
    """It is configured, and the tick has found that it does not carry."""
    if facts.illness is None:
        return None
    ill = facts.illness
    done = f"{ill.steps} steps taken" if ill.steps else "nothing done yet"
    return Standing(
        word=Word.DEGRADED,
        why=ill.why,
        since=ill.since,
        next=f"{done}: wgconfine logs {facts.name}",
    )


def silence(facts: TunnelFacts) -> Standing | None:
    """It is configured and nobody has answered yet: a resolver, or the server itself."""
    logs = f"To look: wgconfine logs {facts.name}"
    ready = judge(facts.ready) == "starting"
    services = "; its services wait for that" if ready else ""
    if facts.unanswered:
        asking = judge(facts.endpoint) == "running"
        again = f"{facts.endpoint.name} asks once there is a network"
        return Standing(
            word=Word.WAITING,
            why=f"no address yet for {', '.join(facts.unanswered)}{services}",
            since=facts.age(facts.endpoint if asking else facts.tunnel),
            next=f"{'asked again in at most 60 s' if asking else again}. {logs}",
        )
    if facts.unheard or ready:
        peers = f" with {', '.join(facts.unheard)}" if facts.unheard else ""
        return Standing(
            word=Word.WAITING,
            why=f"no handshake yet{peers}{services}",
            since=facts.age(facts.ready if ready else facts.tunnel),
            next=f"WireGuard asks again as long as something is sent. {logs}",
        )
    return None
