"""What is known of a tunnel's health, as text too, and what follows from two looks at it. Pure."""

from __future__ import annotations

SILENT = "no answer from peer"
STEPS = ("reload", "rebind", "next", "relink")
"""What is tried, milder things first: configure it and look its names up anew; another source port;
each of the other endpoints; another link in the same namespace."""
PAUSE, LONGEST_PAUSE = 110, 1800
"""Seconds from one step to the next: two ticks; longer in each round once all have been tried."""
SOON = 100
"""Seconds: a session is made anew after 120 (REKEY_AFTER_TIME), or one that nothing came back in
after 15."""


class Peer:
    """One peer: bytes, and its last handshake as wg(8) has it, in seconds since the epoch.

    `since` is when that was first seen, in seconds since boot: the other clock may jump. `asked`
    is 1 where anything was sent and nothing has come since. `sent` is bytes, and with a single peer
    packets beside them, of which some did not get out: it is there to be compared. `soon` is how
    many handshakes in a row came too soon after the one before.
    """

    __slots__ = ("asked", "handshake", "received", "sent", "since", "soon")

    def __init__(  # noqa: PLR0917 — a line of numbers, as they are kept
        self,
        handshake: int,
        received: int,
        sent: int,
        since: int = 0,
        asked: int = 0,
        soon: int = 0,
    ) -> None:
        self.handshake, self.received, self.sent = handshake, received, sent
        self.since, self.asked, self.soon = since, asked, soon


class Health:
    """What is known of a tunnel. It is well where `why` is empty.

    `silent` are public keys of peers. `sick` is since when it is not, `acted` when something was
    done last, both in seconds since boot; `steps` how often. `noted` is for how many looks
    sessions are being noted.
    """

    __slots__ = ("acted", "noted", "peers", "sick", "silent", "steps", "why")

    def __init__(self, peers: dict[str, Peer], why: str = "") -> None:
        self.peers, self.why = peers, why
        self.silent: list[str] = []
        self.sick = self.acted = self.steps = self.noted = 0


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
        before = earlier(kept, peers, key)
        peer.since = now if before is None or is_new(before, peer) else before.since
        peer.soon = count_soon(before, peer, now)
        if before is None or heard_from(before, peer):
            continue
        peer.asked = int(before.asked or peer.sent > before.sent)
        if before.asked and patience is not None and now - peer.since >= patience:
            silent.append(key)
    why = f"{', '.join(missing)}: missing" if missing else ""
    if silent and not missing:
        why = f"{SILENT} {', '.join(f'{key[:8]}…' for key in silent)}"
        why += f" for {patience} s or longer" if patience else ""
    health = Health(peers, why)
    health.silent = silent
    if why:
        health.sick = kept.sick or now
        health.acted, health.steps = kept.acted, kept.steps
    return health


def earlier(kept: Health, peers: dict[str, Peer], key: str) -> Peer | None:
    """Give a peer as it was at the last look.

    A single peer may have another key now, because another endpoint has its turn: then what was
    known of the one before it is given, for a new key alone makes nothing well.
    """
    if len(peers) == len(kept.peers) == 1:
        return next(iter(kept.peers.values()))
    return kept.peers.get(key)


def heard_from(before: Peer, peer: Peer) -> bool:
    """Tell whether anything has come from a peer since. A new link has counted nothing yet."""
    return is_new(before, peer) or peer.received not in {0, before.received}


def is_new(before: Peer, peer: Peer) -> bool:
    """Tell whether there was a handshake since."""
    return peer.handshake not in {0, before.handshake}


def count_soon(before: Peer | None, peer: Peer, now: int) -> int:
    """Count handshakes in a row that came too soon; none any more when there was time for one."""
    if before is None or (before.handshake == 0 and peer.handshake != 0):
        return 0
    if not is_new(before, peer):
        return before.soon if now - peer.since < SOON else 0
    return before.soon + 1 if 0 < peer.handshake - before.handshake < SOON else 0


def next_step(kept: Health, health: Health, now: int, endpoints: int = 1) -> str:
    """Give the step whose time has come; empty where it is well, or the last one may yet help.

    Nothing is done for a peer to whom nothing is sent any more, and nothing that other peers would
    notice as long as one of them answers: that one may be switched off. `endpoints` is how many
    there are to have their turns.
    """
    if not health.why:
        return ""
    silent = health.why.startswith(SILENT)
    known = [(kept.peers[key], peer) for key, peer in health.peers.items() if key in kept.peers]
    sending = any(peer.asked and peer.sent > before.sent for before, peer in known)
    answered = any(heard_from(before, peer) for before, peer in known)
    rounds = max(0, health.steps - 2) // endpoints
    pause = min(PAUSE << min(rounds, 10), LONGEST_PAUSE)
    waited = health.steps == 0 or now - health.acted >= pause
    if not waited or (silent and not sending):
        return ""
    step = step_of(health.steps, endpoints)
    # Another endpoint is of the silent peer alone.
    return STEPS[0] if silent and answered and step != "next" else step


def step_of(steps: int, endpoints: int) -> str:
    """Give the step after so many: first two, then round after round of endpoints and a new link.

    Where one is left out of each round all the same each endpoint has its turn: the one in use.
    """
    if steps < 2:  # noqa: PLR2004 — reload and rebind
        return STEPS[steps]
    return "relink" if (steps - 1) % endpoints == 0 else "next"


def format_health(health: Health) -> str:
    """Give the text that parse() reads, a line for each thing."""
    lines = [f"sick {health.sick} {health.acted} {health.steps}", f"why {health.why}"]
    lines += [f"silent {' '.join(health.silent)}"] if health.silent else []
    lines += [f"noted {health.noted}"] if health.noted else []
    lines += [
        f"peer {key} {each.handshake} {each.received} {each.sent} {each.since} {each.asked} "
        f"{each.soon}"
        for key, each in health.peers.items()
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
            elif kind == "silent":
                health.silent = rest.split()
            elif kind == "noted":
                health.noted = int(rest)
            elif kind == "peer":
                key, *numbers = rest.split()
                health.peers[key] = Peer(*map(int, numbers))
    except (ValueError, TypeError):
        return Health({})
    return health
