"""wgconfine-endpoint@NAME.service: look endpoints' names up until they answer.

In the host's namespace, or in that of the tunnel that this one goes through.
"""

from __future__ import annotations

import socket
import time

from wgconfine.config import wgquick
from wgconfine.runtime import carried, link, paths
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.namespace import Visit, identity
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.record import load
from wgconfine.runtime.resolver import write_in_place
from wgconfine.runtime.state import read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    Named = tuple[str, str, int, str]
    """Public key, host name and port of a peer, and `auto` or `fixed` for the link's MTU."""

LONGEST_PAUSE = 60.0  # seconds
GROWTH = 1.5
"""Of each pause over the one before: at boot a name is found at the latest when half as much time
again has passed as it took the network to come."""


def resolve_all(name: str) -> None:
    """Set every named endpoint of a tunnel; tries again after 1, 1.5 … 60 seconds, for ever."""
    pause = 1.0
    via = load(name).via
    if via is not None:
        wait_for_resolvers(name, via)
    # A list: one name without an answer must not keep the others waiting.
    while not all([resolve(name, each) for each in read_endpoints(name)]):  # noqa: C419 — see above
        time.sleep(pause)
        if via is not None:
            wait_for_resolvers(name, via)
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def wait_for_resolvers(name: str, via: str) -> None:
    """Ask the resolvers of the tunnel that this one goes through, once it is up, and nobody else.

    Raises Failure outside of its namespace: systemd runs a unit in the host's, with success, where
    it may not join. What it writes is this unit's own resolv.conf.
    """
    if identity(paths.HOST_NAMESPACE) != identity(paths.record_of_namespace(via)):
        raise Failure(f"this is not the namespace of tunnel {via}: no name is looked up")
    while not (found := read_state(f"{paths.tunnel_state(via)}/resolv.conf")):
        time.sleep(1)
    write_in_place(f"{paths.tunnel_state(name)}/{paths.OUTER_RESOLVERS}", found)


def read_endpoints(name: str) -> list[Named]:
    """Give the endpoints to look up; read anew each time, for a reload may change them."""
    try:
        with open(f"{paths.tunnel_state(name)}/endpoints", encoding="ascii") as file:
            return [(key, host, int(port), mtu) for key, host, port, mtu in map(str.split, file)]
    except FileNotFoundError:
        return []


def resolve(name: str, peer: Named) -> bool:
    """Look one name up and set the peer's endpoint; False where that must be tried again."""
    _, host, port, _ = peer
    try:
        # getaddrinfo(3) puts the families that have a route first: RFC 6724.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        warn(f"{host}: {error}; trying again")
        return False
    usable = [str(each[4][0]) for each in found if is_usable(str(each[4][0]))]
    if not usable:
        warn(f"{host}: no answer that can be an endpoint; trying again")
        return False
    try:
        set_endpoint(name, peer, usable[0])
    except Failure as failure:
        warn(f"{host}: {failure}; trying again")
        return False
    return True


def is_usable(address: str) -> bool:
    """Refuse what a broken or lying resolver gives: loopback, 0.0.0.0, multicast, link-local."""
    raw = wgquick.parse_ip(address) or b""
    if len(raw) == 4:  # noqa: PLR2004 — bytes of an IPv4 address
        return raw[0] not in {0, 127} and raw[0] < 224 and raw[:2] != b"\xa9\xfe"  # noqa: PLR2004
    mapped = raw[:12] == bytes(10) + b"\xff\xff"
    return bool(raw.strip(b"\0")) and raw != bytes(15) + b"\1" and raw[0] < 0xFE and not mapped  # noqa: PLR2004


def set_endpoint(name: str, peer: Named, address: str) -> None:
    """Set a peer's endpoint, unless a reload has taken the peer away: wg(8) would make it anew."""
    public_key, _, port, declared = peer
    text = link.endpoint_text(address, port)
    with Lock(name):
        if peer not in read_endpoints(name):
            return
        record = load(name)
        # Through another tunnel it is that one's link that counts.
        mtu = path_mtu(address) if declared == "auto" and record.via is None else None
        with Visit(record.name):
            step(f"wg set {record.wg_name} peer {public_key} endpoint {text}")
            run("wg", "set", record.wg_name, "peer", public_key, "endpoint", text)
            if mtu is not None:
                run("ip", "link", "set", "dev", paths.LINK, "mtu", str(mtu))
    if mtu is not None:
        carried.follow(name)


def path_mtu(address: str) -> int | None:
    status, output, _ = Running("ip", "route", "get", address).wait()
    found = link.mtu_of_routes(output)
    return None if status != 0 or found is None else found - link.HEADERS
