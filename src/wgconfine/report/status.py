"""`status` as words for a terminal or a pipe, and as JSON."""

import dataclasses
import json

from wgconfine.config.escape import escape
from wgconfine.model.status import (
    PeerStatus,
    ServiceStatus,
    Status,
    TunnelStatus,
    VerifyStatus,
)

__all__ = ["as_json", "as_text"]

SCHEMA = 1
MINUTE, HOUR = 60, 3600
KILO = 1024


def as_json(status: Status) -> str:
    """Give one JSON object: docs/architecture.md names its keys."""
    return json.dumps({"schema": SCHEMA, **dataclasses.asdict(status)}, indent=2)


def as_text(status: Status) -> str:
    """Give a few lines for each tunnel, then what is closed."""
    lines = [line for tunnel in status.tunnels for line in tunnel_lines(tunnel)]
    if status.closed:
        lines += ["closed"]
        lines += [service_line(each) for each in status.closed]
    return "\n".join(map(escape, lines)) if lines else "No tunnel in /etc/wgconfine."


def tunnel_lines(tunnel: TunnelStatus) -> list[str]:
    head = f"{tunnel.name}: {tunnel.state}" + (f", {tunnel.backend}" if tunnel.backend else "")
    return [
        head,
        *(peer_line(peer) for peer in tunnel.peers),
        *(line for each in tunnel.services for line in service_lines(each)),
        *verify_lines(tunnel.verify),
        *(f"  ! {problem}" for problem in tunnel.problems),
    ]


def verify_lines(verify: VerifyStatus | None) -> list[str]:
    return [] if verify is None else [f"  verify {age(verify.age)} ago: {verify.verdict}"]


def peer_line(peer: PeerStatus) -> str:
    seen = "no handshake yet"
    if peer.handshake_age is not None:
        seen = f"handshake {age(peer.handshake_age)} ago"
    traffic = f"{size(peer.received)} received, {size(peer.sent)} sent"
    where = peer.endpoint or "no endpoint yet"
    return f"  peer {peer.public_key[:8]}… at {where}: {seen}, {traffic}"


def service_lines(service: ServiceStatus) -> list[str]:
    opened = [*service.holes.paths, *(f"{name} on the bus" for name in service.holes.bus)]
    return [service_line(service), *([f"    open: {', '.join(opened)}"] if opened else [])]


def service_line(service: ServiceStatus) -> str:
    line = f"  {service.unit}: {service.state}"
    return f"{line} ({service.why})" if service.why else line


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
