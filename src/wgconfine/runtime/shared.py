"""Is a tunnel's key used in another place, too?

Then each of the two takes the peer's session away from the other, which makes a new one after
fifteen seconds, and so on. A link that loses packets may look like that, but there nothing arrives
that is not understood. So what arrives from the peer is counted by a rule of the host's firewall
while handshakes follow one another too soon, and compared with what WireGuard made of it.
"""

from __future__ import annotations

from wgconfine.runtime.firewall import parse_counts
from wgconfine.runtime.process import Running, run

SOON = 100
"""Seconds: a session is made anew after 120 (REKEY_AFTER_TIME), or one that nothing came back in
after 15."""
OFTEN = 3
"""So many handshakes in a row that came too soon: of a server that starts anew there is one."""
FEW = 20
"""Packets that are too few to tell anything by."""
HEADERS = {"ip": 28, "ip6": 48}
"""Bytes of IP and UDP."""
PADDING = 16
"""Bytes that a packet may be longer than what wireguard-go counts of it."""
LEAST = 4
"""What is not understood must be more than one of so many bytes."""
WHY = "its key is used in another place, too"


class Count:
    """What has arrived of a peer's endpoint, as `nft` counted it, and what WireGuard has counted.

    `family` is that of the endpoint; `received` is in bytes, as wg(8) shows it.
    """

    __slots__ = ("family", "packets", "received", "size")

    def __init__(self, family: str, packets: int, size: int, received: int) -> None:
        self.family, self.packets, self.size, self.received = family, packets, size, received


def judge(before: Count, now: Count) -> str:
    """Say that the key is used elsewhere, too, where much of what arrived was not understood."""
    packets, size = now.packets - before.packets, now.size - before.size
    understood = now.received - before.received
    if packets < FEW or understood < 0:
        return ""
    arrived = size - packets * HEADERS[now.family]
    foreign = arrived - understood - packets * PADDING
    if foreign * LEAST < arrived:
        return ""
    return f"{WHY}: {foreign} of {arrived} bytes from its peer belong to another session"


def table_name(name: str) -> str:
    return f"wgconfine_count-{name}"


def rules(name: str, port: int, host: str, source_port: int) -> str:
    """Give the text for `nft -f` that counts what arrives for a link from one endpoint."""
    table, family = f"inet {table_name(name)}", family_of(host)
    return (
        f"add table {table}\ndelete table {table}\n"
        f"table {table} {{ counter arrived {{ }}; chain input {{ "
        "type filter hook input priority raw; policy accept; "
        f'{family} saddr {host} udp sport {source_port} udp dport {port} counter name "arrived"; '
        "}; }\n"
    )


def family_of(host: str) -> str:
    return "ip6" if ":" in host else "ip"


def begin(name: str, link: str, key: str, received: int) -> Count | None:
    """Begin to count what arrives from a peer; None without an endpoint. Raises Failure."""
    lines = run("wg", "show", link, "endpoints").splitlines()
    host, _, source_port = dict(each.split("\t") for each in lines).get(key, "").rpartition(":")
    if not host:
        return None
    port = int(run("wg", "show", link, "listen-port"))
    run("nft", "-f", "-", text=rules(name, port, host.strip("[]"), int(source_port)))
    return Count(family_of(host), 0, 0, received)


def look(name: str, family: str, received: int) -> Count | None:
    """Give what has been counted; None where somebody has taken the table away."""
    words = ("nft", "list", "counters", "table", "inet", table_name(name))
    status, listing, _ = Running(*words).wait()
    counted = parse_counts(listing).get("arrived", "").split()
    if status != 0 or not counted:
        return None
    return Count(family, int(counted[1]), int(counted[3]), received)


def end(name: str) -> None:
    """Stop counting; gone already is fine."""
    Running("nft", "delete", "table", "inet", table_name(name)).wait()
