"""wgconfine-endpoint@NAME.service: look endpoints' names up until they answer.

In the host's namespace, or in that of the tunnel that this one goes through.
"""

from __future__ import annotations

import os
import socket
import time

from wgconfine.config import wgquick
from wgconfine.runtime import carried, link, paths, pin, turns
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.namespace import Visit, identity
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.record import Record, load
from wgconfine.runtime.resolver import write_in_place
from wgconfine.runtime.state import read_state
from wgconfine.runtime.turns import read_endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wgconfine.runtime.turns import Named

LONGEST_PAUSE = 60.0  # seconds
DISCARD = 9
"""A port to ask for the way to; nothing is sent there."""
GROWTH = 1.5
"""How much longer each pause is than the one before. So if the network takes a minute to come, a
name is found half a minute later at most."""


def resolve_all(name: str) -> None:
    """Set every named endpoint of a tunnel; tries again after 1, 1.5 … 60 seconds, for ever."""
    pause = 1.0
    via = load(name).via
    while True:
        if via is not None:
            wait_for_resolvers(name, via)
        before = changed_at(name)
        # A list: one name without an answer must not keep the others waiting.
        done = all([resolve(name, each) for each in read_endpoints(name)])  # noqa: C419 — see above
        # A reload that comes meanwhile does not start this anew: it is running.
        if changed_at(name) != before:
            pause = 1.0
        elif done:
            return
        else:
            pause = 1.0 if wait(name, pause, before) else min(pause * GROWTH, LONGEST_PAUSE)


def wait_for_resolvers(name: str, via: str) -> None:
    """Ask the resolvers of the tunnel that this one goes through, once it is up, and nobody else.

    Raises Failure outside of its namespace: systemd runs a unit in the host's, with success, where
    it may not join. What it writes is this unit's own resolv.conf.
    """
    if identity(paths.HOST_NAMESPACE) != identity(paths.record_of_namespace(via)):
        raise Failure(
            f"this is not the namespace of tunnel {via}: no name is looked up. "
            f"Restart wgconfine@{name}.service."
        )
    while not (found := read_state(f"{paths.tunnel_state(via)}/resolv.conf")):
        time.sleep(1)
    write_in_place(f"{paths.tunnel_state(name)}/{paths.OUTER_RESOLVERS}", found)


def changed_at(name: str) -> int:
    """Tell when the tunnel was configured last, in nanoseconds."""
    try:
        return os.stat(f"{paths.tunnel_state(name)}/{paths.IN_FORCE}").st_mtime_ns
    except FileNotFoundError:
        return 0


def wait(name: str, seconds: float, before: int) -> bool:
    """Wait so long, or for a reload; True says that there was one."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        if changed_at(name) != before:
            return True
    return False


def resolve(name: str, peer: Named) -> bool:
    """Look one name up and set the peer's endpoint; False where that must be tried again."""
    _, host, port = peer
    try:
        # getaddrinfo(3) puts the families that have a route first: RFC 6724.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        warn(f"{host}: {error}; trying again")
        return False
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    refused = [each for each in addresses if not is_usable(each)]
    if refused:
        warn(
            f"{host}: {', '.join(refused)} can't be an endpoint: it is no server's address. "
            "Correct Endpoint, or what this machine is told of that name."
        )
    try:
        record = load(name)
        reached = [each for each in addresses if is_usable(each) and has_way(each, record)]
        if not reached:
            warn(f"{host}: no answer that this machine has a way to; trying again")
            return False
        set_endpoint(record, peer, reached)
    except Failure as failure:
        warn(f"{host}: {failure}; trying again")
        return False
    return True


def has_way(address: str, record: Record) -> bool:
    """Tell whether the machine, or the tunnel around, has a way to an address. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            if record.fwmark:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, record.fwmark)
            asking.connect((address, DISCARD))
    except OSError:
        return False
    return True


def is_usable(address: str) -> bool:
    """Refuse what a broken or lying resolver gives: loopback, 0.0.0.0, multicast, link-local."""
    raw = wgquick.parse_ip(address) or b""
    if len(raw) == 4:  # noqa: PLR2004 — bytes of an IPv4 address
        return raw[0] not in {0, 127} and raw[0] < 224 and raw[:2] != b"\xa9\xfe"  # noqa: PLR2004
    mapped = raw[:12] == bytes(10) + b"\xff\xff"
    return bool(raw.strip(b"\0")) and raw != bytes(15) + b"\1" and raw[0] < 0xFE and not mapped  # noqa: PLR2004


def set_endpoint(record: Record, peer: Named, found: list[str]) -> None:
    """Set a peer's endpoint, unless a reload has taken the peer away: wg(8) would make it anew."""
    public_key, host, port = peer
    with Lock(record.name):
        if peer not in read_endpoints(record.name):
            return
        conf, known = link.declared(record.name), turns.known_addresses(record.name)
        before, address = known.get(host), keep_answer(record.name, host, found)
        known[host] = address
        text = link.endpoint_text(address, port)
        # Through another tunnel it is that one's link that counts.
        mtu = reckoned_mtu(record, conf, known) if record.via is None else None
        if record.pin_endpoint:  # what was known until now is no place for packets any more
            pin.hold(record.name, pin.pins_of(record, conf, known))
        with Visit(record.name):
            there = link.asked(record.wg_name, "endpoints", public_key)
            moved = there == link.NONE or before != address or record.pin_endpoint
            if there != text:
                begin = link.start_over if moved and len(conf.peers) == 1 else link.set_where
                begin(record.wg_name, public_key, text)
            if mtu is not None:
                run("ip", "link", "set", "dev", paths.LINK, "mtu", str(mtu))
    if mtu is not None:
        carried.follow(record.name)


def keep_answer(name: str, host: str, found: list[str]) -> str:
    """Keep what a look-up has found, and give the address whose turn it is."""
    answers = turns.read_answers(name)
    answer = answers.setdefault(host, turns.Answer([]))
    addresses = turns.arrange(answer.addresses, found)
    if addresses != answer.addresses:
        others = f", then {', '.join(addresses[1:])}" if addresses[1:] else ""
        step(f"{host} is {addresses[0]}{others}")
        answer.addresses, answer.passed = addresses, 0
        turns.write_answers(name, answers)
    return addresses[0]


def reckoned_mtu(record: Record, conf: wgquick.Conf, known: Mapping[str, str]) -> int | None:
    """Give the link's MTU by the ways to all endpoints that are known; None where it is declared.

    None also where there is no way to any of them.
    """
    conf.fwmark = record.fwmark
    lines = link.routes_to_ask_for(conf, known, via=False)
    if not lines:
        return None
    # One without a way must not hide the others: -force.
    _, output, _ = Running("ip", "-force", "-batch", "-", text="\n".join(lines) + "\n").wait()
    found = link.mtu_of_routes(output)
    return None if found is None else link.mtu_of(conf, found, via=False)
