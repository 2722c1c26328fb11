"""Whatever the settings are: Settings or problems, never another error, never a secret."""

import base64
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Inline

KEYS = st.binary(min_size=32, max_size=32).map(lambda key: base64.b64encode(key).decode())
NAMES = st.sampled_from(
    [
        "config", "address", "private-key-file", "private-key-credential", "private-key",
        "services", "backend", "dns", "mtu", "listen-port", "fwmark", "enable", "publish", "peer",
        "adress", "peer.public-key", "peer.endpoint", '"\\u001b"',
    ],
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "1", "-5", "true", "'x'", "'/x'", "[]", "['10.0.0.1']", "['a.service', 5]", "[[1]]", "{}",
        "1.5", "[{}]", "[{public-key = 'x', endpoint = 1}]", "1979-05-27", "inf", "''", "nan",
        '"\\u202e"',
        "0xffffffffffffffffffffffffffffff",
    ],
)  # fmt: skip
LINES = st.one_of(
    st.builds(lambda name, value: f"{name} = {value}", NAMES, VALUES),
    NAMES.map(lambda name: f"[{name}]"),
    st.text(max_size=20),
)
TEXTS = st.one_of(st.text(), st.lists(LINES, max_size=8, unique=True).map("\n".join))


def outcome(*texts: str) -> str:
    """Give all that is said about these files."""
    try:
        return repr(
            parse_settings(
                "vpn", [(PurePosixPath(f"/{at}.toml"), text) for at, text in enumerate(texts)]
            )
        )
    except ProblemsFound as error:
        return f"{error}"


@with_settings(max_examples=200)
@given(TEXTS, st.lists(TEXTS, max_size=2))
def test_any_text_gives_settings_or_problems(text: str, fragments: list[str]) -> None:
    """Nothing but ProblemsFound leaves the parser, and what it says can be printed."""
    assert outcome(text, *fragments).replace("\n", "").isprintable()


@given(
    KEYS,
    NAMES,
    st.sampled_from(
        [
            '{n} = "{k}"',
            '{n} = ["{k}"]',
            "{n} = {k}",
            "{k}",
            '"{k}" = 1',
            "[{n}]\n'{k}' = 1",
            '["{k}"]\n' * 2,
            '{n} = [{{public-key = "x", endpoint = "{k}"}}]',
            '{n} = "{k}.service"',
            '{n} = [["{k}',
        ],
    ),
)
def test_no_message_holds_a_secret(key: str, name: str, form: str) -> None:
    """Wherever a private key was put, no message shows it."""
    said = outcome(form.format(n=name, k=key))
    assert key not in said
    assert key[:22] not in said
    assert key[22:43] not in said


@given(
    address=st.ip_addresses(),
    public_keys=st.lists(KEYS, min_size=1, max_size=3, unique=True),
    mtu=st.integers(1280, 65535),
    port=st.integers(1, 65535),
    mark=st.integers(0, 0xFFFFFFFF),
)
def test_values_survive(
    address: IPv4Address | IPv6Address,
    public_keys: list[str],
    mtu: int,
    port: int,
    mark: int,
) -> None:
    """What is written into the settings is what is read from them."""
    text = (
        f'address = ["{address}"]\ndns = ["{address}"]\nprivate-key-credential = "k"\nmtu = {mtu}\n'
        f"listen-port = {port}\nfwmark = {mark}\n"
    ) + "".join(f'[[peer]]\npublic-key = "{key}"\nendpoint = "a:{port}"\n' for key in public_keys)
    parsed = parse_settings("vpn", [(PurePosixPath("/vpn.toml"), text)])
    assert isinstance(parsed.wireguard, Inline)
    assert [address] == [each.ip for each in parsed.wireguard.address]
    assert (address,) == parsed.dns
    assert (mtu, port, mark) == (parsed.mtu, parsed.listen_port, parsed.fwmark)
    assert public_keys == [peer.public_key for peer in parsed.wireguard.peers]
    assert all(peer.endpoint and peer.endpoint.port == port for peer in parsed.wireguard.peers)
