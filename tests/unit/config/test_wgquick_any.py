"""Whatever a stranger sends: a configuration or problems, never another error or a secret."""

import base64
import re
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config.wgquick import Conf, ConfError, ConfPeer, decode, parse
from wgconfine.runtime.link import endpoint_text

KEYS = st.binary(min_size=32, max_size=32).map(lambda key: base64.b64encode(key).decode())
NAMES = st.sampled_from(
    [
        "PrivateKey", "PresharedKey", "PublicKey", "Address", "DNS", "MTU", "ListenPort", "FwMark",
        "Table", "SaveConfig", "AllowedIPs", "Endpoint", "PersistentKeepalive", "PostUp", "Jc",
        "Adress", "Private Key", "[Peer]", "[Interface]", "#", "",
    ],
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["10.0.0.1/32", "::1", "off", "0x1", "1400", "vpn:1", "[::1]:1", "+::/0", "9" * 5000]
    ),
)
LINES = st.one_of(
    st.text(max_size=30),
    NAMES,
    st.builds(lambda name, value: f"{name} = {value}", NAMES, VALUES),
)
ADDRESSES = st.ip_addresses()
ZERO_KEY = "A" * 43 + "="


def outcome(text: str) -> tuple[Conf | None, str]:
    """Give the configuration and all that is said about it."""
    try:
        conf = parse(text, "vpn.conf")
    except ConfError as error:
        return None, f"{error} {error.problems!r} {error!r}"
    return conf, f"{conf!r} {conf.peers!r} {conf.warnings!r} " + " ".join(map(str, conf.warnings))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=50).map(str.encode)))
def test_any_bytes_give_text_or_a_problem(data: bytes) -> None:
    """Nothing but ConfError leaves the decoder."""
    try:
        text = decode(data, "vpn.conf")
    except ConfError as error:
        said = str(error)
    else:
        said = ""
        assert data.removeprefix(b"\xef\xbb\xbf") == text.encode()
    assert said == "" or said.endswith(": the file is not UTF-8 text here. Save the file as UTF-8.")


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_any_text_gives_a_configuration_or_problems(text: str) -> None:
    """Nothing but ConfError leaves the parser, and what it says can be printed."""
    _, said = outcome(text)
    assert said.replace("\n", "").isprintable()


@given(
    KEYS,
    st.lists(st.one_of(LINES, st.none()), max_size=8),
    NAMES,
    st.text(" \t#=,;+-[]", max_size=3),
)
def test_no_message_holds_a_secret(
    key: str,
    lines: list[str | None],
    name: str,
    between: str,
) -> None:
    """Wherever a private key was put, neither a message nor a repr shows it, nor half of it."""
    text = "\n".join(f"{name}{between}{key}" if line is None else line for line in [*lines, None])
    _, said = outcome(text)
    assert key not in said
    assert key[:22] not in said
    assert key[22:43] not in said


PORTS = st.integers(1, 65535)
INTERFACES = st.builds(
    lambda host, taken: f"{host}/{host.max_prefixlen - taken}", ADDRESSES, st.integers(0, 32)
)
NETWORKS = INTERFACES.map(lambda text: str(ip_network(text, strict=False)))
NOT_MAPPED = ADDRESSES.filter(lambda each: not getattr(each, "ipv4_mapped", None)).map(str)


@st.composite
def confs(draw: st.DrawFn) -> Conf:
    """A whole configuration."""
    conf = Conf()
    conf.private_key = draw(KEYS)
    conf.addresses = draw(st.lists(INTERFACES, min_size=1, max_size=3, unique=True))
    conf.dns = draw(st.lists(NOT_MAPPED, max_size=3, unique=True))
    conf.search = draw(st.lists(st.sampled_from(["lan", "corp.example", "a_b.c"]), unique=True))
    conf.mtu = draw(st.none() | st.integers(1280, 65535))
    conf.listen_port = draw(st.none() | PORTS)
    conf.fwmark = draw(st.none() | st.integers(0, 0xFFFFFFFF))
    for key in draw(st.lists(KEYS, min_size=1, max_size=3, unique=True)):
        peer = ConfPeer(0)
        peer.public_key = key
        peer.preshared_key = draw(st.none() | KEYS)
        peer.allowed_ips = draw(st.lists(NETWORKS, max_size=3, unique=True))
        host = st.just("vpn.example.net") | NOT_MAPPED
        peer.endpoint = draw(st.none() | st.tuples(host, PORTS))
        peer.persistent_keepalive = draw(st.none() | PORTS)
        conf.peers.append(peer)
    return conf


def written(conf: Conf) -> str:
    """Write it as a provider would."""
    lines = ["[Interface]", f"PrivateKey = {conf.private_key}"]
    lines += [f"Address = {', '.join(conf.addresses)}", f"DNS = {', '.join(conf.dns)}"]
    lines += [f"DNS = {domain}" for domain in conf.search]
    pairs = [("MTU", conf.mtu), ("ListenPort", conf.listen_port), ("FwMark", conf.fwmark)]
    lines += [f"{name} = {value}" for name, value in pairs if value is not None]
    for peer in conf.peers:
        lines += ["[Peer]", f"PublicKey = {peer.public_key}"]
        lines += [f"AllowedIPs = {each}" for each in peer.allowed_ips]
        if peer.endpoint:
            lines.append(f"Endpoint = {endpoint_text(*peer.endpoint)}")
        values = [
            ("PresharedKey", peer.preshared_key),
            ("PersistentKeepalive", peer.persistent_keepalive),
        ]
        lines += [f"{name} = {value}" for name, value in values if value is not None]
    return "\n".join(lines)


def content(value: Conf | ConfPeer) -> dict[str, object]:
    """Give what it says, without where that stood."""
    names = [name for name in value.__slots__ if name not in {"line", "lines", "warnings", "peers"}]
    return {name: getattr(value, name) for name in names}


@given(confs())
def test_values_survive(conf: Conf) -> None:
    """What is written into a configuration is what is read from it, all of it."""
    read, _ = outcome(written(conf))
    assert read is not None
    assert content(conf) == content(read)
    assert list(map(content, conf.peers)) == list(map(content, read.peers))


RIGHT = {
    "Address": "10.66.0.2/32", "DNS": "corp.example", "AllowedIPs": "fc00::/7",
    "Endpoint": "vpn.example:5",
}  # fmt: skip


@given(st.sampled_from(sorted(RIGHT)), st.text(max_size=3), st.integers(0, 14))
def test_no_value_has_room_for_another(name: str, odd: str, place: int) -> None:
    """What goes on to resolv.conf, to wg(8) and into lists of ours holds no space and no quote."""
    value = RIGHT[name][:place] + odd + RIGHT[name][place:]
    lines = {"Address": "", "DNS": "", "AllowedIPs": "", "Endpoint": ""} | {name: f"{name}={value}"}
    conf, _ = outcome(
        f"[Interface]\nPrivateKey={ZERO_KEY}\nAddress=::1\n{lines['Address']}\n{lines['DNS']}\n"
        f"[Peer]\nPublicKey={ZERO_KEY}\n{lines['AllowedIPs']}\n{lines['Endpoint']}\n"
    )
    if conf is None:
        return
    (peer,) = conf.peers
    hosts = [peer.endpoint[0]] if peer.endpoint else []
    values = [*conf.addresses, *conf.dns, *conf.search, *hosts, *peer.allowed_ips]
    assert [] == [each for each in values if not re.fullmatch("[A-Za-z0-9_.:/-]+", each)]
