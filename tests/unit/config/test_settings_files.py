"""NAME.toml and NAME.d/*.toml: what they become, and the exact words about what is wrong."""

from hashlib import sha256
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import PurePosixPath

import pytest

from wgconfine.config.escape import quote
from wgconfine.config.settings import parse_settings, parse_tunnel_name
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import (
    Backend,
    ConfCredential,
    ConfFile,
    Endpoint,
    Hardening,
    Inline,
    OnLeak,
    Peer,
    Ready,
    Refinement,
    Settings,
    UnitName,
    VerifySettings,
)

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
OTHER_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
CONFIG = 'config = "/etc/wireguard/vpn.conf"\n'
INLINE = """\
address = ["10.66.0.2/32"]
private-key-file = "/etc/wgconfine/vpn.key"
dns = ["10.64.0.1"]
"""
PEER = f'[[peer]]\npublic-key = "{OTHER_KEY}"\n'
FILE = PurePosixPath("/etc/wgconfine/vpn.toml")
FRAGMENT = PurePosixPath("/etc/wgconfine/vpn.d/10-more.toml")


def read(text: str, *fragments: str, name: str = "vpn") -> Settings:
    return parse_settings(name, [(FILE, text), *((FRAGMENT, fragment) for fragment in fragments)])


def problems(text: str, *fragments: str, name: str = "vpn") -> list[str]:
    """Give the messages, without the directory."""
    with pytest.raises(ProblemsFound) as caught:
        read(text, *fragments, name=name)
    return [line.replace("/etc/wgconfine/", "") for line in str(caught.value).split("\n")]


def ended(problem: str) -> str:
    """A problem as it is shown: what ends in a question has no full stop behind it."""
    return problem if problem.endswith("?") else f"{problem}."


def test_the_shortest_settings() -> None:
    """A `.conf` is all that a tunnel needs; the rest has its default."""
    assert Settings(
        name=parse_tunnel_name("vpn"),
        path=FILE,
        digest=sha256(CONFIG.encode()).hexdigest(),
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        enable=True,
        services=(),
        backend=Backend.AUTO,
        dns=None,
        mtu=None,
        listen_port=None,
        fwmark=None,
    ) == read(CONFIG)


def test_every_key_beside_a_conf() -> None:
    """Each is read into its own type."""
    settings = read(
        CONFIG + 'enable = false\nservices = ["a.service", "x@b.service"]\nbackend = "userspace"\n'
        'dns = ["10.64.0.1", "FC00::1"]\nmtu = 1380\nlisten-port = 51820\nfwmark = 0xca6c\n'
    )
    assert (False, ("a.service", "x@b.service"), Backend.USERSPACE) == (
        settings.enable,
        settings.services,
        settings.backend,
    )
    assert (ip_address("10.64.0.1"), ip_address("fc00::1")) == settings.dns
    assert (1380, 51820, 0xCA6C) == (settings.mtu, settings.listen_port, settings.fwmark)


def test_every_key_of_an_inline_tunnel() -> None:
    """Each is read into its own type; networks lose their host bits."""
    settings = read(
        'address = ["10.66.0.2", "fc00::2/64"]\nprivate-key-credential = "vpn.key"\ndns = []\n'
        + PEER
        + 'endpoint = "vpn.example.net:51820"\nallowed-ips = ["10.1.2.3/8"]\n'
        'preshared-key-file = "/etc/wgconfine/vpn.psk"\npersistent-keepalive = 25\n'
    )
    assert (
        Inline(
            address=(ip_interface("10.66.0.2/32"), ip_interface("fc00::2/64")),
            peers=(
                Peer(
                    public_key=OTHER_KEY,
                    endpoint=Endpoint(host="vpn.example.net", port=51820),
                    allowed_ips=(ip_network("10.0.0.0/8"),),
                    preshared_key_file=PurePosixPath("/etc/wgconfine/vpn.psk"),
                    persistent_keepalive=25,
                ),
            ),
            private_key_credential="vpn.key",
        )
        == settings.wireguard
    )
    assert () == settings.dns


def test_the_defaults_of_a_peer() -> None:
    """It gets everything, is not called and is not kept alive."""
    settings = read(INLINE + PEER)
    assert isinstance(settings.wireguard, Inline)
    assert (
        Peer(public_key=OTHER_KEY, allowed_ips=(ip_network("0.0.0.0/0"), ip_network("::/0")))
        == settings.wireguard.peers[0]
    )


