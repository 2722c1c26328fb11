"""`pin-endpoint`: the tunnel's encrypted packets go to its declared endpoints and nowhere else.

A peer that answers from another address moves its endpoint there, and WireGuard follows. A rule in
the host's namespace drops, and counts, what bears the tunnel's mark and goes elsewhere. Kernel and
wireguard-go set that mark before the rule looks.
"""

from __future__ import annotations

import os
import time

from wgconfine.runtime import link, paths
from wgconfine.runtime.failure import Failure, step
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.state import read_state, write_state
from wgconfine.runtime.switch import MARK, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wgconfine.config.wgquick import Conf
    from wgconfine.runtime.record import Record

CHAIN = "output"
COUNTER = "elsewhere"


class Pins:
    """Where encrypted packets with a mark may go; none at all until the first name is known."""

    __slots__ = ("endpoints", "mark")

    def __init__(self, mark: int, endpoints: list[tuple[str, int]]) -> None:
        self.mark, self.endpoints = mark, endpoints

    def __str__(self) -> str:
        return ", ".join(link.endpoint_text(*each) for each in self.endpoints) or "nobody yet"


def table_name(name: str) -> str:
    return f"wgconfine_pin-{name}"


def pins_of(record: Record, conf: Conf, known: Mapping[str, str]) -> Pins:
    """Give what a configuration declares. Raises Failure where a peer may be anywhere."""
    if not record.fwmark:
        raise Failure(f"{record.name}: pin-endpoint needs a mark. Run wgconfine apply.")
    endpoints = []
    for peer in conf.peers:
        if peer.endpoint is None:
            raise Failure(
                f"{record.name}: pin-endpoint, and peer {peer.public_key[:8]}… has no Endpoint. "
                "Declare it."
            )
        if address := link.address_of(peer.endpoint[0], known):
            endpoints.append((address, peer.endpoint[1]))
    return Pins(record.fwmark, list(dict.fromkeys(endpoints)))


def chain_lines(pins: Pins) -> list[str]:
    """Give what the chain must be, as nft(8) prints it.

    At the priority of `raw`, before others may change the mark; a verdict of drop is final. No set:
    who has begun with the old rules and looks into it a moment later finds it empty.
    """
    mark = f"meta mark {pins.mark:#010x}"
    return [
        f"type filter hook {CHAIN} priority raw; policy accept;",
        *(
            f"{mark} {'ip6' if ':' in host else 'ip'} daddr {host} udp dport {port} accept"
            for host, port in pins.endpoints
        ),
        f'{mark} meta l4proto udp counter name "{COUNTER}" drop',
    ]


def rules(name: str, pins: Pins, *, anew: bool = False) -> str:
    """Give the text for `nft -f`, one transaction: what has been counted goes on being counted.

    `anew` is for a table whose chain was made into something else.
    """
    table = f"inet {table_name(name)}"
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head, *body = chain_lines(pins)
    lines = [f'add table {table} {{ comment "{MARK}{since}"; }}']
    if anew:
        lines = [f"add table {table}", f"delete table {table}", *lines]
    lines += [
        f"add counter {table} {COUNTER}",
        f"add chain {table} {CHAIN} {{ {head} }}",
        f"flush chain {table} {CHAIN}",
        *(f"add rule {table} {CHAIN} {each}" for each in body),
    ]
    return "\n".join(lines) + "\n"


def hold(name: str, pins: Pins) -> None:
    """Load the rule for what the tunnel is configured with next. Raises Failure.

    Before that: what goes to the old endpoint in between is lost, and nothing goes astray.
    """
    text = "".join(f"{host} {port}\n" for host, port in pins.endpoints)
    write_state(place(name), f"{pins.mark}\n{text}")
    load(name, pins)


def load(name: str, pins: Pins) -> None:
    step(f"nft -f - (encrypted packets go to {pins})")
    status, _, _ = Running("nft", "-f", "-", text=rules(name, pins)).wait()
    if status != 0:  # most likely somebody has made its chain one of another kind
        run("nft", "-f", "-", text=rules(name, pins, anew=True))


def restore(name: str) -> None:
    """Load the rule again where somebody has changed it or taken it away. Raises Failure."""
    pins = read_pins(name)
    if pins is not None and not is_held(name, pins):
        load(name, pins)


def release(name: str) -> None:
    """Take the rule away, of a tunnel that has one and sends nothing any more."""
    if os.path.exists(place(name)):
        step(f"nft delete table inet {table_name(name)}")
        Running("nft", "delete", "table", "inet", table_name(name)).wait()
        os.unlink(place(name))


def read_pins(name: str) -> Pins | None:
    """Give what is to be held; None for a tunnel without `pin-endpoint`."""
    mark, *lines = read_state(place(name)).splitlines() or [""]
    endpoints = [line.split(" ") for line in lines]
    return Pins(int(mark), [(host, int(port)) for host, port in endpoints]) if mark else None


def look(name: str) -> Table | None:
    """Give the table as it is; None where there is none."""
    status, text, _ = Running("nft", "list", "table", "inet", table_name(name)).wait()
    return Table(text) if status == 0 else None


def is_held(name: str, pins: Pins) -> bool:
    table = look(name)
    return table is not None and table.chains.get(CHAIN) == chain_lines(pins)


def lost() -> list[str]:
    """Give the tunnels whose rule is not what it should be."""
    try:
        names = sorted(os.listdir(os.path.dirname(paths.tunnel_state(""))))
    except FileNotFoundError:
        return []
    wanted = ((name, read_pins(name)) for name in names)
    return [name for name, pins in wanted if pins is not None and not is_held(name, pins)]


def place(name: str) -> str:
    return f"{paths.tunnel_state(name)}/{paths.PINS}"
