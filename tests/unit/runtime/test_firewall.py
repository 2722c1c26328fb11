"""The table of a tunnel's namespace, as text; what it does is tried in tests/netns."""

from hashlib import sha256

from wgconfine.render.record import FIREWALL
from wgconfine.runtime.firewall import (
    COUNTERS,
    Policy,
    declaration,
    parse_counts,
    parse_declaration,
    ruleset,
)

KINDS = ("udp", "tcp")


def chain(text: str, name: str) -> list[str]:
    """The rules of one chain, without the head that those of a hook have."""
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {name} {{")
    body = lines[start + 1 : lines.index("}", start)]
    return [line for line in body if line and not line.startswith("type ")]


def test_without_a_resolver_every_query_is_rejected() -> None:
    """Of both families, and none is sent elsewhere."""
    text = ruleset(Policy())

    assert [] == chain(text, "resolver")
    assert [f"{kind} dport 53 goto query" for kind in KINDS] == chain(text, "output")[1:3]
    assert ['counter name "dns" reject'] == chain(text, "query")
    assert ['counter name "dns-other" reject'] == chain(text, "other-query")


def test_a_family_without_a_resolver_keeps_its_reject() -> None:
    """IPv4 alone is declared: IPv6 queries have nowhere to go."""
    text = ruleset(Policy(resolvers=["10.64.0.1"]))

    assert [
        "ip daddr 10.64.0.1 accept",
        *(f"meta nfproto ipv4 {kind} dport 53 dnat ip to 10.64.0.1" for kind in KINDS),
    ] == chain(text, "resolver")
    assert ["ip daddr 10.64.0.1 accept", 'counter name "dns" reject'] == chain(text, "query")


def test_queries_go_to_the_first_resolver_of_their_family() -> None:
    """The others are left alone: a service may ask them, too."""
    text = ruleset(Policy(resolvers=["10.64.0.1", "fd00::53", "10.64.0.2"]))

    assert [
        "ip daddr 10.64.0.1 accept",
        "ip6 daddr fd00::53 accept",
        "ip daddr 10.64.0.2 accept",
        *(f"meta nfproto ipv4 {kind} dport 53 dnat ip to 10.64.0.1" for kind in KINDS),
        *(f"ip6 daddr != ::1 {kind} dport 53 dnat ip6 to fd00::53" for kind in KINDS),
    ] == chain(text, "resolver")


def test_other_ports_of_look_ups_are_for_declared_resolvers_alone() -> None:
    """None is redirected, since another would answer than was asked."""
    text = ruleset(Policy(resolvers=["10.64.0.1", "fd00::53"]))

    ports = (853, 5353, 5355)
    assert [f"{kind} dport {port} goto other-query" for port in ports for kind in KINDS] == [
        rule for rule in chain(text, "output") if "other-query" in rule
    ]
    assert [
        "ip daddr 10.64.0.1 accept",
        "ip6 daddr fd00::53 accept",
        'counter name "dns-other" reject',
    ] == chain(text, "other-query")


def test_queries_are_judged_before_the_tunnel_lets_anything_out() -> None:
    """Rules are read in order: another link is shut before, and an accept comes after."""
    rules = chain(ruleset(Policy(resolvers=["10.64.0.1"])), "output")

    other_link = 'counter name "other-link" reject with icmpx type admin-prohibited'
    assert f'oifname != "lo" oifname != "wg0" {other_link}' == rules[0]
    assert ['oifname "lo" accept', 'oifname "wg0" accept', "drop"] == rules[-3:]


def test_no_rule_looks_into_a_set() -> None:
    """During a reload it can be empty for who still goes by the old rules."""
    everything = {"resolvers": ["10.64.0.1", "10.64.0.2"], "addresses": ["10.66.0.2", "fd66::2"]}
    ports = {"inbound_tcp": ["1", "2-3"], "inbound_udp": ["4"], "outbound_deny": ["10.0.0.0/8"]}
    text = ruleset(Policy(**everything, **ports))

    names = [line.split()[1] for line in text.splitlines() if line.startswith("\tchain ")]
    assert [] == [rule for name in names for rule in chain(text, name) if "{" in rule]


def test_every_filter_drops_by_default() -> None:
    """Arrival, output, input and forward. The one that shortens segments decides nothing."""
    heads = [line for line in ruleset(Policy()).splitlines() if "type filter" in line]

    assert 4 == sum("policy drop" in head for head in heads)
    assert ["postrouting"] == [head.split()[3] for head in heads if "policy drop" not in head]


def test_what_nobody_asked_for_is_dropped_by_a_rule() -> None:
    """The policy of a new chain comes into force last, when the old one may be gone already."""
    text = ruleset(Policy())

    last = {name: chain(text, name)[-1] for name in ("arrival", "output", "input", "forward")}
    assert {
        "arrival": 'counter name "dropped" drop',
        "output": "drop",
        "input": 'counter name "dropped" drop',
        "forward": "drop",
    } == last


def test_nothing_is_open_without_settings() -> None:
    """Before the tunnel is up, and after it went down, no port is and no packet arrives."""
    text = ruleset(Policy())

    assert [] == [rule for rule in chain(text, "input") if "dport" in rule]
    assert ['iifname != "wg0" accept'] == [
        rule for rule in chain(text, "arrival") if "accept" in rule
    ]


def test_inbound_ports_are_open_in_both_families() -> None:
    """One rule for each protocol, and the one that is not named stays shut."""
    text = ruleset(Policy(inbound_tcp=["51413", "6881-6889"]))

    assert [
        'tcp dport 51413 counter name "inbound-tcp" accept',
        'tcp dport 6881-6889 counter name "inbound-tcp" accept',
    ] == [rule for rule in chain(text, "input") if "dport" in rule]


def test_a_denied_network_is_rejected_on_its_way_into_the_tunnel() -> None:
    """After the look-ups, whose accept lets a declared resolver of that network be asked."""
    networks = ["10.0.0.0/8", "192.168.0.0/16", "fc00::/7"]
    policy = Policy(resolvers=["10.64.0.1"], outbound_deny=networks)
    reject = 'counter name "outbound-deny" reject with icmpx type admin-prohibited'

    assert [
        "udp dport 5355 goto other-query",
        "tcp dport 5355 goto other-query",
        'oifname "lo" accept',
        f'oifname "wg0" ip daddr 10.0.0.0/8 {reject}',
        f'oifname "wg0" ip daddr 192.168.0.0/16 {reject}',
        f'oifname "wg0" ip6 daddr fc00::/7 {reject}',
        'oifname "wg0" accept',
        "drop",
    ] == chain(ruleset(policy), "output")[-8:]


def test_what_arrives_is_for_an_address_of_the_tunnel_and_not_from_one() -> None:
    """Whatever prefix the addresses are declared with."""
    text = ruleset(Policy(addresses=["10.66.0.2/32", "fd66::2/64"]))

    martian = 'counter name "martian" drop'
    assert [
        'iifname != "wg0" accept',
        f"ip daddr 127.0.0.0/8 {martian}",
        f"ip saddr 127.0.0.0/8 {martian}",
        f"ip6 saddr ::1 {martian}",
        f"ip saddr 10.66.0.2 {martian}",
        f"ip6 saddr fd66::2 {martian}",
        "ip daddr 10.66.0.2 accept",
        "ip6 daddr fd66::2 accept",
        'counter name "dropped" drop',
    ] == chain(text, "arrival")


def test_counters_go_on_where_they_were() -> None:
    """What nft(8) lists is what the new table begins with; one that is new begins with 0."""
    listing = "table inet wgconfine {\n\tcounter dropped {\n\t\tpackets 3 bytes 180\n\t}\n}\n"
    text = ruleset(Policy(), parse_counts(listing))

    assert "\tcounter dropped { packets 3 bytes 180 }\n" in text
    assert len(COUNTERS) == text.count("\n\tcounter ")
    assert "\tcounter martian { packets 0 bytes 0 }\n" in text


def test_a_policy_declares_what_verify_must_know() -> None:
    """What is read again is what was written, empty lists too."""
    ports = {"inbound_tcp": ["51413", "6881-6889"], "inbound_udp": [], "outbound_deny": ["::/0"]}
    policy = Policy(**ports)

    assert ports == parse_declaration(declaration(policy))
    assert {key: [] for key in ports} == parse_declaration("another a b\n\n")
    assert "resolvers: none; inbound tcp: 51413, 6881-6889; inbound udp: none; denied: ::/0" == str(
        policy
    )


def test_the_table_is_replaced_in_one_transaction() -> None:
    """`add` first, so that the delete can't fail; there is no moment without the table."""
    assert [
        "add table inet wgconfine",
        "delete table inet wgconfine",
        "table inet wgconfine {",
    ] == ruleset(Policy()).splitlines()[:3]


def test_a_change_of_the_rules_counts_up() -> None:
    """Otherwise `apply` would leave running tunnels with the old ones, and `verify` name them."""
    policy = Policy(
        resolvers=["10.64.0.1", "fc00::1"],
        addresses=["10.66.0.2/32", "fd66::2/128"],
        inbound_tcp=["51413"],
        inbound_udp=["6881-6889"],
        outbound_deny=["10.0.0.0/8", "fc00::/7"],
    )
    digest = sha256("".join(map(ruleset, (Policy(), policy))).encode()).hexdigest()

    assert (2, "551a3a866ddd8a71") == (FIREWALL, digest[:16])