@pytest.mark.parametrize("value", ['"off"', "0"])
def test_keepalive_is_off(value: str) -> None:
    """Both ways of wg(8) to say so."""
    settings = read(f"{INLINE}{PEER}persistent-keepalive = {value}")
    assert isinstance(settings.wireguard, Inline)
    assert settings.wireguard.peers[0].persistent_keepalive is None


def test_fragments_add_to_lists() -> None:
    """The files of NAME.d, in their order; addresses and resolvers only once."""
    settings = read(
        INLINE + 'services = ["a.service"]\n' + PEER,
        'services = ["b.service"]\ndns = ["10.64.0.2", "10.64.0.1"]\naddress = ["fc00::2"]',
        f'services = ["c.service"]\n[[peer]]\npublic-key = "{KEY}"\nallowed-ips = ["10.0.0.0/8"]',
    )
    assert ("a.service", "b.service", "c.service") == settings.services
    assert (ip_address("10.64.0.1"), ip_address("10.64.0.2")) == settings.dns
    assert isinstance(settings.wireguard, Inline)
    assert (ip_interface("10.66.0.2/32"), ip_interface("fc00::2")) == settings.wireguard.address
    assert [OTHER_KEY, KEY] == [peer.public_key for peer in settings.wireguard.peers]


def test_fragments_bring_what_is_said_of_their_services() -> None:
    """A package's file may have a table for the service that it adds, and only one may."""
    more = 'services = ["b.service"]\n[service."b.service"]\nhardening = "strict"'
    settings = read(CONFIG, more)
    assert Hardening.STRICT is settings.refinement(UnitName("b.service")).hardening
    assert Refinement(unit=UnitName("c.service")) == settings.refinement(UnitName("c.service"))
    assert [
        (
            'vpn.d/10-more.toml: service."b.service": it has a table already, '
            'at vpn.toml: service."b.service". Keep one of them.'
        )
    ] == problems(f'{CONFIG}[service."b.service"]', more)


def test_of_services_that_can_not_be_read_nothing_is_missing() -> None:
    """One mistake is one problem."""
    assert ["vpn.toml: services: 5 is not a list."] == problems(
        CONFIG + 'services = 5\n[service."x.service"]'
    )


def test_what_is_said_of_verify() -> None:
    """Spans are systemd's, of one unit; `off` is never."""
    assert VerifySettings(every=900, on_leak=OnLeak.REPORT) == read(CONFIG).verify
    text = '[verify]\nevery = "{}"\non-leak = "stop"'
    assert [60, 7200, None] == [
        read(CONFIG + text.format(each)).verify.every for each in ("60s", "2h", "off")
    ]
    assert OnLeak.STOP is read(CONFIG + text.format("1d")).verify.on_leak


def test_what_is_said_of_health() -> None:
    """How old a handshake may be; `off` is without end."""
    assert 180 == read(CONFIG).health.handshake_max_age
    text = '[health]\nhandshake-max-age = "{}"'
    assert [150, 600, None] == [
        read(CONFIG + text.format(each)).health.handshake_max_age
        for each in ("150s", "10min", "off")
    ]


def test_fragments_only_add_to_lists() -> None:
    """Another package cannot change what the owner set, whether he set it or not."""
    assert [
        (
            "vpn.d/10-more.toml: config: this file can only add to lists. "
            "Set it in the tunnel's own file."
        ),
        (
            "vpn.d/10-more.toml: health: this file can only add to lists. "
            "Set it in the tunnel's own file."
        ),
        (
            "vpn.d/10-more.toml: mtu: this file can only add to lists. "
            "Set it in the tunnel's own file."
        ),
        "vpn.d/10-more.toml: servces: unknown key. Did you mean 'services'?",
    ] == problems(CONFIG, 'config = 5\nmtu = "x"\nhealth = []\nservces = {}')


def test_the_digest_is_of_every_text() -> None:
    """It changes with each file, and with the place where one ends."""
    digests = {
        read(*texts).digest
        for texts in [(CONFIG,), (CONFIG, ""), (CONFIG, "#"), (CONFIG + "#", "")]
    }
    assert 4 == len(digests)


def test_a_text_with_lone_surrogates_has_a_digest() -> None:
    """As `surrogateescape` makes them of bytes that are not UTF-8."""
    assert read(CONFIG).digest != read(CONFIG + "# \udc80").digest


def test_a_byte_order_mark_is_no_problem() -> None:
    """Nobody can see it."""
    assert read(CONFIG).wireguard == read("\ufeff" + CONFIG).wireguard


