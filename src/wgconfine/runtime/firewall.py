"""The one nftables table of a tunnel's namespace, as text for `nft -f`. Pure."""

from __future__ import annotations

from wgconfine.runtime.paths import LINK

TRANSPORT = "meta l4proto { tcp, udp } th dport"
QUERY = f"{TRANSPORT} 53"
# DNS over TLS and QUIC, mDNS, LLMNR. Not redirected: their answers would not be the one expected.
OTHER = f"{TRANSPORT} {{ 853, 5353, 5355 }}"
# By these `verify` finds the counters: nft -j list table inet wgconfine.
QUERY_REJECTED = 'counter reject comment "dns"'
OTHER_REJECTED = 'counter reject comment "dns-other"'


def ruleset(resolvers: list[str]) -> str:
    """Give the whole table, to be loaded in one transaction: there is never a moment without it.

    `resolvers` are IP addresses, the declared ones; empty before the tunnel is up and after it went
    down. Output leaves by lo and the tunnel alone, input is what was asked for. A DNS query sent
    anywhere else goes to the first declared resolver of its family instead (a lost bind over
    /etc/resolv.conf is then harmless), and is rejected where the family has none. By the other
    ports of look-ups nobody but a declared resolver is asked.
    """
    families = [
        ("ip", "ipv4", [each for each in resolvers if ":" not in each]),
        ("ip6", "ipv6", [each for each in resolvers if ":" in each]),
    ]
    redirect, reject = [], []
    for family, protocol, declared in families:
        if declared:
            elsewhere = f"{family} daddr != {{ {', '.join(declared)} }}"
            # An answer is never routed to ::1 from another link (rt6_need_strict() of the kernel):
            # better a rejection at once.
            loopback = "ip6 daddr != ::1 " if family == "ip6" else ""
            redirect.append(f"{QUERY} {loopback}{elsewhere} dnat {family} to {declared[0]}")
            reject.append(f"{QUERY} {elsewhere} {QUERY_REJECTED}")
            reject.append(f"{OTHER} {elsewhere} {OTHER_REJECTED}")
        else:
            reject.append(f"meta nfproto {protocol} {QUERY} {QUERY_REJECTED}")
            reject.append(f"meta nfproto {protocol} {OTHER} {OTHER_REJECTED}")
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
