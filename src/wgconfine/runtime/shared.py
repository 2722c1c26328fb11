"""Is a tunnel's key used in another place, too?

Then each of the two takes the peer's session away from the other, which makes a new one after
fifteen seconds, and so on. A link that loses packets may look like that, too. What tells them apart
are sessions: those that we have made, and those that the peer sends us packets of. So while
handshakes follow one another too soon a table of the host's firewall notes both.
"""

from __future__ import annotations

from wgconfine.runtime.failure import warn
from wgconfine.runtime.process import Running, run

OFTEN = 3
"""So many handshakes in a row that came too soon: of a server that starts anew there is one."""
STRANGERS = 2
"""Sessions that are not ours: one may be left from before anything was noted."""
WHY = "its key is used in another place, too"
OURS, SEEN = "ours", "seen"


def table_name(name: str) -> str:
    return f"wgconfine_count-{name}"


def rules(name: str, port: int, host: str, source_port: int) -> str:
    """Give the text for `nft -f` that notes sessions by their numbers, and judges no packet.

    Of a message that makes a session, type 2, whoever gets it has chosen the number at 8, and
    whoever sends it that at 4; packets of the session, type 4, bear at 4 the number of whom they
    are for (whitepaper of WireGuard, 5.4). Before them are 8 bytes of UDP.
    """
    table = f"inet {table_name(name)}"
    family = "ip6" if ":" in host else "ip"
    arrives = f"{family} saddr {host} udp sport {source_port} udp dport {port}"
    leaves = f"{family} daddr {host} udp dport {source_port} udp sport {port}"
    return (
        f"add table {table}\ndelete table {table}\n"
        f"table {table} {{ set {OURS} {{ typeof @th,128,32; flags dynamic; size 1024; }}; "
        f"set {SEEN} {{ typeof @th,96,32; flags dynamic; size 1024; }}; "
        "chain input { type filter hook input priority raw; policy accept; "
        f"{arrives} @th,64,8 2 add @{OURS} {{ @th,128,32 }}; "
        f"{arrives} @th,64,8 4 add @{SEEN} {{ @th,96,32 }}; }}; "
        "chain output { type filter hook output priority raw; policy accept; "
        f"{leaves} @th,64,8 2 add @{OURS} {{ @th,96,32 }}; }}; }}\n"
    )


def begin(name: str, link: str, key: str) -> bool:
    """Begin to note sessions of a peer. Raises Failure.

    False where it has no endpoint, or where nft(8) can't: that is no reason not to mend the tunnel.
    """
    lines = run("wg", "show", link, "endpoints").splitlines()
    host, _, source_port = dict(each.split("\t") for each in lines).get(key, "").rpartition(":")
    if not host:
        return False
    port = int(run("wg", "show", link, "listen-port"))
    text = rules(name, port, host.strip("[]"), int(source_port))
    status, _, complaint = Running("nft", "-f", "-", text=text).wait()
    if status != 0:
        warn(f"sessions of tunnel {name} can't be noted: {complaint.strip()}")
    return status == 0


def forget_seen(name: str) -> None:
    """Forget packets of sessions that are older than what was noted of ours."""
    Running("nft", "flush", "set", "inet", table_name(name), SEEN).wait()


def look(name: str) -> str:
    """Say that the key is used elsewhere, where the peer has sent packets of others' sessions."""
    seen, ours = (elements(list_set(name, each)) for each in (SEEN, OURS))
    strangers = len(seen - ours)
    if not ours or strangers < STRANGERS:
        return ""
    return (
        f"{WHY}: of {len(seen)} sessions that its peer has sent packets of {strangers} are not ours"
    )


def list_set(name: str, which: str) -> str:
    """Give what nft(8) prints of a set; nothing where somebody has taken the table away."""
    _, listing, _ = Running("nft", "list", "set", "inet", table_name(name), which).wait()
    return listing


def elements(listing: str) -> set[str]:
    """Read the elements of a set as nft(8) prints them."""
    inner = listing.partition("elements = {")[2].partition("}")[0]
    return {each.strip() for each in inner.split(",") if each.strip()}


def end(name: str) -> None:
    """Stop it; gone already is fine."""
    Running("nft", "delete", "table", "inet", table_name(name)).wait()
