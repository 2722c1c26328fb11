"""What wg(8) and ip(8) are told about the link."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config import wgquick
from wgconfine.runtime import link

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
OTHER = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
SECRET = "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ="

CONF = f"""\
[Interface]
PrivateKey = {SECRET}
Address = 10.66.0.2/32, fd66::2/128
DNS = 10.64.0.1
[Peer]
PublicKey = {KEY}
PresharedKey = {OTHER}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 192.0.2.1:51820
PersistentKeepalive = 25
[Peer]
PublicKey = {OTHER}
AllowedIPs = 10.0.0.0/8
Endpoint = vpn.example.net:51820
"""


def conf(text: str = CONF) -> wgquick.Conf:
    return wgquick.parse(text, "vpn.conf")


def test_writes_wgs_own_format() -> None:
    """No key of wg-quick's; a peer whose name must be looked up comes without Endpoint."""
    assert link.wg_config(conf()) == (
        f"[Interface]\nPrivateKey = {SECRET}\n"
        f"[Peer]\nPublicKey = {KEY}\nPresharedKey = {OTHER}\nAllowedIPs = 0.0.0.0/0, ::/0\n"
        "Endpoint = 192.0.2.1:51820\nPersistentKeepalive = 25\n"
        f"[Peer]\nPublicKey = {OTHER}\nAllowedIPs = 10.0.0.0/8\nPersistentKeepalive = 0\n"
    )


def test_a_peer_without_networks_has_no_such_line() -> None:
    """wg(8) takes no empty list; the heading alone replaces what the peer had."""
    lone = conf(CONF.replace("AllowedIPs = 10.0.0.0/8\n", ""))

    assert link.wg_config(lone).endswith(f"[Peer]\nPublicKey = {OTHER}\nPersistentKeepalive = 0\n")


def test_only_a_declared_port_is_written() -> None:
    """Without one a new link gets a port from the kernel."""
    declared = conf()
    declared.listen_port = 4711

    assert "ListenPort" not in link.wg_config(conf())
    assert "ListenPort = 4711\n" in link.wg_config(declared)


def test_fwmark_is_written_where_it_is_set() -> None:
    """As hexadecimal, as wg shows it."""
    marked = conf()
    marked.fwmark = 51820

    assert "FwMark = 0xca6c\n" in link.wg_config(marked)


def test_an_ipv6_endpoint_stands_in_brackets() -> None:
    """wg(8) would not know where its port begins."""
    assert link.endpoint_text("2001:db8::1", 51820) == "[2001:db8::1]:51820"


def test_routes_are_the_allowed_ips_each_once() -> None:
    """In their order; what no peer has is not routed."""
    text = CONF.replace("10.0.0.0/8", "10.0.0.0/8, ::/0")

    assert ["0.0.0.0/0", "::/0", "10.0.0.0/8"] == link.wanted_routes(conf(text), ipv6=True)


def test_a_family_without_an_address_has_no_route() -> None:
    """As with providers of IPv4 alone, whose AllowedIPs have ::/0 all the same."""
    text = CONF.replace("10.66.0.2/32, fd66::2/128", "10.66.0.2/32")

    assert ["0.0.0.0/0", "10.0.0.0/8"] == link.wanted_routes(conf(text), ipv6=True)


def test_without_ipv6_nothing_of_it_is_wanted() -> None:
    """On a kernel started with ipv6.disable=1."""
    assert ["10.66.0.2/32"] == link.wanted_addresses(conf(), ipv6=False)
    assert ["0.0.0.0/0", "10.0.0.0/8"] == link.wanted_routes(conf(), ipv6=False)


def test_the_link_is_up_before_its_routes() -> None:
    """The kernel refuses a route over a link that is down."""
    assert link.bring_up(["10.66.0.2/32"], ["0.0.0.0/0"], 1420) == [
        "address replace 10.66.0.2/32 dev wg0",
        "link set dev wg0 mtu 1420 up",
        "route replace 0.0.0.0/0 dev wg0",
    ]


def test_leftovers_are_what_is_no_longer_wanted() -> None:
    """And nothing else: a route that stays is never taken away in between."""
    live = link.Live("wireguard", ["10.66.0.2/32", "10.66.0.9/32"], ["0.0.0.0/0", "10.0.0.0/8"])

    assert live.leftovers(["10.66.0.2/32"], ["0.0.0.0/0"]) == [
        "route del 10.0.0.0/8 dev wg0",
        "address del 10.66.0.9/32 dev wg0",
    ]


NETWORKS = st.lists(st.sampled_from(["0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8"]), unique=True)


