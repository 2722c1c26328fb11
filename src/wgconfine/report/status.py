"""`status` as words for a terminal or a pipe, and as JSON."""

import dataclasses
import json
from collections.abc import Iterator, Mapping

from wgconfine.model.status import (
    CommandStatus,
    Counter,
    PeerStatus,
    PinStatus,
    PublishStatus,
    RateStatus,
    ReachStatus,
    ServiceStatus,
    Status,
    TunnelStatus,
    VerifyStatus,
)
from wgconfine.model.tunnel import Word
from wgconfine.report.fold import INDENT, folded

__all__ = ["NO_TUNNEL", "as_json", "as_text"]

SCHEMA = 1
NO_TUNNEL = "No tunnel in /etc/wgconfine. To make one: wgconfine init CONF --name NAME"
MINUTE, HOUR = 60, 3600
KILO = 1024
COUNTED = {
    "dns": "with look-ups of others than the tunnel's resolvers rejected",
    "dns-other": "with look-ups by other ports than 53 rejected",
    "outbound-deny": "to denied networks rejected",
    "other-link": "by another link than the tunnel rejected",
    "martian": "with a false address dropped",
    "dropped": "from the tunnel dropped that nobody asked for",
}
"""What each counter of the firewall has counted packets of, those that were let through left out:
in this order they are told, where there is something to tell.
"""


def as_json(status: Status, *, indent: int | None = 2) -> str:
    """Give one JSON object: docs/json.md names its keys. Without `indent` it is one line."""
    return json.dumps({"schema": SCHEMA, **dataclasses.asdict(status)}, indent=indent)


def as_text(status: Status, *, width: int | None = None, colour: bool = False) -> str:
    """Give a few lines for each tunnel, then what is closed; `width` is that of a terminal."""
    lines = [line for tunnel in status.tunnels for line in tunnel_lines(tunnel)]
    if status.closed:
        lines += ["closed"]
        lines += [service_line(each) for each in status.closed]
    told = [each for line in lines for each in wrapped(line, width)]
    if colour:
        from wgconfine.report.paint import painted  # noqa: PLC0415 — for a terminal alone

        told = list(map(painted, told))
    return "\n".join(told) if told else NO_TUNNEL


def wrapped(line: str, width: int | None) -> list[str]:
    """Fold a line, but for what is to be done: it ends with a command, to be copied."""
    text = line.lstrip(" ")
    indent = line[: len(line) - len(text)]
    if text.startswith(("! ", "next: ")):
        width = None
    return folded(text, width, indent, indent + INDENT * 2)


def tunnel_lines(tunnel: TunnelStatus) -> list[str]:
    since = "" if tunnel.since is None or tunnel.state == Word.UP else f" for {age(tunnel.since)}"
    backend = f", {tunnel.backend}" if tunnel.backend else ""
    via = f", via {tunnel.via}" if tunnel.via else ""
    return [
        f"{tunnel.name}: {tunnel.state}{since}{backend}{via}",
        *([f"  why: {tunnel.why}"] if tunnel.why else []),
        *([f"  next: {tunnel.next}"] if tunnel.next else []),
        *(peer_line(peer) for peer in tunnel.peers),
        *rate_lines(tunnel.rate),
        *outside_lines(tunnel),
        *inside_lines(tunnel),
        *(line for each in tunnel.services for line in service_lines(each)),
        *map(command_line, tunnel.commands),
        *port_lines(tunnel),
        *verify_lines(tunnel.verify),
        *(f"  ! {problem}" for problem in tunnel.problems),
    ]


def outside_lines(tunnel: TunnelStatus) -> Iterator[str]:
    """Give whose turn it is, and what carries the encrypted packets where it is not the uplink."""
    if tunnel.endpoints:
        first, *others = tunnel.endpoints
        yield f"  endpoint {first} has its turn" + (f", then {', '.join(others)}" if others else "")
    if tunnel.pin is not None:
        yield pin_line(tunnel.pin)
    for each in tunnel.carriers:
        yield f"  to {each.endpoint} by {each.link} ({each.kind}): through the host's own VPN"


