"""The one nftables table of a tunnel's namespace, as text for `nft -f`. Pure."""

from __future__ import annotations

from wgconfine.runtime.paths import LINK

TRANSPORT = "meta l4proto { tcp, udp } th dport 53"


def ruleset(resolvers: list[str]) -> str:
    """Give the whole table, to be loaded in one transaction: there is never a moment without it.

    `resolvers` are IP addresses, the declared ones; empty before the tunnel is up and after it went
    down. Output leaves by lo and the tunnel alone, input is what was asked for. A DNS query sent
    anywhere else goes to the first declared resolver of its family instead (a lost bind over
    /etc/resolv.conf is then harmless), and is rejected where the family has none.
    """
    families = [
        ("ip", [each for each in resolvers if ":" not in each]),
        ("ip6", [each for each in resolvers if ":" in each]),
    ]
    redirect, reject = [], []
    for family, declared in families:
        protocol = "ipv4" if family == "ip" else "ipv6"
        if declared:
            elsewhere = f"{TRANSPORT} {family} daddr != {{ {', '.join(declared)} }}"
            redirect.append(f"{elsewhere} dnat {family} to {declared[0]}")
            reject.append(f"{elsewhere} counter reject")
        else:
            reject.append(f"meta nfproto {protocol} {TRANSPORT} counter reject")
    return TABLE.format(redirect="\n\t\t".join(redirect), reject="\n\t\t".join(reject), link=LINK)


# `add` before `delete`, so that neither fails: nft(8) runs the file as one transaction.
# route_localnet (sysctl.py) lets a query for 127.0.0.53 leave by the tunnel; its source is then
# 127.0.0.1 and must become the tunnel's, and nobody on the far side may use the same door inwards.
TABLE = """\
add table inet wgconfine
delete table inet wgconfine
table inet wgconfine {{
	chain resolver {{
		type nat hook output priority -100; policy accept;
		{redirect}
	}}
	chain source {{
		type nat hook postrouting priority 100; policy accept;
		oifname "{link}" ip saddr 127.0.0.0/8 masquerade
	}}
	chain output {{
		type filter hook output priority 0; policy drop;
		{reject}
		oifname {{ "lo", "{link}" }} accept
		counter reject with icmpx type admin-prohibited
	}}
	chain input {{
		type filter hook input priority 0; policy drop;
		iifname "{link}" ip daddr 127.0.0.0/8 ct state new counter drop
		iifname "{link}" ip saddr 127.0.0.0/8 counter drop
		iifname "lo" accept
		ct state established,related accept
		counter
	}}
	chain forward {{
		type filter hook forward priority 0; policy drop;
	}}
}}
"""
