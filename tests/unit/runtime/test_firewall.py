"""The table of a tunnel's namespace, as text; what it does is tried in tests/netns."""

from wgconfine.runtime.firewall import ruleset

QUERY = "meta l4proto { tcp, udp } th dport 53"
OTHER = "meta l4proto { tcp, udp } th dport { 853, 5353, 5355 }"
REJECT, REJECT_OTHER = (f'counter reject comment "{each}"' for each in ("dns", "dns-other"))


def chain(text: str, name: str) -> list[str]:
    """The rules of one chain, without its head."""
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {name} {{")
    return [line for line in lines[start + 2 : lines.index("}", start)] if line]


def test_without_a_resolver_every_query_is_rejected() -> None:
    """Both families, and none is sent elsewhere."""
    text = ruleset([])

    assert [] == chain(text, "resolver")
    assert [
        f"meta nfproto ipv4 {QUERY} {REJECT}",
        f"meta nfproto ipv4 {OTHER} {REJECT_OTHER}",
        f"meta nfproto ipv6 {QUERY} {REJECT}",
        f"meta nfproto ipv6 {OTHER} {REJECT_OTHER}",
    ] == chain(text, "output")[:4]


def test_a_family_without_a_resolver_keeps_its_reject() -> None:
    """IPv4 alone is declared: IPv6 queries have nowhere to go."""
    text = ruleset(["10.64.0.1"])

    assert [f"{QUERY} ip daddr != {{ 10.64.0.1 }} dnat ip to 10.64.0.1"] == chain(text, "resolver")
    assert f"meta nfproto ipv6 {QUERY} {REJECT}" in chain(text, "output")
    assert f"meta nfproto ipv4 {QUERY} {REJECT}" not in chain(text, "output")


def test_queries_go_to_the_first_resolver_of_their_family() -> None:
    """The others are left alone: a service may ask them, too."""
    text = ruleset(["10.64.0.1", "fd00::53", "10.64.0.2"])

    assert [
        f"{QUERY} ip daddr != {{ 10.64.0.1, 10.64.0.2 }} dnat ip to 10.64.0.1",
        f"{QUERY} ip6 daddr != ::1 ip6 daddr != {{ fd00::53 }} dnat ip6 to fd00::53",
    ] == chain(text, "resolver")


def test_what_was_not_redirected_is_rejected_all_the_same() -> None:
    """Should the redirection not work, the query does not leave either."""
    assert f"{QUERY} ip daddr != {{ 10.64.0.1 }} {REJECT}" in chain(
        ruleset(["10.64.0.1"]), "output"
    )


def test_other_ports_of_look_ups_are_for_declared_resolvers_alone() -> None:
    """Each family by itself; none is redirected, since another would answer than was asked."""
    text = ruleset(["10.64.0.1", "fd00::53", "10.64.0.2"])

    assert [
        f"{OTHER} ip daddr != {{ 10.64.0.1, 10.64.0.2 }} {REJECT_OTHER}",
        f"{OTHER} ip6 daddr != {{ fd00::53 }} {REJECT_OTHER}",
    ] == [rule for rule in chain(text, "output") if rule.startswith(OTHER)]
    assert [] == [rule for rule in chain(text, "resolver") if OTHER in rule]


def test_queries_are_judged_before_the_tunnel_lets_anything_out() -> None:
    """Rules are read in order: the accept must come after every reject of a query."""
    rules = chain(ruleset(["10.64.0.1"]), "output")

    assert [
        'oifname { "lo", "wg0" } accept',
        "counter reject with icmpx type admin-prohibited",
    ] == rules[-2:]


def test_every_filter_drops_by_default() -> None:
    """Output, input and forward."""
    heads = [line for line in ruleset([]).splitlines() if "type filter" in line]

    assert [True, True, True] == ["policy drop" in head for head in heads]


def test_the_table_is_replaced_in_one_transaction() -> None:
    """`add` first, so that the delete can't fail; there is no moment without the table."""
    assert [
        "add table inet wgconfine",
        "delete table inet wgconfine",
        "table inet wgconfine {",
    ] == ruleset([]).splitlines()[:3]
