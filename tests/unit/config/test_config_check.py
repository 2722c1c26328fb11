"""What is wrong only between files."""

from pathlib import PurePosixPath

import pytest

from wgconfine.config.check import (
    check_all,
    check_conf,
    check_keys,
    parse_conf,
    private_key,
    remarks_on_inbound,
)
from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Settings

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
CONF = PurePosixPath("/etc/wireguard/vpn.conf")


def tunnel(more: str = "", name: str = "vpn", config: str = "") -> Settings:
    return named(name, f'config = "{config or CONF}"\n{more}')


def inline(name: str, source: str) -> Settings:
    """A tunnel without a `.conf`; `source` is the line that says where its key is."""
    peer = f'[[peer]]\npublic-key = "{KEY}"\n'
    return named(name, f'address = ["10.0.0.2"]\ndns = []\n{source}\n{peer}')


def named(name: str, text: str) -> Settings:
    return parse_settings(name, [(PurePosixPath(f"/etc/wgconfine/{name}.toml"), text)])


def conf_text(interface: str = "DNS = 10.64.0.1", allowed_ips: str = "0.0.0.0/0, ::/0") -> bytes:
    return (
        f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.66.0.2\n{interface}\n"
        f"[Peer]\nPublicKey = {KEY}\nAllowedIPs = {allowed_ips}\n"
    ).encode()


def together(settings: Settings, conf: bytes) -> list[str]:
    return [str(problem) for problem in check_conf(parse_conf(CONF, conf), settings, CONF)]


def test_endpoints_and_a_conf_of_several_peers() -> None:
    """Of which of them would not be known."""
    conf = conf_text() + f"[Peer]\nPublicKey = {KEY.replace('y', 'z', 1)}\n".encode()
    found = together(tunnel('endpoints = ["a.example:1"]'), conf)
    where = "/etc/wgconfine/vpn.toml: endpoints"
    what = f"they are of one peer, and {CONF} has 2. Give each peer its own endpoint instead."
    assert [f"{where}: {what}"] == found


def test_a_pinned_peer_without_an_endpoint() -> None:
    """It could be anywhere; with endpoints it is there."""
    where = "/etc/wgconfine/vpn.toml: pin-endpoint"
    assert [f"{where}: {CONF}:5: this [Peer] has no Endpoint. Write one there."] == together(
        tunnel("pin-endpoint = true"), conf_text()
    )
    good = tunnel('pin-endpoint = true\nendpoints = ["a.example:1"]')
    declared = conf_text() + b"Endpoint = a.example:1\n"
    assert [] == together(good, conf_text())
    assert [] == together(tunnel("pin-endpoint = true"), declared)


def test_one_mark_of_two_tunnels() -> None:
    """The one would drop what the other sends."""
    pinned = tunnel("fwmark = 7\npin-endpoint = true", name="a", config="/etc/wireguard/a.conf")
    others = [
        tunnel(f"fwmark = {mark}", name=name, config=f"/etc/wireguard/{name}.conf")
        for mark, name in ((7, "b"), (8, "c"))
    ]
    where = "/etc/wgconfine/a.toml: pin-endpoint: /etc/wgconfine/b.toml has the mark 7, too."
    assert [f"{where} Give fwmark, a number of its own for each."] == [
        str(each) for each in check_all([pinned, *others])
    ]


def test_a_service_in_two_tunnels() -> None:
    """It can be in one only; the later tunnel is told."""
    tunnels = [
        tunnel('services = ["b.service", "a.service"]', "two", "/etc/2.conf"),
        tunnel('services = ["a.service"]', "one", "/etc/1.conf"),
        tunnel('services = ["c.service"]', "three", "/etc/3.conf"),
    ]
    assert [
        (
            "/etc/wgconfine/two.toml: services: 'a.service' is also a service of "
            "/etc/wgconfine/one.toml. Keep it in one tunnel."
        )
    ] == [str(problem) for problem in check_all(tunnels)]


def test_tunnels_that_share_nothing() -> None:
    """They are fine together."""
    tunnels = [
        tunnel('services = ["a.service"]', name="one"),
        tunnel(name="two", config="/etc/2.conf"),
        inline("three", 'private-key-file = "/etc/wgconfine/x"'),
        inline("four", 'private-key-credential = "x"'),
    ]
    assert [] == check_all(tunnels)


