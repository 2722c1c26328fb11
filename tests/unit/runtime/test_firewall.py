"""The table of a tunnel's namespace, as text; what it does is tried in tests/netns."""

from wgconfine.runtime.firewall import (
    COUNTERS,
    Policy,
    declaration,
    parse_counts,
    parse_declaration,
    ruleset,
)

QUERY = "meta l4proto { tcp, udp } th dport 53"
OTHER = "meta l4proto { tcp, udp } th dport { 853, 5353, 5355 }"
REJECT, REJECT_OTHER = (f'counter name "{each}" reject' for each in ("dns", "dns-other"))


def chain(text: str, name: str) -> list[str]:
    """The rules of one chain, without its head."""
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {name} {{")
    return [line for line in lines[start + 2 : lines.index("}", start)] if line]


def test_without_a_resolver_every_query_is_rejected() -> None:
    """Both families, and none is sent elsewhere."""
    text = ruleset(Policy())

    assert [] == chain(text, "resolver")
    assert [
        f"meta nfproto ipv4 {QUERY} {REJECT}",
        f"meta nfproto ipv4 {OTHER} {REJECT_OTHER}",
        f"meta nfproto ipv6 {QUERY} {REJECT}",
        f"meta nfproto ipv6 {OTHER} {REJECT_OTHER}",
    ] == chain(text, "output")[:4]


def test_a_family_without_a_resolver_keeps_its_reject() -> None:
    """IPv4 alone is declared: IPv6 queries have nowhere to go."""
    text = ruleset(Policy(resolvers=["10.64.0.1"]))

    assert [f"{QUERY} ip daddr != {{ 10.64.0.1 }} dnat ip to 10.64.0.1"] == chain(text, "resolver")
    assert f"meta nfproto ipv6 {QUERY} {REJECT}" in chain(text, "output")
    assert f"meta nfproto ipv4 {QUERY} {REJECT}" not in chain(text, "output")


def test_queries_go_to_the_first_resolver_of_their_family() -> None:
    """The others are left alone: a service may ask them, too."""
    text = ruleset(Policy(resolvers=["10.64.0.1", "fd00::53", "10.64.0.2"]))

    assert [
        f"{QUERY} ip daddr != {{ 10.64.0.1, 10.64.0.2 }} dnat ip to 10.64.0.1",
        f"{QUERY} ip6 daddr != ::1 ip6 daddr != {{ fd00::53 }} dnat ip6 to fd00::53",
    ] == chain(text, "resolver")


def test_what_was_not_redirected_is_rejected_all_the_same() -> None:
    """Should the redirection not work, the query does not leave either."""
    assert f"{QUERY} ip daddr != {{ 10.64.0.1 }} {REJECT}" in chain(
        ruleset(Policy(resolvers=["10.64.0.1"])), "output"
    )


def test_other_ports_of_look_ups_are_for_declared_resolvers_alone() -> None:
    """Each family by itself; none is redirected, since another would answer than was asked."""
    text = ruleset(Policy(resolvers=["10.64.0.1", "fd00::53", "10.64.0.2"]))

    assert [
        f"{OTHER} ip daddr != {{ 10.64.0.1, 10.64.0.2 }} {REJECT_OTHER}",
        f"{OTHER} ip6 daddr != {{ fd00::53 }} {REJECT_OTHER}",
    ] == [rule for rule in chain(text, "output") if rule.startswith(OTHER)]
    assert [] == [rule for rule in chain(text, "resolver") if OTHER in rule]


def test_queries_are_judged_before_the_tunnel_lets_anything_out() -> None:
    """Rules are read in order: the accept must come after every reject of a query."""
    rules = chain(ruleset(Policy(resolvers=["10.64.0.1"])), "output")

    assert [
        'oifname { "lo", "wg0" } accept',
        'counter name "other-link" reject with icmpx type admin-prohibited',
    ] == rules[-2:]


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
        "arrival": 'counter name "martian" drop',
        "output": 'counter name "other-link" reject with icmpx type admin-prohibited',
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

    assert ['tcp dport { 51413, 6881-6889 } counter name "inbound-tcp" accept'] == [
        rule for rule in chain(text, "input") if "dport" in rule
    ]


def test_a_denied_network_is_rejected_but_for_its_resolver() -> None:
    """The resolver is asked by the ports of look-ups alone, before the network is judged."""
    networks = ["10.0.0.0/8", "192.168.0.0/16", "fc00::/7"]
    policy = Policy(resolvers=["10.64.0.1"], outbound_deny=networks)
    reject = 'counter name "outbound-deny" reject with icmpx type admin-prohibited'

    look_up = "meta l4proto { tcp, udp } th dport { 53, 853 }"
    assert [
        f'oifname "wg0" ip daddr {{ 10.64.0.1 }} {look_up} accept',
        f'oifname "wg0" ip daddr {{ 10.0.0.0/8, 192.168.0.0/16 }} {reject}',
        f'oifname "wg0" ip6 daddr {{ fc00::/7 }} {reject}',
    ] == [rule for rule in chain(ruleset(policy), "output") if rule.startswith('oifname "')]


def test_what_arrives_is_for_an_address_of_the_tunnel_and_not_from_one() -> None:
    """Whatever prefix the addresses are declared with."""
    text = ruleset(Policy(addresses=["10.66.0.2/32", "fd66::2/64"]))

    drop = 'counter name "martian" drop'
    assert [
        'iifname != "wg0" accept',
        f"ip saddr {{ 127.0.0.0/8, 10.66.0.2 }} {drop}",
        "ip daddr { 10.66.0.2 } accept",
        f"ip6 saddr {{ ::1, fd66::2 }} {drop}",
        "ip6 daddr { fd66::2 } accept",
        drop,
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