@given(there=NETWORKS, wanted=NETWORKS)
def test_what_is_wanted_is_never_left_over(there: list[str], wanted: list[str]) -> None:
    """Replacing what is wanted and deleting what is left over gives exactly what is wanted."""
    removed = {line.split()[2] for line in link.Live("", [], there).leftovers([], wanted)}

    assert set(wanted) == (set(there) | set(wanted)) - removed


@pytest.mark.parametrize(
    ("destination", "everything", "full"),
    [
        ("default", "0.0.0.0/0", "0.0.0.0/0"),
        ("default", "::/0", "::/0"),
        ("10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/8"),
        ("192.0.2.7", "0.0.0.0/0", "192.0.2.7/32"),
        ("fd00::7", "::/0", "fd00::7/128"),
    ],
)
def test_a_destination_gets_its_prefix_length(destination: str, everything: str, full: str) -> None:
    """ip(8) leaves it out of the default route and of single addresses."""
    assert full == link.full_prefix(destination, everything)


ROUTE = "192.0.2.1 via 10.0.0.1 dev missing0 src 10.0.0.2 uid 0 \n    cache "


@pytest.mark.parametrize(
    ("output", "mtu"),
    [
        ("", None),
        ("RTNETLINK answers: Network is unreachable\n", None),
        (ROUTE, 1500),
        (f"{ROUTE}expires 594sec mtu 1400 \n", 1400),
        ("192.0.2.1 dev lo mtu lock 1380 src 10.0.0.2 \n", 1380),
        (f"{ROUTE}mtu 1400\n{ROUTE}mtu 1350\n", 1350),
    ],
)
def test_the_smallest_path_mtu_counts(output: str, mtu: int | None) -> None:
    """Of what `ip route get` prints for each endpoint; a link that is gone counts as 1500."""
    assert mtu == link.mtu_of_routes(output)


def test_a_route_without_its_own_mtu_has_that_of_its_link() -> None:
    """Every machine has lo."""
    expected = int(Path("/sys/class/net/lo/mtu").read_text(encoding="ascii"))

    assert expected == link.mtu_of_routes("local 127.0.0.1 dev lo src 127.0.0.1 uid 0\n")


def test_the_way_to_names_is_not_asked_for() -> None:
    """They are not known yet: wgconfine-endpoint@ sets the MTU when they are."""
    assert ["route get 192.0.2.1"] == link.routes_to_ask_for(conf(), via=False)


def test_a_declared_mtu_is_not_asked_for() -> None:
    """The owner has decided."""
    declared = conf()
    declared.mtu = 1380

    assert [] == link.routes_to_ask_for(declared, via=False)


def test_links_are_read_from_this_process_own_namespace() -> None:
    """At least lo is there."""
    assert "lo" in link.names_in_this_namespace()


LIVE = f"""\
[Interface]
ListenPort = 4711
PrivateKey = {SECRET}

[Peer]
PublicKey = {OTHER}
AllowedIPs = 10.0.0.0/8
Endpoint = 203.0.113.7:51820

[Peer]
PublicKey = {KEY}
PresharedKey = {OTHER}
AllowedIPs = ::/0, 0.0.0.0/0
Endpoint = 192.0.2.1:51820
PersistentKeepalive = 25
"""
"""What `wg showconf` says once CONF is in force, in an order of its own."""


PEER = f"[Peer]\nPublicKey = {KEY}\n"
PEER_OTHER = f"[Peer]\nPublicKey = {OTHER}\n"
ALL = "AllowedIPs = 0.0.0.0/0, ::/0\n"
NO_SECRET = f"PresharedKey = {'A' * 43}=\n"
THIRD = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
FURTHER = f"[Peer]\nPublicKey = {THIRD}\n"


def changes(*replaced: tuple[str, str], live: str = LIVE) -> tuple[str, list[str]]:
    """What is set for a .conf that has something replaced, and who is removed."""
    text = CONF
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    found = link.Changes(live, link.wg_config(conf(text)))
    assert found.peers == found.text.count("[Peer]")
    assert [] == found.first
    return found.text, found.gone


