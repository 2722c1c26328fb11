"""The ports of a tunnel for `status`: what is installed of them, and how each is now."""

from __future__ import annotations

import json
import subprocess

from wgconfine.model.state import judge
from wgconfine.model.status import Counter, InboundStatus, PublishStatus, ReachStatus
from wgconfine.runtime.paths import record_of_namespace
from wgconfine.runtime.process import ENVIRONMENT

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from wgconfine.model.names import TunnelName
    from wgconfine.model.state import UnitState

    Record = Mapping[str, Any] | None
    """NAME.json as it lies there, which may be of another version, or nothing."""
    States = Mapping[str, UnitState]

__all__ = [
    "inbound_status",
    "outbound_deny",
    "parse_counters",
    "port_units",
    "publish_status",
    "reach_status",
    "read_counters",
]

TABLE = ("inet", "wgconfine")
LISTENING = "listening"


def _listed(record: Record, key: str) -> list[Any]:
    found = record.get(key) if record else None
    return found if isinstance(found, list) else []


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, list) else ()


def _entries(record: Record, key: str) -> Iterator[Mapping[str, Any]]:
    yield from (
        each for each in _listed(record, key) if isinstance(each, dict) and "socket" in each
    )


def port_units(record: Record) -> list[str]:
    """Give the socket of each port that is installed, and its proxy."""
    sockets = [
        str(each["socket"]) for key in ("publish", "reach") for each in _entries(record, key)
    ]
    return [unit for each in sockets for unit in (each, _proxy_of(each))]


def _proxy_of(socket: str) -> str:
    return f"{socket.removesuffix('.socket')}.service"


def publish_status(
    record: Record, states: States, namespace: UnitState
) -> tuple[PublishStatus, ...]:
    """Give what is published; `namespace` is the unit that its sockets come and go with."""
    return tuple(
        PublishStatus(
            listen=_texts(each.get("listen")),
            to=str(each.get("to")),
            socket=str(each["socket"]),
            clients=_texts(each.get("from")),
            owner=f"{each['user']}:{each['group']}" if {"user", "group"} <= each.keys() else "",
            **_state(str(each["socket"]), states, namespace),
        )
        for each in _entries(record, "publish")
    )


def reach_status(record: Record, states: States, namespace: UnitState) -> tuple[ReachStatus, ...]:
    """Give what is reached, likewise."""
    return tuple(
        ReachStatus(
            listen=str(each.get("listen")),
            to=str(each.get("to")),
            socket=str(each["socket"]),
            **_state(str(each["socket"]), states, namespace),
        )
        for each in _entries(record, "reach")
    )


def _state(socket: str, states: States, namespace: UnitState) -> dict[str, str]:
    """Say how a socket is, and what mends it; one that listens may have a proxy that fails."""
    state, proxy = states[socket], states[_proxy_of(socket)]
    word = judge(state)
    if word == "stopped" and judge(namespace) != "running":
        return {"state": word, "why": f"it comes with {namespace.name}"}
    if word != "running":
        return {"state": word, "why": _why(word, state)}
    failing = judge(proxy) in {"failed", "refused", "masked"}
    why = f"its proxy fails: journalctl -u {proxy.name}" if failing else ""
    return {"state": LISTENING, "why": why}


def _why(word: str, state: UnitState) -> str:
    start = f"systemctl start {state.name}"
    return {
        "stopped": start,
        "failed": f"{state.result}: journalctl -u {state.name}",
        "not-found": "wgconfine apply",
        "masked": f"systemctl unmask {state.name}",
    }.get(word, "")


def inbound_status(record: Record) -> InboundStatus:
    found = record.get("inbound") if record else None
    ports = found if isinstance(found, dict) else {}
    return InboundStatus(tcp=_texts(ports.get("tcp")), udp=_texts(ports.get("udp")))


def outbound_deny(record: Record) -> tuple[str, ...]:
    return _texts(_listed(record, "outbound-deny"))


def read_counters(name: TunnelName) -> dict[str, Counter]:
    """Ask nft(8) inside; nothing where that can't be asked."""
    place = f"--net={record_of_namespace(name)}"
    done = subprocess.run(
        ["nsenter", place, "nft", "-j", "list", "counters", "table", *TABLE],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return parse_counters(done.stdout) if done.returncode == 0 else {}


def parse_counters(text: str) -> dict[str, Counter]:
    """Read libnftables-json(5); what is none of our counters is left out."""
    try:
        listed = json.loads(text)["nftables"]
        found = [each["counter"] for each in listed if "counter" in each]
        return {
            str(each["name"]): Counter(packets=int(each["packets"]), bytes=int(each["bytes"]))
            for each in found
            if (each["family"], each["table"]) == TABLE
        }
    except (ValueError, KeyError, TypeError):
        return {}
