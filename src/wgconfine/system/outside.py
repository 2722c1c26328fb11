"""What is outside of a tunnel: which endpoint has its turn, and what carries encrypted packets."""

from __future__ import annotations

import json
import os
import subprocess

from wgconfine.config.literal import parse_endpoint
from wgconfine.model.status import CarrierStatus, PeerStatus, PinStatus
from wgconfine.runtime import paths, pin
from wgconfine.runtime.link import HEADERS, endpoint_text, route_to
from wgconfine.runtime.process import ENVIRONMENT
from wgconfine.runtime.state import read_state

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from wgconfine.model.names import TunnelName

    Json = Mapping[str, Any]

__all__ = ["carriers", "pin_status", "read_turns", "too_long"]

SYSFS = "/sys/class/net"
PLAIN = frozenset({"1", "772"})
"""ARPHRD_ETHER and ARPHRD_LOOPBACK, of if_arp.h."""
VPN = frozenset({
    "wireguard", "amneziawg", "tun", "ppp", "xfrm", "vti", "vti6", "ipip", "ip6tnl", "sit", "gre",
    "ip6gre",
})  # fmt: skip
"""The kinds of links that carry packets in others: ip-link(8)."""


def read_turns(name: TunnelName) -> tuple[str, ...]:
    """Give the settings' endpoints as the running tunnel has them, the one in use first."""
    try:
        lines = read_state(f"{paths.tunnel_state(name)}/{paths.TURNS}").splitlines()
    except OSError:
        return ()
    return tuple(line.split(" ")[0] for line in lines)


def pin_status(name: TunnelName) -> PinStatus | None:
    """Give how `pin-endpoint` is held; None for a tunnel that does not have it."""
    try:
        pins = pin.read_pins(name)
    except (OSError, ValueError):
        return None
    if pins is None:
        return None
    endpoints = tuple(endpoint_text(*each) for each in pins.endpoints)
    if os.geteuid() != 0:
        return PinStatus(endpoints=endpoints, held=None, dropped=None)
    table = pin.look(name)
    held = table is not None and table.chains.get(pin.CHAIN) == pin.chain_lines(pins)
    dropped = table.counted.get(pin.COUNTER, 0) if table is not None else None
    return PinStatus(endpoints=endpoints, held=held, dropped=dropped)


def carriers(peers: Iterable[PeerStatus], record: Json | None) -> tuple[CarrierStatus, ...]:
    """Give each link of the host's own VPN by which packets to an endpoint leave."""
    if record is None or record.get("via") or not any(map(may_carry, links_of_host())):
        return ()
    fwmark = record.get("fwmark")
    found = (carrier(each.endpoint, fwmark) for each in peers if each.endpoint)
    return tuple(dict.fromkeys(each for each in found if each is not None))


def links_of_host() -> list[str]:
    try:
        return os.listdir(SYSFS)  # noqa: PTH208 — names
    except OSError:
        return []


def may_carry(link: str) -> bool:
    """Tell whether a link may be one of those kinds: nearly no host has any, and asks ip(8) then.

    They are neither Ethernet nor loopback, but for tap.
    """
    try:
        with open(f"{SYSFS}/{link}/type", encoding="ascii") as file:  # noqa: PTH123 — no Path for it
            kind = file.read().strip()
    except OSError:
        return True
    return kind not in PLAIN or os.path.exists(f"{SYSFS}/{link}/tun_flags")  # noqa: PTH110


def carrier(endpoint: str, fwmark: int | None) -> CarrierStatus | None:
    """Ask the host's routes and rules for the way of a packet; None where no VPN has it."""
    parsed = parse_endpoint(endpoint)
    if isinstance(parsed, str):
        return None
    routes = ask_ip(*route_to(parsed[0], fwmark).split(" "))
    device = str(routes[0].get("dev", "")) if routes else ""
    links = ask_ip("-d", "link", "show", "dev", device) if device else []
    return parse_link(links[0], endpoint) if links else None


def ask_ip(*words: str) -> list[dict[str, Any]]:
    """Give what ip(8) tells; nothing where it has nothing to tell."""
    done = subprocess.run(
        ["ip", "-j", *words],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return [each for each in json.loads(done.stdout or "[]") if isinstance(each, dict)]
    except ValueError:
        return []


def parse_link(link: Json, endpoint: str) -> CarrierStatus | None:
    """Read what ip(8) tells of a link; None for one that is no VPN."""
    kind = str(link.get("linkinfo", {}).get("info_kind", ""))
    if kind not in VPN:
        return None
    return CarrierStatus(
        endpoint=endpoint, link=str(link["ifname"]), kind=kind, mtu=int(link["mtu"])
    )


def too_long(name: TunnelName, found: Iterable[CarrierStatus]) -> tuple[str, ...]:
    """Say where the tunnel's packets do not fit into those that the host's VPN takes."""
    narrow = min(found, key=lambda each: each.mtu, default=None)
    if narrow is None or os.geteuid() != 0:
        return ()
    links = ask_ip("-n", name, "link", "show", "dev", paths.LINK)
    mtu = int(links[0]["mtu"]) if links else 0
    if mtu <= narrow.mtu - HEADERS:
        return ()
    return (
        (
            f"an MTU of {mtu} is more than {narrow.link} ({narrow.mtu}) carries: "
            f"systemctl reload wgconfine@{name}.service"
        ),
    )