def test_what_is_in_force_is_not_set_again() -> None:
    """The endpoint that a look-up has found is not in question, nor is a port of the link's own."""
    assert ("", []) == changes()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("Address", "ListenPort = 4712\nAddress", "[Interface]\nListenPort = 4712\n"),
        ("Address", "FwMark = 7\nAddress", "[Interface]\nFwMark = 0x7\n"),
        (SECRET, KEY, f"[Interface]\nPrivateKey = {KEY}\n"),
        (f"PresharedKey = {OTHER}\n", "", PEER + ALL + NO_SECRET),
        (f"PresharedKey = {OTHER}", f"PresharedKey = {KEY}",
         f"{PEER}PresharedKey = {KEY}\n{ALL}"),
        ("10.0.0.0/8", "10.0.0.0/9", f"{PEER_OTHER}AllowedIPs = 10.0.0.0/9\n"),
        ("10.0.0.0/8", "192.0.2.0/24, 10.0.0.0/8",
         f"{PEER_OTHER}AllowedIPs = 10.0.0.0/8, 192.0.2.0/24\n"),
        ("AllowedIPs = 10.0.0.0/8\n", "", PEER_OTHER),
        ("0.0.0.0/0, ::/0", "::/0", f"{PEER}AllowedIPs = ::/0\n"),
        ("192.0.2.1:51820", "192.0.2.1:51821",
         f"{PEER}Endpoint = 192.0.2.1:51821\n{ALL}"),
        ("vpn.example.net:51820", "192.0.2.9:1",
         f"{PEER_OTHER}AllowedIPs = 10.0.0.0/8\nEndpoint = 192.0.2.9:1\n"),
        ("Endpoint = 192.0.2.1:51820\n", "", ""),
        ("PersistentKeepalive = 25\n", "", f"{PEER}{ALL}PersistentKeepalive = 0\n"),
        ("vpn.example.net:51820", "vpn.example.net:51820\nPersistentKeepalive = 9",
         f"{PEER_OTHER}AllowedIPs = 10.0.0.0/8\nPersistentKeepalive = 9\n"),
    ],
)  # fmt: skip
def test_what_differs_is_set_and_nothing_else(old: str, new: str, text: str) -> None:
    """A [Peer] has all of its networks, as it begins with none; an endpoint stays."""
    found, gone = changes((old, new))
    assert sorted(text.splitlines()) == sorted(found.splitlines())
    assert text.splitlines()[:2] == found.splitlines()[:2]
    assert [] == gone


WHOLE_OTHER = f"{PEER_OTHER}AllowedIPs = 10.0.0.0/8\nEndpoint = vpn.example.net:51820\n"
ONE = CONF.replace(WHOLE_OTHER, "")
LIVE_ONE = LIVE.replace(
    f"{PEER_OTHER}AllowedIPs = 10.0.0.0/8\nEndpoint = 203.0.113.7:51820\n\n", ""
)


@pytest.mark.parametrize("before", ["", "Endpoint = 192.0.2.2:51820\n"])
def test_one_peer_that_is_elsewhere_is_made_anew(before: str) -> None:
    """With all that is said of it; one that had no endpoint as well."""
    live = LIVE_ONE.replace("Endpoint = 192.0.2.1:51820\n", before)
    found = link.Changes(live, link.wg_config(conf(ONE)), afresh=True)
    said = ONE[ONE.index("[Peer]") :].splitlines()
    assert sorted(filter(None, said)) == sorted(found.text.splitlines())
    assert ([KEY], []) == (found.first, found.gone)


@pytest.mark.parametrize(
    ("live", "text"),
    [
        (LIVE_ONE, ONE),
        (LIVE_ONE, ONE.replace("192.0.2.1:51820", "vpn.example.net:51820")),
        (LIVE, CONF.replace("192.0.2.1:51820", "192.0.2.1:9")),
        (LIVE, ONE.replace("192.0.2.1:51820", "192.0.2.1:9")),
        (LIVE_ONE, CONF.replace("192.0.2.1:51820", "192.0.2.1:9")),
    ],
    ids=["at home", "not known", "one of two", "one that was of two", "one that becomes of two"],
)
def test_no_other_peer_is_made_anew(live: str, text: str) -> None:
    """While it is away its packets would be encrypted for another peer with a wider network."""
    assert [] == link.Changes(live, link.wg_config(conf(text)), afresh=True).first


BEGINS = ("wg", "set", "wg0", "peer", KEY, "remove", "peer", KEY)
SETS = ("endpoint", "192.0.2.1:51820", "persistent-keepalive", "off", "allowed-ips")
MANY = " ".join(f"10.{n >> 8}.{n & 255}.0/24" for n in range(12_000))


