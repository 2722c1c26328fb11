"""What there is of one tunnel for `status` to show: what the runtime has kept, what is live inside.

Every function gives nothing for what is not there, or is root's alone to see.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from wgconfine.config.escape import escape
from wgconfine.model.status import PeerStatus, VerifyStatus
from wgconfine.model.tunnel import Illness, Trouble
from wgconfine.model.verdict import Verdict
from wgconfine.runtime import clock, healthjudge, paths, trouble
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import named_namespace, record_of_namespace, tunnel_state, verified
from wgconfine.runtime.process import ENVIRONMENT
from wgconfine.runtime.state import read_state
from wgconfine.runtime.switch import Table, look
from wgconfine.system.portstatus import read_counters

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgconfine.model.names import TunnelName
    from wgconfine.model.status import Counter

__all__ = [
    "peer_lines",
    "peer_status",
    "read_firewall",
    "read_illness",
    "read_namespace",
    "read_peers",
    "read_resolvers",
    "read_switch",
    "read_trouble",
    "read_verify",
]

RESOLVER = "nameserver "


def read_trouble(name: TunnelName) -> Trouble | None:
    """Give why it could not be configured; root alone can read that."""
    try:
        kept = trouble.read(name)
    except OSError:
        return None
    if kept is None:
        return None
    return Trouble(why=escape(kept.why), since=max(0, clock.since_boot() - kept.since))


def read_illness(name: TunnelName) -> Illness | None:
    """Give what the last tick found wrong with the tunnel, since when, and what it has done."""
    try:
        kept = healthjudge.parse(read_state(paths.health(name)))
    except OSError:
        return None
    if not kept.why:
        return None
    since = max(0, clock.since_boot() - kept.sick)
    return Illness(why=escape(kept.why), since=since, steps=kept.steps)


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