@pytest.mark.parametrize("name", ["a", "0", "mullvad-se1", "x" * 31, "a-"])
def test_tunnel_names(name: str) -> None:
    """Small letters, digits and dashes."""
    assert name == parse_tunnel_name(name)


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "../a", "x" * 32, "ä", "a\n"])
def test_other_names(name: str) -> None:
    """What cannot be the name of a tunnel is a problem beside those of the file."""
    first, second = problems("mtu = 1\n" + CONFIG, name=name)
    assert first == (
        f"vpn.toml: {quote(name)} is not the name of a tunnel. "
        "Use small letters, digits and '-', at most 31, and no '-' at the beginning."
    )
    assert "vpn.toml: mtu: 1 is not a whole number from 576 to 65535." == second


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("mut = 1400", "mut: unknown key"),
        ("listen_port = 1", "listen_port: unknown key. Did you mean 'listen-port'?"),
        ('Config = "x"', "Config: unknown key. Did you mean 'config'?"),
        ('"a\\u001b[1m" = 1', "a\\x1b[1m: unknown key"),
        (f'"{"k." * 40}" = 1', f'"{"k." * 19}k…": unknown key'),
        (f'"{KEY}" = 1', "(hidden): unknown key"),
    ],
)
def test_unknown_keys(line: str, problem: str) -> None:
    """Nothing is ignored; a guess is made where one is near."""
    assert [ended(f"vpn.toml: {problem}")] == problems(CONFIG + line)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("allowedips = []", "allowedips: unknown key. Did you mean 'allowed-ips'?"),
        ("publish = []", "publish: unknown key"),
        (
            f'PresharedKey = "{KEY}"',
            (
                "PresharedKey: a secret is never written into the settings. "
                "Name a file that holds it in preshared-key-file"
            ),
        ),
    ],
)
def test_unknown_keys_of_a_peer(line: str, problem: str) -> None:
    """The message names the peer by its position, from 0."""
    assert [ended(f"vpn.toml: peer[0].{problem}")] == problems(f"{INLINE}{PEER}{line}")


def test_a_key_of_later_versions() -> None:
    """It is known, and not yet obeyed: so it must not pass in silence."""
    found = problems(CONFIG + "[port-forward]")
    assert ["vpn.toml: port-forward: not yet supported by this version."] == found


def test_an_endpoint_that_is_given_twice() -> None:
    """One of the two may have the wrong key."""
    found = problems(f'{CONFIG}endpoints = ["a.example:1", {{ endpoint = "a.example:1" }}]')
    assert [
        (
            "vpn.toml: endpoints[1]: a.example:1 is given already, at vpn.toml: endpoints[0]. "
            "Keep one of them."
        )
    ] == found


def test_endpoints_of_several_peers() -> None:
    """Of which of them would not be known."""
    peers = PEER + PEER.replace(OTHER_KEY, KEY)
    found = problems(f'endpoints = ["a.example:1"]\n{INLINE}{peers}')
    what = "they are of one peer, and there are 2. Give each peer its own endpoint instead"
    assert [f"vpn.toml: endpoints: {what}."] == found


def test_an_order_of_no_endpoints() -> None:
    """It would do nothing."""
    found = problems(f'{CONFIG}endpoint-order = "random"')
    what = "there are no endpoints that it could be of. Take it away"
    assert [f"vpn.toml: endpoint-order: {what}."] == found


def test_a_mark_to_pin_by() -> None:
    """Without one nothing tells encrypted packets from others."""
    what = "vpn.toml: fwmark: pin-endpoint needs a mark."
    hint = "Take fwmark away, or give another number."
    assert [f"{what} {hint}"] == problems(f"{CONFIG}fwmark = 0\npin-endpoint = true\n")
    assert 0 == read(f"{CONFIG}fwmark = 0\npin-endpoint = false\n").outer_mark


def test_a_peer_that_may_be_anywhere() -> None:
    """It can't be pinned; with endpoints, and by its own, it is in one place."""
    found = problems(f"pin-endpoint = true\n{INLINE}{PEER}")
    assert ["vpn.toml: peer[0]: pin-endpoint, and this peer has no endpoint. Declare it."] == found
    assert read(f'pin-endpoint = true\nendpoints = ["a.example:1"]\n{INLINE}{PEER}').pin_endpoint
    assert read(f'pin-endpoint = true\n{INLINE}{PEER}endpoint = "a.example:1"\n').pin_endpoint


def test_a_mark_of_its_own() -> None:
    """With pin-endpoint, for packets to be known by; what its owner says goes before that."""
    pinned = read(f"{CONFIG}pin-endpoint = true\n").outer_mark
    assert pinned is not None
    assert 0x77670000 == pinned & ~0x3FFF
    assert (None, 7) == (
        read(CONFIG).outer_mark,
        read(f"{CONFIG}pin-endpoint = true\nfwmark = 7\n").outer_mark,
    )