@pytest.mark.parametrize(
    ("one", "two", "problem"),
    [
        (tunnel(name="one"), tunnel(name="two"), f"config: '{CONF}'"),
        (
            inline("one", 'private-key-file = "/etc/k"'),
            inline("two", 'private-key-file = "/etc/k"'),
            "private-key-file: '/etc/k'",
        ),
        (
            inline("one", 'private-key-credential = "k"'),
            inline("two", 'private-key-credential = "k"'),
            "private-key-credential: 'k'",
        ),
        (
            named("one", 'config-credential = "k"'),
            named("two", 'config-credential = "k"'),
            "config-credential: 'k'",
        ),
    ],
)
def test_two_tunnels_with_one_key(one: Settings, two: Settings, problem: str) -> None:
    """The far side would answer now the one and now the other: known without reading a secret."""
    assert [
        (
            f"/etc/wgconfine/two.toml: {problem} is also that of /etc/wgconfine/one.toml. "
            "Get one for each tunnel: two with the same key cut each other off."
        )
    ] == [str(problem) for problem in check_all([two, one])]


def test_a_tunnel_that_is_off_disturbs_nobody() -> None:
    """`enable = false` is how one of two is kept for later."""
    assert [] == check_all([tunnel(name="one"), tunnel("enable = false", name="two")])


OTHER = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
SAME_TO_PEERS = "zQnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBuk="
"""KEY with other bits where they do not count."""


@pytest.mark.parametrize("second", [KEY, SAME_TO_PEERS])
def test_two_places_of_one_key(second: str) -> None:
    """Both are named, the key is not; what is the same key for a peer is the same here."""
    keys = [
        private_key(tunnel(config="/etc/b.conf"), "/etc/b.conf:7", second),
        private_key(tunnel(config="/etc/c.conf"), "/etc/c.conf:2", OTHER),
        private_key(tunnel(config="/etc/a.conf"), "/etc/a.conf:2", KEY),
    ]
    assert [
        (
            "/etc/b.conf:7: the private key is also that of /etc/a.conf:2. "
            "Get one for each tunnel: two with the same key cut each other off."
        )
    ] == [str(problem) for problem in check_keys(keys)]
    assert KEY not in repr(keys)


def test_one_place_of_one_key() -> None:
    """That two tunnels name the same file is told from the settings alone, and once."""
    key = private_key(tunnel(), "/etc/a.conf:2", KEY)
    assert [] == check_keys([key, key])


def test_a_conf_that_is_fine() -> None:
    """The settings and the `.conf` agree."""
    assert [] == together(tunnel(), conf_text())


def test_no_resolver_anywhere() -> None:
    """Neither the settings nor the `.conf` name one: the host's is never taken."""
    assert [
        (
            "/etc/wgconfine/vpn.toml: dns: no resolver is named, neither here nor as DNS in "
            "/etc/wireguard/vpn.conf. "
            'Write dns = ["ADDRESS"] with the provider\'s resolver, or dns = [] for none.'
        )
    ] == together(tunnel(), conf_text("DNS = corp.example"))


@pytest.mark.parametrize(
    "dns", ["[]", '["10.64.0.1"]', '["fc00::1", "10.64.0.1"]', '["127.0.0.1"]']
)
def test_the_settings_have_a_resolver(dns: str) -> None:
    """None on purpose, one that is reached, one of two, or a service inside."""
    assert [] == together(tunnel(f"dns = {dns}"), conf_text(""))


def test_a_resolver_of_a_family_without_address() -> None:
    """The place is that of the file that names it."""
    expected = (
        "fc00::1: the tunnel has no address or no AllowedIPs for that. "
        "Name a resolver that the tunnel leads to."
    )
    assert [f"/etc/wireguard/vpn.conf:4: {expected}"] == together(
        tunnel(), conf_text("DNS = fc00::1")
    )
    assert [f"/etc/wgconfine/vpn.toml: dns: {expected}"] == together(
        tunnel('dns = ["fc00::1"]'), conf_text()
    )


def test_a_resolver_outside_of_allowed_ips() -> None:
    """WireGuard would drop what is sent to it."""
    assert [
        (
            "/etc/wireguard/vpn.conf:4: 10.64.0.1, 10.64.0.2: "
            "the tunnel has no address or no AllowedIPs for that. "
            "Name a resolver that the tunnel leads to."
        )
    ] == together(tunnel(), conf_text("DNS = 10.64.0.1, 10.64.0.2", "192.0.2.0/24"))