@pytest.mark.parametrize(
    ("allowed", "secret", "expected"),
    [
        ("0.0.0.0/0 ::/0", "s3cret",
         (*BEGINS, *SETS, "0.0.0.0/0,::/0", "preshared-key", "/proc/self/fd/0")),
        (link.NONE, link.NONE, (*BEGINS, *SETS, "")),
        (MANY, "s3cret", ("wg", "set", "wg0", "peer", KEY, "endpoint", "192.0.2.1:51820")),
    ],
    ids=["all", "nothing", "more than an argument holds"],
)  # fmt: skip
def test_another_endpoint_comes_with_a_peer_that_has_no_session(
    monkeypatch: pytest.MonkeyPatch, allowed: str, secret: str, expected: tuple[str, ...]
) -> None:
    """All that was set of the peer is kept, and its secret goes the way that no argument goes."""
    shown = {"preshared-keys": secret, "allowed-ips": allowed, "persistent-keepalive": "off"}
    calls: list[tuple[tuple[str, ...], str]] = []

    def run(*command: str, text: str = "") -> str:
        calls.append((command, text))
        return f"other\t(none)\n{KEY}\t{shown[command[3]]}\n" if command[1] == "show" else ""

    monkeypatch.setattr(link, "run", run)

    link.start_over("wg0", KEY, "192.0.2.1:51820")

    command, text = calls[-1]
    assert expected == command
    assert ("preshared-key" not in command) or text == secret


def test_what_is_said_to_be_absent_is_in_force() -> None:
    """A preshared key of zeros is none."""
    zeros = f"PresharedKey = {'A' * 43}=\n"
    live = LIVE.replace(f"PresharedKey = {OTHER}\n", "")
    assert ("", []) == changes((f"PresharedKey = {OTHER}\n", zeros), live=live)


def test_a_mark_is_taken_away() -> None:
    """The source port of the link stays."""
    marked = LIVE.replace("ListenPort = 4711", "ListenPort = 4711\nFwMark = 0xca6c")
    assert ("[Interface]\nFwMark = 0\n", []) == changes(live=marked)


def test_a_peer_that_is_gone_is_removed() -> None:
    """And one that is new comes, even if nothing is said of it."""
    whole = f"{PEER_OTHER}AllowedIPs = 10.0.0.0/8\nEndpoint = vpn.example.net:51820\n"
    assert ("", [OTHER]) == changes((whole, ""))
    assert (FURTHER, [OTHER]) == changes((whole, FURTHER))


def test_a_network_that_moves_is_told_to_both() -> None:
    """Whoever is told first: each takes what is its own, and leaves what is the other's."""
    swapped = (("0.0.0.0/0, ::/0", "@, ::/0"), ("10.0.0.0/8", "0.0.0.0/0"), ("@", "10.0.0.0/8"))
    text = f"{PEER}AllowedIPs = 10.0.0.0/8, ::/0\n{PEER_OTHER}AllowedIPs = 0.0.0.0/0\n"
    assert (text, []) == changes(*swapped)


def test_a_network_of_two_peers_is_the_lasts() -> None:
    """As it is live already: the first does not take it back."""
    both = ("0.0.0.0/0, ::/0", "0.0.0.0/0, ::/0, 10.0.0.0/8")
    assert ("", []) == changes(both)
    mine = both, ("AllowedIPs = 10.0.0.0/8\n", "AllowedIPs = ::/0\n")
    text = f"{PEER}AllowedIPs = 0.0.0.0/0, 10.0.0.0/8\n{PEER_OTHER}AllowedIPs = ::/0\n"
    assert (text, []) == changes(*mine)


@pytest.mark.parametrize(
    ("addresses", "path", "mtu"),
    [
        (["10.0.0.2/32"], 1420, 1340),
        (["10.0.0.2/32"], None, 1340),
        (["10.0.0.2/32"], 1280, 1200),
        (["10.0.0.2/32", "fd00::2/128"], 1340, 1280),
        (["fd00::2/128"], 1400, 1320),
    ],
)
def test_through_another_tunnel_its_link_is_the_way(
    addresses: list[str], path: int | None, mtu: int
) -> None:
    """Less 80 bytes, and never less than IPv6 takes; of one that is not up yet the default."""
    found = conf()
    found.addresses = addresses

    assert ["link show dev wg0"] == link.routes_to_ask_for(found, via=True)
    assert mtu == link.mtu_of(found, path, via=True)


def test_the_mtu_of_a_way_without_another_tunnel() -> None:
    """wg-quick's rule, but for what IPv6 takes; a declared one goes before it."""
    four, both = conf(), conf()
    four.addresses, both.addresses = ["10.0.0.2/32"], ["10.0.0.2/32", "fd00::2/128"]
    ways = (None, 1460, 1300)
    assert [1420, 1380, 1220] == [link.mtu_of(four, path, via=False) for path in ways]
    assert [1420, 1380, 1280] == [link.mtu_of(both, path, via=False) for path in ways]
    declared = conf()
    declared.mtu = 1300
    assert 1300 == link.mtu_of(declared, 1460, via=True)
