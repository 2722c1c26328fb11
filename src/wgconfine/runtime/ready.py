"""wgconfine-ready@NAME.service: wait until a peer of the tunnel has answered since its start.

WireGuard asks for a handshake when it has something to send. A peer without persistent-keepalive
is given one and has it taken back in the same breath: that sends one empty packet to that peer and
to nobody else, once there is a handshake to send it by.
"""

from __future__ import annotations

import time

from wgconfine.runtime import journal
from wgconfine.runtime.failure import Failure, step
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.namespace import Visit
from wgconfine.runtime.process import run
from wgconfine.runtime.record import Record, load

LOOK = 0.2
"""Seconds between two looks: a handshake takes as long as two packets on the way."""
ASK_AGAIN = 5.0
"""Seconds after which WireGuard itself gives a handshake up and begins another: REKEY_TIMEOUT."""


def wait(name: str) -> None:
    """Wait for the first handshake. Raises Failure after `ready-timeout`, and is loud then.

    The link was made when the tunnel started, or since: what it knows of is of this start.
    """
    record = load(name)
    begun = time.monotonic()
    asked = begun - ASK_AGAIN
    while not has_handshake(record):
        now = time.monotonic()
        if now - begun >= record.ready_timeout:
            raise give_up(record)
        if now - asked >= ASK_AGAIN:
            provoke(record)
            asked = now
        time.sleep(LOOK)


def has_handshake(record: Record) -> bool:
    """Tell whether any peer has one; False where the link is away, which may come back."""
    try:
        with Visit(record.name):
            output = run("wg", "show", record.wg_name, "latest-handshakes")
    except Failure:
        return False
    return any(line.split("\t")[1:] not in ([], ["0"]) for line in output.splitlines())


def provoke(record: Record) -> None:
    """Have each peer asked for a handshake; those with a keepalive are asked by WireGuard.

    Under the lock, for a reload may be taking a peer away: wg(8) would make it anew.
    """
    try:
        with Lock(record.name), Visit(record.name):
            output = run("wg", "show", record.wg_name, "persistent-keepalive")
            silent = without_keepalive(output)
            if silent:
                step(f"wg set {record.wg_name} (an empty packet to {len(silent)} peers)")
                run("wg", "set", record.wg_name, *words_for(silent))
    except Failure:
        return  # the link is away


def without_keepalive(output: str) -> list[str]:
    """Give the peers that `wg show … persistent-keepalive` calls `off`."""
    rows = (line.partition("\t") for line in output.splitlines())
    return [key for key, _, every in rows if every == "off"]


def words_for(peers: list[str]) -> list[str]:
    """Turn each peer's keepalive on, and off again, in one call: nothing is left by who is killed.

    The kernel and wireguard-go take one after the other, and send when it is turned on.
    """
    return [
        word
        for key in peers
        for every in ("1", "0")
        for word in ("peer", key, "persistent-keepalive", every)
    ]


def give_up(record: Record) -> Failure:
    text = f"no peer has answered within {record.ready_timeout} s"
    journal.send(
        journal.ERROR,
        f"tunnel {record.name}: {text}. Its services start all the same",
        journal.NOT_READY,
        wgconfine_tunnel=record.name,
        object_systemd_unit=f"wgconfine-ready@{record.name}.service",
    )
    return Failure(f"{record.name}: {text}")