def test_the_settings_have_a_small_mtu() -> None:
    """It is that of the settings which counts, with the addresses of the `.conf`."""
    assert [
        (
            "/etc/wgconfine/vpn.toml: mtu: "
            "1200 is less than 1280, which the IPv6 address fc00::2/128 needs. "
            "Give more, or take the IPv6 address away."
        )
    ] == together(tunnel("mtu = 1200"), conf_text("DNS = 10.0.0.1\nAddress = fc00::2"))


def test_a_misspelt_key_of_a_conf() -> None:
    """A guess is made, which the runtime has no time for."""
    with pytest.raises(ProblemsFound) as caught:
        parse_conf(CONF, conf_text("Adress = fc00::2\nPostUp = x"))
    assert (
        "/etc/wireguard/vpn.conf:4: the key Adress is unknown. Did you mean 'Address'?\n"
        "/etc/wireguard/vpn.conf:5: PostUp is refused, for a command of a .conf is never run. "
        "Remove the line: wgconfine itself is the kill switch."
    ) == str(caught.value)


def test_problems_without_a_line() -> None:
    """The file alone is named."""
    with pytest.raises(ProblemsFound) as caught:
        parse_conf(CONF, b"")
    assert (
        "/etc/wireguard/vpn.conf: there is no [Interface].\n"
        "/etc/wireguard/vpn.conf: there is no [Peer], so nothing can be reached."
    ) == str(caught.value)


def test_what_the_settings_decide_is_no_warning() -> None:
    """ListenPort and FwMark of a `.conf` matter only where the settings are silent."""
    conf = conf_text("ListenPort = 1\nFwMark = 1")
    assert 2 == len(parse_conf(CONF, conf).warnings)
    assert 1 == len(parse_conf(CONF, conf, tunnel("fwmark = 5")).warnings)
    assert [] == parse_conf(CONF, conf, tunnel("fwmark = 0\nlisten-port = 5")).warnings


def test_bytes_that_are_no_text() -> None:
    """The line is named."""
    with pytest.raises(ProblemsFound) as caught:
        parse_conf(CONF, b"\n\xff")
    expected = "/etc/wireguard/vpn.conf:2: the file is not UTF-8 text here. Save the file as UTF-8."
    assert expected == str(caught.value)


INBOUND = "[inbound]\nudp = [51413]\n"
ENDPOINT = "Endpoint = 192.0.2.1:51820"
ALL = "AllowedIPs = ::/0"


def arriving(settings: Settings, *peer: str) -> list[str]:
    """What is said of a tunnel whose one peer has these lines beside its key."""
    text = conf_text().decode().replace("AllowedIPs = 0.0.0.0/0, ::/0", "\n".join(peer))
    peers = parse_conf(CONF, text.encode()).peers
    return [str(remark) for remark in remarks_on_inbound(settings, peers)]


def test_inbound_ports_that_nothing_can_arrive_on() -> None:
    """The peer may send nothing, or neither side knows where the other is."""
    where = "/etc/wgconfine/vpn.toml: inbound"
    what = "nothing can arrive: no peer has AllowedIPs. Name who may send."
    assert [f"{where}: {what}"] == arriving(tunnel(INBOUND), ENDPOINT)
    what = (
        "nothing can arrive: no peer has an endpoint, and there is no listen-port. "
        "Name the one or the other."
    )
    assert [f"{where}: {what}"] == arriving(tunnel(INBOUND), ALL)


def test_inbound_ports_behind_nat() -> None:
    """Without a packet now and then a router forgets the way back."""
    assert [
        (
            "/etc/wgconfine/vpn.toml: inbound: behind NAT nothing arrives after a pause: no peer "
            "has PersistentKeepalive. Set it to 25 seconds, unless this machine can always be "
            "reached."
        )
    ] == arriving(tunnel(INBOUND), ALL, ENDPOINT)


@pytest.mark.parametrize(
    ("settings", "peer"),
    [
        ("", [ENDPOINT]),
        ("[inbound]\ntcp = []\n", [ENDPOINT]),
        (INBOUND, [ALL, ENDPOINT, "PersistentKeepalive = 25"]),
        (f"listen-port = 51820\n{INBOUND}", [ALL]),
    ],
)
def test_inbound_ports_that_are_fine(settings: str, peer: list[str]) -> None:
    """None, kept open by a packet now and then, or a peer that calls."""
    assert [] == arriving(tunnel(settings), *peer)
