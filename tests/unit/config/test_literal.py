"""Addresses, networks, endpoints, names, keys: against the standard library where it has them."""

import base64
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config.literal import (
    canonical_address,
    canonical_ip,
    canonical_network,
    is_host_name,
    is_key,
    parse_decimal,
    parse_endpoint,
    parse_hex,
    parse_ip,
)

PIECES = st.sampled_from(
    [
        "0",
        "1",
        "00",
        "255",
        "256",
        "f",
        "ABcd",
        "12345",
        ".",
        ":",
        "::",
        "/",
        "8",
        "128",
        "g",
        "٣",
        "-",
        " ",
    ],
)
NEARLY_ADDRESSES = st.lists(PIECES, min_size=1, max_size=14).map("".join)
ADDRESSES = st.one_of(st.ip_addresses().map(str), NEARLY_ADDRESSES)


def packed(text: str) -> bytes | None:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        return None


@given(ADDRESSES)
def test_addresses_are_those_of_the_standard_library(text: str) -> None:
    """The same texts are IP addresses, and of the same bytes."""
    assert packed(text) == parse_ip(text)


@given(st.ip_addresses())
def test_the_canonical_text_is_that_of_the_standard_library(address: ipaddress.IPv4Address) -> None:
    """An address is written as `ipaddress` writes it, from any spelling."""
    mapped = getattr(address, "ipv4_mapped", None)  # Python 3.13 writes these as ::ffff:1.2.3.4
    assert (canonical_ip(address.exploded) == str(address)) or mapped is not None
    assert packed(str(address)) == parse_ip(canonical_ip(address.exploded) or "")


@given(ADDRESSES, st.integers(-1, 130))
def test_networks_are_those_of_the_standard_library(text: str, prefix: int) -> None:
    """The same texts are networks, and the same host bits are cleared."""
    ours = canonical_network(f"{text}/{prefix}")
    try:
        network = ipaddress.ip_network(f"{text}/{prefix}", strict=False)
    except ValueError:
        assert ours is None
    else:
        assert network == ipaddress.ip_network(ours or "")


@given(st.ip_addresses(), st.integers(0, 32))
def test_a_canonical_network_stays_as_it_is(address: ipaddress.IPv4Address, prefix: int) -> None:
    """Reading what was written gives the same again."""
    text = canonical_network(f"{address}/{prefix}")
    assert text is not None
    assert (text, text) == (canonical_network(text), canonical_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.-4",
        "1.2.3.4 ",
        "1.2.3.٤",
        "fe80::1%eth0",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4::5:6:7:8",
        "12345::",
        ":1",
        "1:",
        "1.2.3.4::",
        "::1.2.3",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """What inet_pton(3) refuses is refused, and so is a zone."""
    assert (None, None) == (canonical_ip(text), canonical_address(text))


@pytest.mark.parametrize(
    ("text", "address", "network"),
    [
        ("10.66.0.2", "10.66.0.2/32", "10.66.0.2/32"),
        ("10.66.0.2/08", "10.66.0.2/8", "10.0.0.0/8"),
        ("FC00::0:2", "fc00::2/128", "fc00::2/128"),
        ("fd00:1::1/16", "fd00:1::1/16", "fd00::/16"),
        ("::ffff:1.2.3.4/0", "::ffff:102:304/0", "::/0"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3/128", "1:0:0:2::3/128"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7/128", "1:0:2:3:4:5:6:7/128"),
    ],
)
def test_addresses_keep_their_host_bits_and_networks_lose_them(
    text: str,
    address: str,
    network: str,
) -> None:
    """Both get a prefix; only a network is masked, as wg(8) does."""
    assert (address, network) == (canonical_address(text), canonical_network(text))


@pytest.mark.parametrize(
    "text", ["1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/a", "1.2.3.4/8/8", "/8"]
)
def test_what_is_no_network(text: str) -> None:
    """A prefix is a decimal number that the family has room for."""
    assert canonical_network(text) is None


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("1.2.3.4:51820", ("1.2.3.4", 51820)),
        ("[2001:DB8::0:1]:1", ("2001:db8::1", 1)),
        ("vpn_1.example.net.:65535", ("vpn_1.example.net.", 65535)),
        ("vpn:051820", ("vpn", 51820)),
        ("vpn", "has no port"),
        ("", "has no port"),
        ("[::1]", "is not of the form [IPV6]:PORT"),
        ("[::1:5", "is not of the form [IPV6]:PORT"),
        ("2001:db8::1", "has neither an IP address nor a host name before its port"),
        ("[fe80::1%eth0]:5", "has neither an IP address nor a host name before its port"),
        ("[a:b]:5", "has neither an IP address nor a host name before its port"),
        (":5", "has neither an IP address nor a host name before its port"),
        ("1.2.3:5", "has neither an IP address nor a host name before its port"),
        ("vpn:", "has no port number from 1 to 65535"),
        ("vpn:0", "has no port number from 1 to 65535"),
        ("vpn:65536", "has no port number from 1 to 65535"),
        ("vpn:domain", "has no port number from 1 to 65535"),
    ],
)
def test_endpoints(text: str, endpoint: tuple[str, int] | str) -> None:
    """An endpoint is a host and a port number, or words about what is wrong with it."""
    assert endpoint == parse_endpoint(text)


@pytest.mark.parametrize("text", ["a", "a.b-c.d_e", "a.", "1a", "x" * 63, ".".join(["x" * 49] * 5)])
def test_host_names(text: str) -> None:
    """The form of RFC 1123, underscores allowed."""
    assert is_host_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "-a",
        "a-",
        "a.1",
        "1.2.3",
        "ä",
        "a b",
        "a/b",
        "x" * 64,
        ".".join(["x" * 50] * 5),
    ],
)
def test_what_is_no_host_name(text: str) -> None:
    """Empty or long labels, other characters, and a number at the end."""
    assert not is_host_name(text)


@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_are_a_key(key: bytes) -> None:
    """What base64 writes for 32 bytes is a key."""
    assert is_key(base64.b64encode(key).decode())


@given(
    st.one_of(st.text(max_size=50), st.binary(max_size=40).map(base64.b64encode).map(bytes.decode))
)
def test_nothing_else_is_a_key(text: str) -> None:
    """A key is the base64 of 32 bytes, written in the one way there is."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    assert (len(data) == 32 and base64.b64encode(data).decode() == text) == is_key(text)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", " 1", "٣", "0x1", "101", "9" * 5000])
def test_what_is_no_decimal_number(text: str) -> None:
    """Digits only, and within the limits; no length of text is too much."""
    assert parse_decimal(text, 0, 100) is None


def test_decimal_numbers() -> None:
    """Leading zeros do not count."""
    assert [0, 0, 7, 100] == [parse_decimal(text, 0, 100) for text in ("0", "00", "007", "100")]
    assert parse_decimal("1", 2, 100) is None


def test_hexadecimal_numbers() -> None:
    """Hexadecimal digits in any case, up to the limit."""
    assert [0xCA6C, 0xFF, None, None, None, None] == [
        parse_hex(text, 0xFFFF) for text in ("cA6c", "00000000ff", "", "10000", "g", "0x1")
    ]
