"""The same file for the parsers of wireguard-tools and for ours: what each takes, and as what.

The reference is the real wg-quick's `parse_options`, then `wg setconf` on a link of wireguard-go.
Ours goes through the runtime's own text for wg(8) onto the same link.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.netns.machine import LINK, Machine, boot
from wgconfine.config.wgquick import ConfError, canonical_address, decode, parse, parse_ip
from wgconfine.runtime.link import wg_config

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
OTHER = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
PEER_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
ZERO = "A" * 43 + "="
NAME, ADDRESS_OF_NAME = "vpn.example.net", "192.0.2.7"

# Reads every NAME.conf of a directory as wg-quick does, and leaves NAME.result: what of it is
# wg-quick's own, then `wg showconf`, or no such file where one of the two refused.
REFERENCE = """
set -e -o pipefail; shopt -s extglob; export LC_ALL=C
functions="$(sed -n '/^die()/,/^}/p; /^read_bool()/,/^}/p; /^parse_options()/,/^}/p' \
    "$(command -v wg-quick)")"
read_one() {
    eval "$functions"
    PROGRAM=wg-quick WG_CONFIG= MTU= TABLE= ADDRESSES=( ) DNS=( ) DNS_SEARCH=( ) SAVE_CONFIG=0
    PRE_UP=( ) POST_UP=( ) PRE_DOWN=( ) POST_DOWN=( )
    parse_options "$1" || return 1
    printf '%s' "$WG_CONFIG" >"$1.wg"
    {
        printf 'address %s\\n' "${ADDRESSES[@]}"; printf 'dns %s\\n' "${DNS[@]}"
        printf 'search %s\\n' "${DNS_SEARCH[@]}"; printf 'mtu %s\\n' "$MTU"
        wg setconf LINK "$1.wg" && wg showconf LINK
    } >"$1.result" || { rm "$1.result"; return 1; }
}
for file in "$1"/*.conf; do ( read_one "$file" ) 2>"$file.error" || :; done
""".replace("LINK", LINK)

HEAD = f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.66.0.2/32\n"
PEER = f"[Peer]\nPublicKey = {PEER_KEY}\nAllowedIPs = 0.0.0.0/0\n"


def interface(lines: str) -> str:
    return f"{HEAD}{lines}\n{PEER}"


def peer(lines: str) -> str:
    return f"{HEAD}{PEER}{lines}\n"


MANY_PEERS = "".join(
    f"[PEER]\nPublicKey={base64.b64encode(bytes([number] * 32)).decode()}\n"
    f"AllowedIPs=10.{number}.0.0/16\n"
    for number in range(1, 200)
)

SAME = {
    "any case": interface("").replace("Interface", "iNTERFACE").replace("Address", "ADDRESS"),
    "no spaces": interface("").replace(" ", ""),
    "tabs": interface("").replace(" ", "\t \v"),
    "CRLF": interface("DNS = 10.0.0.1").replace("\n", "\r\n"),
    "no newline at the end": interface("").rstrip(),
    "spaces in a name of wg's": peer("Persistent Keep alive = 5"),
    "spaces in a key": peer(f"PresharedKey = {OTHER[:9]} {OTHER[9:]}"),
    "comments": interface("# PostUp = x\nMTU = 1400# x # y\n \t# z\nDNS = 10.0.0.1 # , 10.0.0.2"),
    "a comment that hides": interface(f"#PrivateKey = {OTHER}\n#[Peer]\n#PublicKey = {OTHER}"),
    "the sections in reverse": PEER + HEAD,
    "two interface sections": interface("[Interface]\nDNS = 10.0.0.1\n[interface]\nMTU = 1400"),
    "an interface around a peer": peer("[Interface]\nAddress = 10.66.0.3/24\nDNS = 10.0.0.1"),
    "addresses in lines and lists": interface("Address = 10.1.0.1/24, fc00::2/64,,10.2.0.1\n"),
    "an empty address": interface("Address ="),
    "addresses between spaces": interface("Address = 10.1.0.1/24 fc00::2/64"),
    "the same address twice": interface("Address = 10.66.0.2/32"),
    "resolvers and search domains": interface("DNS = 10.0.0.1, corp.example fc00::53\nDNS=lan"),
    "empty lists": interface("DNS =\nMTU ="),
    "an MTU twice": interface("MTU = 1300\nMTU = 1400"),
    "an MTU taken back": interface("MTU = 1300\nMTU ="),
    "Table and SaveConfig": interface("Table = off\nSaveConfig = true"),
    "ports and marks": interface("ListenPort = 51820\nFwMark = 0xca6c"),
    "a mark that is off": interface("FwMark = OFF"),
    "a key twice": interface(f"PrivateKey = {OTHER}"),
    "a peer's keys twice": peer(
        f"PublicKey = {OTHER}\nPresharedKey = {KEY}\nPresharedKey = {OTHER}\n"
        "Endpoint = 192.0.2.1:1\nEndpoint = 192.0.2.2:2\nPersistentKeepalive = 5\n"
        "PersistentKeepalive = off"
    ),
    "a zero preshared key": peer(f"PresharedKey = {ZERO}"),
    "networks in lines and lists": peer("AllowedIPs = 10.0.0.0/8,::/0\nAllowedIPs = 10.1.0.0/16"),
    "a network without a length": peer("AllowedIPs = 192.0.2.1, fc00::1"),
    "host bits": peer("AllowedIPs = 10.1.2.3/8, fc00::1/7, 10.1.2.3/0, 10.255.255.255/31"),
    "the same network twice": peer("AllowedIPs = 10.0.0.0/8, 10.1.0.0/8, 10.0.0.0/08"),
    "spaces in a network": peer("AllowedIPs = 10. 0.0.0 / 8"),
    "IPv6 in other words": peer("AllowedIPs = FC00:0:0:0:0:0:0:1, ::ffff:1.2.3.4, ::1.2.3.4/96"),
    "a peer without networks": peer(f"[Peer]\nPublicKey = {OTHER}"),
    "a network of two peers": peer(f"[Peer]\nPublicKey = {OTHER}\nAllowedIPs = 0.0.0.0/0, ::/0"),
    "many peers": HEAD + MANY_PEERS,
    "an endpoint": peer("Endpoint = 192.0.2.1:51820"),
    "an endpoint in brackets": peer("Endpoint = [2001:db8::1]:51820"),
    "an IPv4 endpoint in brackets": peer("Endpoint = [192.0.2.1]:51820"),
    "an IPv6 endpoint without brackets": peer("Endpoint = 2001:db8::1:51820"),
    "a name": peer(f"Endpoint = {NAME}:51820"),
    "a name in brackets": peer(f"Endpoint = [{NAME}]:051820"),
    "spaces in an endpoint": peer("Endpoint = 192.0.2.1 : 51820"),
    "a keepalive": peer("PersistentKeepalive = 0025"),
    "the longest keepalive": peer("PersistentKeepalive = 65535"),
    "no keepalive": peer("PersistentKeepalive = OFF"),
    "a keepalive of zero": peer("PersistentKeepalive = 0"),
}  # fmt: skip
"""What is taken by all, and as the same."""

NEITHER = {
    "a line without a sign": interface("PrivateKey"),
    "a semicolon": interface("; comment"),
    "a key before any section": f"PrivateKey = {KEY}\n{HEAD}{PEER}",
    "a key in a wrong section": interface(f"PublicKey = {PEER_KEY}"),
    "an address of a peer": peer("Address = 10.0.0.1"),
    "an unknown key": interface("Adress = 10.0.0.1"),
    "an unknown section": peer("[Peers]\nPublicKey = x"),
    "a heading with a value": peer("[Peer] x"),
    "an open heading": peer("[Peer"),
    "a peer without a key": peer("[Peer]\nAllowedIPs = ::/0"),
    "a short key": peer(f"PresharedKey = {OTHER[:-1]}"),
    "a key without its padding": peer(f"PresharedKey = {OTHER[:-1]}A"),
    "a key with bits behind its end": peer(f"PresharedKey = {OTHER[:-2]}1="),
    "a key in base64url": peer(f"PresharedKey = {OTHER.replace('+', '-')}"),
    "an empty key": peer("PresharedKey ="),
    "empty networks": peer("AllowedIPs ="),
    "a comma too many": peer("AllowedIPs = ::/0,"),
    "a network too long": peer("AllowedIPs = 10.0.0.0/33"),
    "a netmask": peer("AllowedIPs = 10.0.0.0/255.0.0.0"),
    "a length of nothing": peer("AllowedIPs = 10.0.0.0/"),
    "a signed length": peer("AllowedIPs = 10.0.0.0/+8"),
    "an octal address": peer("AllowedIPs = 010.0.0.0/8"),
    "a short address": peer("AllowedIPs = 10.1/16"),
    "a network by name": peer(f"AllowedIPs = {NAME}"),
    "a network with a zone": peer("AllowedIPs = fe80::1%lo"),
    "a mark in other hexadecimals": interface("FwMark = 0XCA6C"),
    "a mark without digits": interface("FwMark = 0x"),
    "a mark too large": interface("FwMark = 0x100000000"),
    "a negative mark": interface("FwMark = -1"),
    "a hexadecimal port": interface("ListenPort = 0x50"),
    "an empty port": interface("ListenPort ="),
    "a hexadecimal keepalive": peer("PersistentKeepalive = 0x19"),
    "a keepalive with a unit": peer("PersistentKeepalive = 25s"),
    "a keepalive too long": peer("PersistentKeepalive = 65536"),
    "a negative keepalive": peer("PersistentKeepalive = -1"),
    "an endpoint without a port": peer("Endpoint = 192.0.2.1"),
    "an endpoint with an empty port": peer("Endpoint = 192.0.2.1:"),
    "an endpoint without a host": peer("Endpoint = :51820"),
    "an endpoint in open brackets": peer("Endpoint = [2001:db8::1:51820"),
    "an endpoint in brackets alone": peer("Endpoint = [2001:db8::1]"),
    "an empty endpoint": peer("Endpoint ="),
    "UTF-16": interface("").encode("utf-16").decode("latin-1"),
}
"""What none of them takes."""

REFUSED_BY_US = {
    "a hook": (interface("PostUp = true"), "no command of a stranger is run"),
    "no interface": (PEER, "there is nothing to bring up"),
    "no private key": (f"[Interface]\nAddress = 10.0.0.1\n{PEER}", "it could not speak to anybody"),
    "no address": (f"[Interface]\nPrivateKey = {KEY}\n{PEER}", "nothing could be sent"),
    "no peer": (HEAD, "nothing could be reached"),
    "an empty file": ("", "of both reasons"),
    "one peer twice": (peer(PEER), "wg forgets the networks of the first"),
    "an address that is none": (interface("Address = 10.0.0.300"), "ip(8) would refuse it later"),
    "a name without a sign": (interface("Address"), "wg-quick takes the name for the value"),
    "a resolver that is none": (interface("DNS = 10.0.0.300"), "nobody could answer"),
    "an MTU that is none": (interface("MTU = big"), "ip(8) would refuse it later"),
    "a name for a port": (peer("Endpoint = 192.0.2.1:domain"), "/etc/services is the machine's"),
    "a short endpoint": (peer("Endpoint = 192.0.2:1"), "inet_aton(3) reads another address"),
    "a port of this end by name": (interface("ListenPort = domain"), "/etc/services, again"),
}
"""What wg-quick and wg take and we do not, and why."""

TAKEN_BY_US = {
    "a byte order mark": "\ufeff" + interface(""),
    "spaces in a name of wg-quick's": interface("A ddress = 10.0.0.1"),
    "spaces in a heading": interface("").replace("[Interface]", "[ Interface ]"),
    "another word for SaveConfig": interface("SaveConfig = yes"),
}
"""What only we take: harmless, and what wg(8) does with its own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a parser made of a file. Peers are by public key: keepalive, endpoint and the like."""

    addresses: frozenset[str]
    dns: frozenset[str]
    search: frozenset[str]
    mtu: str
    private_key: str
    peers: dict[str, frozenset[str]]


Compare = Callable[[Sequence[str]], list[tuple[Reading | None, Reading | None]]]


@pytest.fixture(scope="module")
def compare() -> Iterator[Compare]:
    """Have both read the same files; gives the pairs: theirs, and ours."""
    with boot() as machine:
        machine.start_wireguard()
        machine.write("/etc/hosts", f"{ADDRESS_OF_NAME} {NAME}\n")
        machine.write("/etc/nsswitch.conf", "hosts: files\n")
        machine.write("/run/lab/reference", REFERENCE)

        def both(texts: Sequence[str]) -> list[tuple[Reading | None, Reading | None]]:
            ours = [read_by_us(text) for text in texts]
            taken = [text for text in ours if text is not None]
            results = iter(referred(machine, [*texts, *taken]))
            theirs = [next(results) for _ in texts]
            return [
                (their, None if our is None else next(results))
                for their, our in zip(theirs, ours, strict=True)
            ]

        yield both


def read_by_us(text: str) -> str | None:
    """Give what the runtime makes of a file, as a file of the same syntax; None if it refuses."""
    try:
        conf = parse(decode(text.encode(), "x"), "x")
    except ConfError:
        return None
    for each in conf.peers:
        if each.endpoint and not parse_ip(each.endpoint[0]):  # wgconfine-endpoint@ looks it up
            assert each.endpoint[0] == NAME
            each.endpoint = ADDRESS_OF_NAME, each.endpoint[1]
    lines = [f"Address = {each}" for each in conf.addresses]
    lines += [f"DNS = {each}" for each in (*conf.dns, *conf.search)]
    lines += [f"MTU = {conf.mtu}"] if conf.mtu else []
    return wg_config(conf).replace("[Interface]", "\n".join(["[Interface]", *lines]))


def referred(machine: Machine, texts: Sequence[str]) -> list[Reading | None]:
    place = machine.path("/run/lab/files")
    machine.sh("rm -rf /run/lab/files; mkdir -m 700 /run/lab/files")
    for at, text in enumerate(texts):
        (place / f"{at:04}.conf").write_text(text, encoding="utf-8", newline="")
    machine.sh("bash /run/lab/reference /run/lab/files")
    results = [place / f"{at:04}.conf.result" for at in range(len(texts))]
    return [reading(each.read_text()) if each.exists() else None for each in results]


def reading(result: str) -> Reading:
    own, _, shown = result.partition("[Interface]")
    found: dict[str, list[str]] = {"address": [], "dns": [], "search": [], "mtu": []}
    for name, _, value in (line.partition(" ") for line in own.splitlines()):
        found[name] += [value] if value else []
    interface_part, *peers = shown.split("[Peer]")
    return Reading(
        addresses=frozenset(canonical_address(each) or each for each in found["address"]),
        dns=frozenset(found["dns"]),
        search=frozenset(found["search"]),
        mtu="".join(found["mtu"]),
        private_key=values(interface_part).get("PrivateKey", ""),
        peers={values(each)["PublicKey"]: frozenset(facts(each)) for each in peers},
    )


def values(section: str) -> dict[str, str]:
    pairs = (line.partition(" = ") for line in section.splitlines())
    return {name: value for name, _, value in pairs}


def facts(section: str) -> Iterator[str]:
    for name, value in values(section).items():
        for item in value.split(", "):
            yield f"{name} {item}"


def test_what_all_take_is_read_as_the_same(compare: Compare) -> None:
    """Every form of wg(8) and wg-quick(8), by what it becomes on a link."""
    pairs = dict(zip(SAME, compare(list(SAME.values())), strict=True))

    assert {} == {name: pair for name, pair in pairs.items() if pair[0] is None or pair[1] is None}
    assert {name: theirs for name, (theirs, _) in pairs.items()} == {
        name: ours for name, (_, ours) in pairs.items()
    }


def test_what_none_takes(compare: Compare) -> None:
    """A mistake for wg is a mistake for us."""
    assert [] == accepted(compare, NEITHER, by_whom=0) + accepted(compare, NEITHER, by_whom=1)


def test_what_only_we_refuse(compare: Compare) -> None:
    """Each for a reason, which stands beside it."""
    texts = {name: text for name, (text, _) in REFUSED_BY_US.items()}

    assert list(texts) == accepted(compare, texts, by_whom=0)
    assert [] == accepted(compare, texts, by_whom=1)


def test_what_only_we_take(compare: Compare) -> None:
    """Files of editors that mark their encoding, and spaces where wg(8) would take them."""
    assert [] == accepted(compare, TAKEN_BY_US, by_whom=0)
    assert list(TAKEN_BY_US) == accepted(compare, TAKEN_BY_US, by_whom=1)


def accepted(compare: Compare, texts: dict[str, str], *, by_whom: int) -> list[str]:
    pairs = zip(texts, compare(list(texts.values())), strict=True)
    return [name for name, pair in pairs if pair[by_whom] is not None]


SPACE = st.sampled_from(["", " ", "\t", "  "])
IPV4 = st.ip_addresses(v=4).map(str)
ENDPOINT_IPV4 = st.integers(1, 254).map("192.0.2.{}".format)
IPV6 = st.ip_addresses(v=6).map(str)
NUMBER = st.one_of(
    st.integers(0, 70000).map(str), st.sampled_from(["off", "Off", "-1", "0x1f", "1 2"])
)
KEYS = st.binary(min_size=31, max_size=31).map(lambda raw: base64.b64encode(b"k" + raw).decode())
NETWORK = st.one_of(
    st.builds("{}/{}".format, IPV4, st.integers(0, 33)),
    st.builds("{}/{}".format, IPV6, st.integers(0, 129)),
    IPV4,
    IPV6,
)
ENDPOINT = st.builds(
    "{}:{}".format,
    st.one_of(ENDPOINT_IPV4, st.just("[2001:db8::7]"), st.just(NAME), st.just("2001:db8::7")),
    st.integers(1, 65535),
)
PEER_LINE = st.one_of(
    st.tuples(st.just("AllowedIPs"), st.lists(NETWORK, min_size=1, max_size=4).map(", ".join)),
    st.tuples(st.just("Endpoint"), ENDPOINT),
    st.tuples(st.just("PersistentKeepalive"), NUMBER),
    st.tuples(st.just("PresharedKey"), KEYS),
)
INTERFACE_LINE = st.one_of(
    st.tuples(st.just("Address"), st.lists(st.one_of(IPV4, IPV6), max_size=3).map(", ".join)),
    st.tuples(st.just("DNS"), st.lists(st.one_of(IPV4, st.just("lan")), max_size=3).map(" ".join)),
    st.tuples(st.just("MTU"), st.integers(1280, 9000).map(str)),
    st.tuples(st.just("FwMark"), NUMBER),
    st.tuples(st.just("Table"), st.sampled_from(["auto", "off", "5"])),
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file of lines that are mostly right, in odd spelling."""
    sections = [("[Interface]", [("PrivateKey", draw(KEYS)), ("Address", "10.66.0.2/32")])]
    sections[0][1].extend(draw(st.lists(INTERFACE_LINE, max_size=4)))
    keys = draw(st.lists(KEYS, min_size=1, max_size=3, unique=True))
    sections += [
        ("[Peer]", [("PublicKey", key), *draw(st.lists(PEER_LINE, max_size=4))]) for key in keys
    ]
    lines = []
    for heading, entries in sections:
        lines.append(draw(st.sampled_from([heading, heading.lower(), heading.upper()])))
        for name, value in entries:
            spelt = draw(st.sampled_from([name, name.lower(), name.upper()]))
            lines.append(f"{draw(SPACE)}{spelt}{draw(SPACE)}={draw(SPACE)}{value}{draw(SPACE)}")
            lines += draw(st.sampled_from([[], ["# x"], [""], [" "]]))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))


def agree(compare: Compare, texts: list[str]) -> None:
    for text, (theirs, ours) in zip(texts, compare(texts), strict=True):
        assert theirs == ours, text


@settings(max_examples=6)
@given(st.lists(files(), min_size=20, max_size=20))
def test_any_file_is_read_as_by_wg(compare: Compare, texts: list[str]) -> None:
    """A sample of generated files: both refuse, or both take it as the same."""
    agree(compare, texts)


@pytest.mark.long
@settings(max_examples=400)
@given(st.lists(files(), min_size=1, max_size=20))
def test_thousands_of_files_are_read_as_by_wg(compare: Compare, texts: list[str]) -> None:
    """The same over many more."""
    agree(compare, texts)
