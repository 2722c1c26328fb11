"""The one nftables table of a tunnel's namespace, as text for `nft -f`. Pure."""

from __future__ import annotations

from wgconfine.runtime.paths import LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COUNTERS = (
    "dns",
    "dns-other",
    "inbound-tcp",
    "inbound-udp",
    "dropped",
    "martian",
    "outbound-deny",
    "other-link",
)
"""What `nft -j list counters table inet wgconfine` shows, packets and bytes of each."""

TRANSPORT = "meta l4proto { tcp, udp } th dport"
QUERY = f"{TRANSPORT} 53"
# DNS over TLS and QUIC, mDNS, LLMNR. Not redirected: their answers would not be the one expected.
OTHER = f"{TRANSPORT} {{ 853, 5353, 5355 }}"
QUERY_REJECTED = 'counter name "dns" reject'
OTHER_REJECTED = 'counter name "dns-other" reject'
# What a resolver is asked by, in a network that may not be reached otherwise.
LOOK_UP = f"{TRANSPORT} {{ 53, 853 }}"
DENIED = 'counter name "outbound-deny" reject with icmpx type admin-prohibited'
MARTIAN = 'counter name "martian" drop'
# By no other packet of ICMP is a flow judged: a redirect would be one, too.
ERRORS = (
    "icmp type { destination-unreachable, time-exceeded, parameter-problem }",
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
)


class Policy:
    """What a tunnel lets through. By itself nothing, as before it is up and after it went down.

    `resolvers` are the declared ones and `addresses` the tunnel's own, IP addresses both; ports are
    written as nft(8) has them, "51413" and "6881-6889".
    """

    __slots__ = ("addresses", "inbound_tcp", "inbound_udp", "outbound_deny", "resolvers")

    def __init__(
        self,
        *,
        resolvers: Sequence[str] = (),
        addresses: Iterable[str] = (),
        inbound_tcp: Sequence[str] = (),
        inbound_udp: Sequence[str] = (),
        outbound_deny: Sequence[str] = (),
    ) -> None:
        self.resolvers = resolvers
        self.addresses = [each.partition("/")[0] for each in addresses]
        self.inbound_tcp, self.inbound_udp = inbound_tcp, inbound_udp
        self.outbound_deny = outbound_deny

    def __str__(self) -> str:
        parts = {
            "resolvers": self.resolvers,
            "inbound tcp": self.inbound_tcp,
            "inbound udp": self.inbound_udp,
            "denied": self.outbound_deny,
        }
        return "; ".join(f"{key}: {', '.join(each) or 'none'}" for key, each in parts.items())


def declaration(policy: Policy) -> str:
    """Give what of a policy is from the settings alone, as `verify` compares it."""
    return (
        f"inbound_tcp {' '.join(policy.inbound_tcp)}\n"
        f"inbound_udp {' '.join(policy.inbound_udp)}\n"
        f"outbound_deny {' '.join(policy.outbound_deny)}\n"
    )


def parse_declaration(text: str) -> dict[str, list[str]]:
    """Give the keyword arguments of Policy that declaration() has written."""
    return {words[0]: words[1:] for words in map(str.split, text.splitlines()) if words}


def ruleset(policy: Policy, counts: Mapping[str, str] | None = None) -> str:
    """Give the whole table, to be loaded in one transaction: there is never a moment without it.

    Output leaves by lo and the tunnel alone, input is what was asked for. A DNS query sent
    anywhere but to a declared resolver goes to the first one of its family instead (a lost bind
    over /etc/resolv.conf is then harmless), and is rejected where the family has none. By the other
    ports of look-ups nobody but a declared resolver is asked. Counters begin with `counts`, as
    parse_counts() gives them, or with 0.
    """
    begin = dict.fromkeys(COUNTERS, "packets 0 bytes 0") | dict(counts or {})
    return TABLE.format(
        counters="\n\t".join(f"counter {each} {{ {begin[each]} }}" for each in COUNTERS),
        arrival=lines(arrival(policy.addresses)),
        resolver=lines(redirected(policy.resolvers)),
        output=lines([*rejected(policy.resolvers), *denied(policy)]),
        input=lines([*(f"ct state related {each} accept" for each in ERRORS), *inbound(policy)]),
        link=LINK,
        martian=MARTIAN,
    )


def parse_counts(listing: str) -> dict[str, str]:
    """Read what `nft list counters` says: `packets 3 bytes 180` by the counter's name."""
    counts, name = {}, ""
    for words in map(str.split, listing.splitlines()):
        match words:
            case ["counter", name, "{"]:
                pass
            case ["packets", packets, "bytes", size] if packets.isdecimal() and size.isdecimal():
                counts[name] = " ".join(words)
    return counts


def lines(rules: Iterable[str]) -> str:
    return "".join(f"{rule}\n\t\t" for rule in rules)