def test_how_a_tunnel_is_kept_alive() -> None:
    """What is not said is as it was before there were these keys."""
    found = read(f'{CONFIG}ready = "handshake"\nready-timeout = "2min"\nvia = "home"\n')
    assert (Ready.HANDSHAKE, 120, "home") == (found.ready, found.ready_timeout, found.via)
    silent = read(CONFIG)
    assert (Ready.LINK, 90, None) == (silent.ready, silent.ready_timeout, silent.via)
    assert (False, (), False) == (silent.reload_on_change, silent.endpoints, silent.pin_endpoint)


def test_endpoints_of_fragments_are_added() -> None:
    """In the order of the files."""
    first = (PurePosixPath("vpn.toml"), f'{CONFIG}endpoints = ["a.example:1"]')
    second = (PurePosixPath("vpn.d/b.toml"), 'endpoints = ["[2001:db8::1]:2"]')
    found = parse_settings("vpn", [first, second])
    assert ["a.example:1", "[2001:db8::1]:2"] == [str(each.endpoint) for each in found.endpoints]


@pytest.mark.parametrize("key", ["private-key", "private_key", "PrivateKey"])
def test_a_private_key_in_the_settings(key: str) -> None:
    """It is not quoted, and the message says where it belongs."""
    said = problems(f'{CONFIG}{key} = "{KEY}"')
    assert [
        (
            f"vpn.toml: {key}: a secret is never written into the settings. "
            "Name a file that holds it in private-key-file."
        )
    ] == said


def test_neither_a_conf_nor_an_inline_tunnel() -> None:
    """An empty file is no tunnel."""
    assert [
        (
            "vpn.toml: it says neither config nor address, private-key-file and [[peer]]. "
            "Name a wg-quick file in config."
        )
    ] == problems("")


def test_a_conf_and_an_inline_tunnel() -> None:
    """Each inline key is named where it stands, in whichever file."""
    assert [
        "vpn.d/10-more.toml: peer: it cannot stand beside config. Keep one of them.",
        "vpn.toml: address: it cannot stand beside config. Keep one of them.",
        "vpn.toml: private-key-file: it cannot stand beside config. Keep one of them.",
    ] == problems(CONFIG + INLINE, PEER)


def test_a_conf_is_one_thing() -> None:
    """A file or a credential."""
    text = CONFIG + 'config-credential = "vpn.conf"\n'
    assert [
        "vpn.toml: config-credential: it cannot stand beside config. Keep one of them."
    ] == problems(text)


def test_a_conf_that_is_a_credential() -> None:
    """It stands for the whole tunnel, as a file does."""
    found = read('config-credential = "vpn.conf"\nencrypted-credentials = true\n')
    assert ConfCredential(name="vpn.conf") == found.wireguard
    assert found.encrypted_credentials
    assert ("vpn.conf",) == found.credentials


def test_what_is_encrypted_is_there() -> None:
    """Said of nothing it would be a mistake."""
    text = CONFIG + "encrypted-credentials = true\n"
    what = "there are no credentials that it could be of. Take it away"
    assert [f"vpn.toml: encrypted-credentials: {what}."] == problems(text)


def test_a_preshared_key_is_in_one_place() -> None:
    """A file or a credential."""
    peer = PEER + 'preshared-key-file = "/k"\npreshared-key-credential = "k"\n'
    assert (
        "vpn.toml: peer[0].preshared-key-credential: it stands beside preshared-key-file. "
        "Keep one of them."
    ) in problems(INLINE + peer)


def test_a_path_that_is_watched_stands_in_a_unit() -> None:
    """White space would need quotes, which differ between settings of systemd."""
    text = 'config = "/etc/my vpn.conf"\n'
    assert PurePosixPath("/etc/my vpn.conf") == read(text).secret_files[0]
    what = (
        "'/etc/my vpn.conf' has characters that can't stand in a unit. Rename it, or take this away"
    )
    assert [f"vpn.toml: reload-on-change: {what}."] == problems(text + "reload-on-change = true\n")


def test_an_inline_tunnel_lacks_everything() -> None:
    """What is missing is told at once; there is no `.conf` to give the resolver."""
    assert [
        "vpn.toml: address: it is missing. Write it, or name a wg-quick file in config.",
        (
            "vpn.toml: dns: it is missing. "
            'Write dns = ["ADDRESS"] with the provider\'s resolver, or dns = [] for none.'
        ),
        "vpn.toml: private-key-file: it is missing. Name the file or the credential of the key.",
    ] == problems(PEER)