def inside_lines(tunnel: TunnelStatus) -> Iterator[str]:
    """Give where the services below are, and whom they ask for names."""
    if tunnel.namespace:
        asked = f", resolvers {', '.join(tunnel.resolvers)}" if tunnel.resolvers else ""
        yield f"  namespace {tunnel.namespace}{asked}"


def pin_line(pin: PinStatus) -> str:
    where = ", ".join(pin.endpoints) or "nobody, until its name is known"
    if pin.held is False:
        return f"  pinned to {where}: NOT IN FORCE, its rule is gone or another"
    dropped = f", {pin.dropped} packets to others dropped" if pin.dropped else ""
    return f"  pinned to {where}{dropped}"


def port_lines(tunnel: TunnelStatus) -> Iterator[str]:
    """Give what is published, and every hole and gate of the namespace."""
    yield from map(publish_line, tunnel.publish)
    yield from map(reach_line, tunnel.reach)
    ports = [f"tcp {each}" for each in tunnel.inbound.tcp]
    ports += [f"udp {each}" for each in tunnel.inbound.udp]
    if ports:
        yield f"  inbound: {', '.join(ports)}: open to the far side of the tunnel"
    if tunnel.outbound_deny:
        yield f"  outbound: denied to {', '.join(tunnel.outbound_deny)}"
    if counted := list(counts(tunnel.firewall)):
        # Else somebody would look for what in a service does that.
        tries = "" if tunnel.verify is None else "; tries of verify are among them"
        yield f"  firewall: {', '.join(counted)}{tries}"


def publish_line(port: PublishStatus) -> str:
    host = port.listen[0].rpartition(":")[2] if len(port.listen) > 1 else "".join(port.listen)
    who = f", from {', '.join(port.clients)}" if port.clients else ""
    who += f", for {port.owner}" if port.owner else ""
    line = f"  publish {host} -> {port.to}{who}: {port.state}"
    return f"{line} ({port.why})" if port.why else line


def reach_line(port: ReachStatus) -> str:
    line = f"  reach {port.listen} -> {port.to}: {port.state}"
    return f"{line} ({port.why})" if port.why else f"{line}, open to every process inside"


def counts(firewall: Mapping[str, Counter]) -> Iterator[str]:
    for name, words in COUNTED.items():
        if name in firewall and firewall[name].packets:
            yield f"{firewall[name].packets} packets {words}"


def verify_lines(verify: VerifyStatus | None) -> list[str]:
    return [] if verify is None else [f"  verify {age(verify.age)} ago: {verify.verdict}"]


def peer_line(peer: PeerStatus) -> str:
    seen = "no handshake yet"
    if peer.handshake_age is not None:
        seen = f"handshake {age(peer.handshake_age)} ago"
    traffic = f"{size(peer.received)} received, {size(peer.sent)} sent"
    where = peer.endpoint or "no endpoint yet"
    return f"  peer {peer.public_key[:8]}… at {where}: {seen}, {traffic}"


def rate_lines(rate: RateStatus | None) -> Iterator[str]:
    if rate is not None:
        speeds = f"{size(rate.received)}/s received, {size(rate.sent)}/s sent"
        yield f"  rate {speeds}, over {rate.seconds:.0f} s"


def service_lines(service: ServiceStatus) -> list[str]:
    opened = [*service.holes.paths, *(f"{name} on the bus" for name in service.holes.bus)]
    return [service_line(service), *([f"    open: {', '.join(opened)}"] if opened else [])]


def service_line(service: ServiceStatus) -> str:
    line = f"  {service.unit}: {service.state}"
    return f"{line} ({service.why})" if service.why else line


def command_line(command: CommandStatus) -> str:
    what = f"{command.program or 'a command'} of {command.user}" if command.user else "a command"
    line = f"  exec {what}: {command.state}, {command.unit}"
    return f"{line} ({command.why})" if command.why else line


def age(seconds: int) -> str:
    if seconds < 2 * MINUTE:
        return f"{seconds} s"
    return f"{seconds // MINUTE} min" if seconds < 2 * HOUR else f"{seconds // HOUR} h"


def size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < KILO:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= KILO
    return f"{amount:.1f} TiB"