def by_family(addresses: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """Give nft's word for each family, with `meta nfproto`'s, and those of its addresses."""
    return [
        ("ip", "ipv4", [each for each in addresses if ":" not in each]),
        ("ip6", "ipv6", [each for each in addresses if ":" in each]),
    ]


def one_of(addresses: Sequence[str]) -> str:
    return f"{{ {', '.join(addresses)} }}"


def arrival(addresses: Sequence[str]) -> list[str]:
    """Drop what comes from the tunnel and claims to come from here, or is for no address of it.

    Before connection tracking, which takes no notice of links: such a packet would else belong to a
    flow over lo. Here even an answer to a redirected query still has the tunnel's address.
    """
    rules = []
    for family, _, own in by_family(addresses):
        loopback = "127.0.0.0/8" if family == "ip" else "::1"
        rules.append(f"{family} saddr {one_of([loopback, *own])} {MARTIAN}")
        if own:
            rules.append(f"{family} daddr {one_of(own)} accept")
    return rules


def redirected(resolvers: Sequence[str]) -> list[str]:
    rules = []
    for family, _, declared in by_family(resolvers):
        if declared:
            # An answer is never routed to ::1 from another link (rt6_need_strict() of the kernel):
            # better a rejection at once.
            loopback = "ip6 daddr != ::1 " if family == "ip6" else ""
            elsewhere = f"{family} daddr != {one_of(declared)}"
            rules.append(f"{QUERY} {loopback}{elsewhere} dnat {family} to {declared[0]}")
    return rules


def rejected(resolvers: Sequence[str]) -> list[str]:
    rules = []
    for family, protocol, declared in by_family(resolvers):
        if declared:
            elsewhere = f"{family} daddr != {one_of(declared)}"
            rules.append(f"{QUERY} {elsewhere} {QUERY_REJECTED}")
            rules.append(f"{OTHER} {elsewhere} {OTHER_REJECTED}")
        else:
            rules.append(f"meta nfproto {protocol} {QUERY} {QUERY_REJECTED}")
            rules.append(f"meta nfproto {protocol} {OTHER} {OTHER_REJECTED}")
    return rules


def denied(policy: Policy) -> list[str]:
    """Reject the denied networks, flows that run already and answers included.

    A declared resolver among them can be asked, by the tunnel; lo and a query that was redirected,
    which still counts as one over lo here, are not concerned.
    """
    rules = []
    for family, _, networks in by_family(policy.outbound_deny):
        declared = [each for each in policy.resolvers if (":" in each) == (family == "ip6")]
        if networks and declared:
            rules.append(f'oifname "{LINK}" {family} daddr {one_of(declared)} {LOOK_UP} accept')
        if networks:
            rules.append(f'oifname "{LINK}" {family} daddr {one_of(networks)} {DENIED}')
    return rules


def inbound(policy: Policy) -> list[str]:
    """Accept whatever is sent to an open port: one that is closed is so for flows that run, too."""
    return [
        f'{protocol} dport {one_of(ports)} counter name "inbound-{protocol}" accept'
        for protocol, ports in (("tcp", policy.inbound_tcp), ("udp", policy.inbound_udp))
        if ports
    ]


# `add` before `delete`, so that neither fails: nft(8) runs the file as one transaction, in which the
# old chains judge by their rules until the new ones are in force (nf_tables_commit()).
# route_localnet (sysctl.py) lets a query for 127.0.0.53 leave by the tunnel; its source is then
# 127.0.0.1 and must become the tunnel's, and nobody on the far side may use the same door inwards.
# What nobody asked for is dropped by a rule and not by the policy alone: that of a new chain is
# accept at first, and old chains may be gone before it changes (nft_chain_commit_drop_policy()).
# A redirected query began on lo, whose MTU its TCP goes by: hence the clamp.
TABLE = """\
add table inet wgconfine
delete table inet wgconfine
table inet wgconfine {{
	{counters}
	chain arrival {{
		type filter hook prerouting priority -300; policy drop;
		iifname != "{link}" accept
		{arrival}{martian}
	}}
	chain resolver {{
		type nat hook output priority -100; policy accept;
		{resolver}
	}}
	chain source {{
		type nat hook postrouting priority 100; policy accept;
		oifname "{link}" ip saddr 127.0.0.0/8 masquerade
	}}
	chain segment {{
		type filter hook postrouting priority -150; policy accept;
		oifname "{link}" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
	}}
	chain output {{
		type filter hook output priority 0; policy drop;
		{output}oifname {{ "lo", "{link}" }} accept
		counter name "other-link" reject with icmpx type admin-prohibited
	}}
	chain input {{
		type filter hook input priority 0; policy drop;
		iifname "lo" accept
		iifname != "{link}" counter name "other-link" drop
		ct state established ct direction reply accept
		ct direction original ip daddr 127.0.0.0/8 {martian}
		{input}counter name "dropped" drop
	}}
	chain forward {{
		type filter hook forward priority 0; policy drop;
		drop
	}}
}}
"""