def test_two_private_keys() -> None:
    """One source is enough."""
    assert [
        "vpn.toml: private-key-file: it stands beside private-key-credential. Keep one of them."
    ] == problems(INLINE + 'private-key-credential = "x"\n' + PEER)


def test_a_wrong_value_is_not_missing() -> None:
    """One mistake is one message."""
    assert [
        "vpn.toml: address: 5 is not a list.",
        "vpn.toml: private-key-file: 5 is not a path.",
    ] == problems('address = 5\nprivate-key-file = 5\ndns = ["10.0.0.1"]\n' + PEER)


def test_a_service_is_listed_twice() -> None:
    """In one file or in two; both places are named."""
    assert [
        (
            "vpn.d/10-more.toml: services[0]: 'a.service' is already listed, "
            "at vpn.toml: services[0]. Keep one of them."
        ),
        (
            "vpn.toml: services[2]: 'a.service' is already listed, at vpn.toml: services[0]. "
            "Keep one of them."
        ),
    ] == problems(
        CONFIG + 'services = ["a.service", "b.service", "a.service"]', 'services = ["a.service"]'
    )


def test_a_public_key_is_given_twice() -> None:
    """WireGuard knows a peer by its key."""
    assert [
        (
            "vpn.d/10-more.toml: peer[0].public-key: it is that of another peer, "
            "at vpn.toml: peer[0].public-key. Keep one of them."
        )
    ] == problems(INLINE + PEER, PEER)


def test_ipv6_needs_an_mtu() -> None:
    """The kernel takes IPv6 off a link below 1280 bytes."""
    text = "mtu = 1279\n" + INLINE + PEER
    assert 1279 == read(text).mtu
    assert [
        (
            "vpn.toml: mtu: 1279 is less than 1280, which the IPv6 address fc00::2/128 needs. "
            "Give more, or take the IPv6 address away."
        )
    ] == problems(text, 'address = ["fc00::2"]')


def test_a_resolver_out_of_reach() -> None:
    """Where the tunnel does not lead, no look-up would ever be answered."""
    assert [
        (
            "vpn.toml: dns: 10.64.0.1: the tunnel has no address or no AllowedIPs for that. "
            "Name a resolver that the tunnel leads to."
        )
    ] == problems(INLINE + PEER + 'allowed-ips = ["192.0.2.0/24"]')


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\nmtu 5", "vpn.toml:2"),
        ("\n\na = [1,\n", "vpn.toml:4"),
        ("a = 1\na = 2", "vpn.toml:2"),
        (f"[a]\n[a]\n{KEY}", "vpn.toml:2"),
        (f"[{'k' * 43}]\n" * 2, "vpn.toml:2"),
        ("a = '\x00'", "vpn.toml:1"),
        ("a = " + "[" * 5000, "vpn.toml"),
        ("a = " + "9" * 5000, "vpn.toml"),
    ],
)
def test_what_is_no_toml(text: str, place: str) -> None:
    """The line is named where TOML's reader knows it; its words differ between versions."""
    (said,) = problems(text)
    assert said.startswith(f"{place}: not TOML")
    assert KEY[:43] not in said
    assert "k" * 43 not in said


def test_a_backslash_in_double_quotes() -> None:
    """The name of a unit is pasted as systemd writes it, and TOML has escapes of its own."""
    (said,) = problems(CONFIG + 'services = ["a\\-b.service"]')
    assert said.startswith("vpn.toml:2: not TOML: ")
    assert said.endswith(". Put text with a backslash in single quotes.")


def test_a_broken_file_hides_no_problem_of_another() -> None:
    """All is told but what the unreadable file might mend."""
    assert [
        (
            "vpn.d/10-more.toml: services[1]: 'a.service' is already listed, "
            "at vpn.d/10-more.toml: services[0]. Keep one of them."
        ),
        "vpn.toml:1: not TOML: Invalid statement.",
    ] == problems("=", 'services = ["a.service", "a.service"]')


def test_a_file_that_could_not_be_read() -> None:
    """What is known of it is told beside what is wrong in the others."""
    unreadable = Problem(where="/etc/wgconfine/vpn.toml", what="Permission denied")
    with pytest.raises(ProblemsFound) as caught:
        parse_settings("vpn", [(FILE, None), (FRAGMENT, "mtu = 5")], [unreadable])
    assert [
        (
            "/etc/wgconfine/vpn.d/10-more.toml: mtu: this file can only add to lists. "
            "Set it in the tunnel's own file."
        ),
        "/etc/wgconfine/vpn.toml: Permission denied.",
    ] == [str(each) for each in caught.value.problems]
