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

# DNS over TLS and QUIC, mDNS, LLMNR. Not redirected: their answers would not be the one expected.
OTHER_LOOK_UPS = (853, 5353, 5355)
TRANSPORTS = ("udp", "tcp")
PROHIBITED = "reject with icmpx type admin-prohibited"
MARTIAN = 'counter name "martian" drop'
# By no other packet of ICMP is a flow judged: a redirect would be one, too.
ERRORS = {
    "icmp": ("destination-unreachable", "time-exceeded", "parameter-problem"),
    "icmpv6": ("destination-unreachable", "packet-too-big", "time-exceeded", "parameter-problem"),
}


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
    declared = [f"{family} daddr {each} accept" for family, each in with_family(policy.resolvers)]
    return TABLE.format(
        counters="\n\t".join(f"counter {each} {{ {begin[each]} }}" for each in COUNTERS),
        arrival=lines(arrival(policy.addresses)),
        redirect=lines([*declared, *redirected(policy.resolvers)]),
        declared=lines(declared),
        look_ups=lines(look_ups()),
        denied=lines(denied(policy.outbound_deny)),
        errors=lines(errors()),
        inbound=lines(inbound(policy)),
        link=LINK,
        martian=MARTIAN,
        foreign=f'counter name "other-link" {PROHIBITED}',
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


def with_family(addresses: Iterable[str]) -> list[tuple[str, str]]:
    """Give each address or network after nft's word for its family."""
    return [("ip6" if ":" in each else "ip", each) for each in addresses]


def arrival(addresses: Sequence[str]) -> list[str]:
    """Drop what comes from the tunnel and claims to come from here, or is for no address of it.

    Before connection tracking, which takes no notice of links: such a packet would else belong to a
    flow over lo. Here even an answer to a redirected query still has the tunnel's address.
    """
    here = with_family(["127.0.0.0/8", "::1", *addresses])
    return [
        *(f"{family} saddr {each} {MARTIAN}" for family, each in here),
        *(f"{family} daddr {each} accept" for family, each in with_family(addresses)),
    ]


def redirected(resolvers: Iterable[str]) -> list[str]:
    """Send every other query to the first resolver of its family.

    But for one to ::1: an answer is never routed there from another link (rt6_need_strict() of the
    kernel), and a rejection at once is better.
    """
    rules = []
    first = dict(reversed(with_family(resolvers)))
    for family, each in sorted(first.items()):
        head = "meta nfproto ipv4" if family == "ip" else "ip6 daddr != ::1"
        rules += [f"{head} {kind} dport 53 dnat {family} to {each}" for kind in TRANSPORTS]
    return rules


def look_ups() -> list[str]:
    rules = [f"{kind} dport 53 goto query" for kind in TRANSPORTS]
    return rules + [
        f"{kind} dport {port} goto other-query" for port in OTHER_LOOK_UPS for kind in TRANSPORTS
    ]


def denied(networks: Iterable[str]) -> list[str]:
    """Reject them whatever the flow: those that run already, and answers.

    A declared resolver among them has been asked before, by the ports of look-ups. What leaves by
    lo is not concerned, nor a query that was redirected, which still counts as that here.
    """
    reject = f'counter name "outbound-deny" {PROHIBITED}'
    return [
        f'oifname "{LINK}" {family} daddr {each} {reject}' for family, each in with_family(networks)
    ]


def errors() -> list[str]:
    return [
        f"ct state related {kind} type {each} accept"
        for kind, types in ERRORS.items()
        for each in types
    ]


def inbound(policy: Policy) -> list[str]:
    """Accept whatever is sent to an open port: one that is closed is so for flows that run, too."""
    return [
        f'{kind} dport {port} counter name "inbound-{kind}" accept'
        for kind, ports in (("tcp", policy.inbound_tcp), ("udp", policy.inbound_udp))
        for port in ports
    ]


# `add` before `delete`, so that neither fails: nft(8) runs the file as one transaction. The old
# chains judge by their rules until the new ones are in force (nf_tables_commit()). Rules that look
# into a set would not: it is empty for who has begun with the old ones and comes to it a moment
# later (seen with 6.18: packets to an open port were lost). So there is none: one rule for each.
# route_localnet (sysctl.py) lets a query for 127.0.0.53 leave by the tunnel; its source is then
# 127.0.0.1 and must become the tunnel's, and nobody on the far side may use the same door inwards.
# A source route changes the address after `arrival`, and may look invalid to connection tracking:
# input judges loopback addresses once more, whatever the state. Only the answer to a redirected
# query rightly has one there.
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
		ip daddr 127.0.0.0/8 {martian}
		{arrival}counter name "dropped" drop
	}}
	chain resolver {{
		type nat hook output priority -100; policy accept;
		{redirect}
	}}
	chain source {{
		type nat hook postrouting priority 100; policy accept;
		oifname "{link}" ip saddr 127.0.0.0/8 masquerade
	}}
	chain segment {{
		type filter hook postrouting priority -150; policy accept;
		oifname "{link}" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
	}}
	chain query {{
		{declared}counter name "dns" reject
	}}
	chain other-query {{
		{declared}counter name "dns-other" reject
	}}
	chain output {{
		type filter hook output priority 0; policy drop;
		oifname != "lo" oifname != "{link}" {foreign}
		{look_ups}oifname "lo" accept
		{denied}oifname "{link}" accept
		drop
	}}
	chain input {{
		type filter hook input priority 0; policy drop;
		iifname "lo" accept
		iifname != "{link}" counter name "other-link" drop
		ct state established ct direction reply accept
		{errors}ip daddr 127.0.0.0/8 {martian}
		{inbound}counter name "dropped" drop
	}}
	chain forward {{
		type filter hook forward priority 0; policy drop;
		drop
	}}
}}
"""
