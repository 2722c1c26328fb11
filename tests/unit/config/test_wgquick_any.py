"""Whatever a stranger sends: a configuration or problems, never another error or a secret."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config.wgquick import Conf, ConfError, decode, parse

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


@given(
    private_key=KEYS,
    addresses=st.lists(ADDRESSES, min_size=1, max_size=3, unique=True),
    resolvers=st.lists(ADDRESSES, max_size=3, unique=True),
    mtu=st.one_of(st.none(), st.integers(1280, 65535)),
    peers=st.dictionaries(
        KEYS,
        st.tuples(st.one_of(st.none(), KEYS), ADDRESSES, st.integers(1, 65535)),
        min_size=1,
        max_size=3,
    ),
)
def test_values_survive(
    private_key: str,
    addresses: list[str],
    resolvers: list[str],
    mtu: int | None,
    peers: dict[str, tuple[str | None, str, int]],
) -> None:
    """What is written into a configuration is what is read from it."""
    lines = ["[Interface]", f"PrivateKey = {private_key}"]
    lines += [f"Address = {address}" for address in addresses]
    lines += [f"DNS = {', '.join(map(str, resolvers))}"]
    lines += [f"MTU = {mtu}"] if mtu else []
    for public_key, (preshared_key, host, port) in peers.items():
        lines += ["[Peer]", f"PublicKey = {public_key}", f"AllowedIPs = {host}"]
        lines += [
            f"Endpoint = [{host}]:{port}" if ":" in str(host) else f"Endpoint = {host}:{port}"
        ]
        lines += [f"PresharedKey = {preshared_key}"] if preshared_key else []
        lines += [f"PersistentKeepalive = {port}"]
    conf, _ = outcome("\n".join(lines))
    assert conf is not None
    assert (private_key, mtu) == (conf.private_key, conf.mtu)
    assert len(addresses) == len(conf.addresses)
    assert len(resolvers) == len(conf.dns)
    assert [(key, psk, port, port) for key, (psk, _, port) in peers.items()] == [
        (
            peer.public_key,
            peer.preshared_key,
            peer.endpoint[1] if peer.endpoint else None,
            peer.persistent_keepalive,
        )
        for peer in conf.peers
    ]
