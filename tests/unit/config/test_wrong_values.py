"""Every key of both kinds of files with wrong values, three at least, and the exact words."""

from pathlib import PurePosixPath

import pytest

from wgconfine.config.entries import ENTRIES
from wgconfine.config.schema import KEYS
from wgconfine.config.settings import parse_settings
from wgconfine.config.wgquick import ConfError, parse
from wgconfine.model.errors import ProblemsFound

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PEER_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

Rows = list[tuple[str, str]]

PLAIN_PATH = "is not a plain path. Write it without '.', '..' and double '/'"
PATHS: Rows = [
    ('"vpn.conf"', ": 'vpn.conf' is not an absolute path"),
    ('"~/vpn.conf"', ": '~/vpn.conf' is not an absolute path"),
    ('""', ": '' is not an absolute path"),
    ("5", ": 5 is not a path"),
    ('["/etc/x"]', ": a list is not a path"),
    ('"/etc/\\n"', ": '/etc/\\x0a' is not a path"),
    ('"/etc/\\u202e"', ": '/etc/\\u202e' is not a path"),
    ('"/etc/../x"', f": '/etc/../x' {PLAIN_PATH}"),
    ('"/etc//x"', f": '/etc//x' {PLAIN_PATH}"),
    ('"//x"', f": '//x' {PLAIN_PATH}"),
    ('"/etc/x/"', f": '/etc/x/' {PLAIN_PATH}"),
    ('"/"', f": '/' {PLAIN_PATH}"),
    (f'"/{KEY[1:]}"', ": (hidden) is not a path"),
]
PORT = "is not a whole number from 1 to 65535"
NO_KEY = ": it is not a key: 44 characters of base64 with '=' at the end"
SPAN = "is not a time span. Write '15min', '6h' or 'off'"
TABLE = 'Write [service."UNIT"]'
LISTED = "List it there, or take this table away"
NOT_RUN = "is not below /run. Leave it out: of the host's files only those of /run are hidden"
LOOKS_UP = "names can be looked up outside of the tunnel through it"
NO_TUNNEL = (
    "is not the name of a tunnel. "
    "Use small letters, digits and '-', at most 31, and no '-' at the beginning"
)
NO_NAME = "is not a name on a bus, such as 'org.example.Name'"
BOOLEANS = [
    ('"yes"', ": 'yes' is neither true nor false"),
    ("1", ": 1 is neither true nor false"),
    ("{}", ": a table is neither true nor false"),
]

CREDENTIALS = [
    ('""', ": '' is not the name of a credential"),
    ('".."', ": '..' is not the name of a credential"),
    ('"a/b"', ": 'a/b' is not the name of a credential"),
    ('"a:b"', ": 'a:b' is not the name of a credential"),
    ('"a b"', ": 'a b' is not the name of a credential"),
    ('"a%b"', ": 'a%b' is not the name of a credential"),
    ('"a$b"', ": 'a$b' is not the name of a credential"),
    ('"a\\nb"', ": 'a\\x0ab' is not the name of a credential"),
    ("'a\"b'", ": 'a\"b' is not the name of a credential"),
    ('"ä"', ": 'ä' is not the name of a credential"),
    ("5", ": 5 is not the name of a credential"),
    (f'"{"x." * 128}"', f": '{'x.' * 39}x…' is not the name of a credential"),
    (f'"{KEY}"', ": (hidden) is not the name of a credential"),
]

SETTINGS: dict[str, Rows] = {
    "enable": [
        ('"yes"', ": 'yes' is neither true nor false"),
        ("1", ": 1 is neither true nor false"),
        ("[]", ": a list is neither true nor false"),
    ],
    "config": PATHS,
    "config-credential": CREDENTIALS,
    "address": [
        ('"10.0.0.1"', ": '10.0.0.1' is not a list"),
        ("[]", ": the list is empty"),
        ('["10.0.0.1/33"]', "[0]: '10.0.0.1/33' is not an IP address with a prefix length"),
        ('["::1", "a"]', "[1]: 'a' is not an IP address with a prefix length"),
        ("[{}]", "[0]: a table is not an IP address with a prefix length"),
        (f'["{KEY}"]', "[0]: (hidden) is not an IP address with a prefix length"),
    ],
    "private-key-file": PATHS,
    "private-key-credential": CREDENTIALS,
    "peer": [
        ("[]", ": the list is empty"),
        ("[5]", "[0]: 5 is not a table"),
        ("{}", ": a table is not a list. Write [[peer]], with two brackets"),
        ("[{}]", "[0].public-key: it is missing"),
        ("true", ": true is not a list"),
    ],
    "services": [
        ('"a.service"', ": 'a.service' is not a list"),
        ('["a"]', "[0]: 'a' has no suffix. Write 'a.service'"),
        ("[1979-05-27]", "[0]: a date or time is not the name of a service"),
        ('["a.timer"]', "[0]: 'a.timer' is not a service. Name the service it starts: 'a.service'"),
        ('["a.mount"]', "[0]: 'a.mount' is not a service"),
        ('["a\\nb.service"]', "[0]: 'a\\x0ab.service' is not the name of a service"),
    ],
    "backend": [
        ('"wireguard-go"', ": 'wireguard-go' is none of auto, kernel, userspace"),
        ("true", ": true is none of auto, kernel, userspace"),
        ('"AUTO"', ": 'AUTO' is none of auto, kernel, userspace"),
    ],
    "dns": [
        ('"10.0.0.1"', ": '10.0.0.1' is not a list"),
        ('["10.0.0.1", "dns.example"]', "[1]: 'dns.example' is not an IP address"),
        ("[10.1]", "[0]: 10.1 is not an IP address"),
        ('["10.0.0.1/32"]', "[0]: '10.0.0.1/32' is not an IP address"),
        ('["fe80::1%eth0"]', "[0]: 'fe80::1%eth0' is not an IP address"),
    ],
    "mtu": [
        ("575", ": 575 is not a whole number from 576 to 65535"),
        ("65536", ": 65536 is not a whole number from 576 to 65535"),
        ('"1380"', ": '1380' is not a whole number from 576 to 65535"),
        ("1380.0", ": 1380.0 is not a whole number from 576 to 65535"),
        ("true", ": true is not a whole number from 576 to 65535"),
    ],
    "listen-port": [
        ("0", f": 0 {PORT}"),
        ("65536", f": 65536 {PORT}"),
        ('"http"', f": 'http' {PORT}"),
        ("nan", f": nan {PORT}"),
    ],
    "fwmark": [
        ("-1", ": -1 is not a whole number from 0 to 4294967295"),
        ("0x1ffffffff", ": 8589934591 is not a whole number from 0 to 4294967295"),
        ('"off"', ": 'off' is not a whole number from 0 to 4294967295"),
        (f"0x{'f' * 5000}", ": this number is not a whole number from 0 to 4294967295"),
    ],
    "verify": [
        ("true", ": true is not a table"),
        ('"15min"', ": '15min' is not a table"),
        ("[]", ": a list is not a table"),
        ('{ever = "1h"}', ".ever: unknown key. Did you mean 'every'?"),
        ("{every = 0, on-leak = 1}", f".every: 0 {SPAN}"),
    ],
    "service": [
        ("[]", f": a list is not a table. {TABLE}"),
        ('"x.service"', f": 'x.service' is not a table. {TABLE}"),
        ("{x = {}}", ".x: 'x' has no suffix. Write 'x.service'"),
        ('{"x.service" = 5}', f'."x.service": 5 is not a table. {TABLE}'),
        ('{"x.service" = {}}', '."x.service": it is not in services. ' + LISTED),
        ('{"x.service" = {unit = 5}}', '."x.service".unit: unknown key'),
        (f'{{"{KEY}" = {{}}}}', ".(hidden): (hidden) is not the name of a service"),
    ],
    "publish": [
        ('"80"', ": '80' is not a list"),
        ("[80]", "[0]: 80 is neither text nor a table. Write '80', in quotes"),
        ("[{}]", "[0].listen: it is missing"),
    ],
    "reach": [
        ("{}", ": a table is not a list"),
        ("[80]", "[0]: 80 is not text"),
        (
            '["127.0.0.1:1:127.0.0.1:53"]',
            "[0]: port 53 is DNS: names are looked up through the tunnel alone",
        ),
    ],
    "inbound": [
        ("80", ": 80 is not a table"),
        ("{tcp = 80}", ".tcp: 80 is not a list"),
        ("{sctp = [80]}", ".sctp: unknown key"),
    ],
    "outbound": [
        ("[]", ": a list is not a table"),
        ("{deny = 5}", ".deny: 5 is not a list"),
        ('{deny = ["10.0.0.0/33"]}', ".deny[0]: '10.0.0.0/33' is not an IP network"),
    ],
    "health": [
        ("180", ": 180 is not a table"),
        (
            "{handshake-max-age = 180}",
            ".handshake-max-age: 180 is not a time span. Write '180s', '5min' or 'off'",
        ),
        (
            '{handshake-max-age = "2min"}',
            ".handshake-max-age: '2min' is not from '150s' to '1d'",
        ),
        (
            '{handshake-age = "3min"}',
            ".handshake-age: unknown key. Did you mean 'handshake-max-age'?",
        ),
    ],
    "ready": [
        ("true", ": true is none of link, handshake"),
        ('"ping"', ": 'ping' is none of link, handshake"),
        ("[]", ": a list is none of link, handshake"),
    ],
    "ready-timeout": [
        ("90", ": 90 is not a time span. Write '90s' or '5min'"),
        ('"off"', ": 'off' is not a time span. Write '90s' or '5min'"),
        ('"2h"', ": '2h' is not from '5s' to '1h'"),
    ],
    "reload-on-change": BOOLEANS,
    "encrypted-credentials": BOOLEANS,
    "endpoints": [
        ('"a.example:1"', ": 'a.example:1' is not a list"),
        ('["a.example"]', "[0]: 'a.example' has no port"),
        ("[5]", "[0]: 5 is not of the form 'HOST:PORT'"),
        ("[{}]", "[0].endpoint: it is missing"),
        ('[{endpoint = "a.example:1", key = 1}]', "[0].key: unknown key"),
        ('[{endpoint = "a.example:1", public-key = "a"}]', f"[0].public-key{NO_KEY}"),
    ],
    "endpoint-order": [
        ('"first"', ": 'first' is none of listed, random"),
        ("true", ": true is none of listed, random"),
        ("[]", ": a list is none of listed, random"),
    ],
    "pin-endpoint": [
        ('"yes"', ": 'yes' is neither true nor false"),
        ("0", ": 0 is neither true nor false"),
        ("[]", ": a list is neither true nor false"),
    ],
    "via": [
        ('"Home"', f": 'Home' {NO_TUNNEL}"),
        ('""', f": '' {NO_TUNNEL}"),
        ('"-a"', f": '-a' {NO_TUNNEL}"),
        ('"a\\n"', f": 'a\\x0a' {NO_TUNNEL}"),
        ("5", f": 5 {NO_TUNNEL}"),
        (f'"{"a" * 32}"', f": '{'a' * 32}' {NO_TUNNEL}"),
    ],
}
VERIFY: dict[str, Rows] = {
    "every": [
        ("15", f": 15 {SPAN}"),
        ('"15"', f": '15' {SPAN}"),
        ('"1h 5min"', f": '1h 5min' {SPAN}"),
        ('"-5min"', f": '-5min' {SPAN}"),
        ('"\\u0665min"', f": '\u0665min' {SPAN}"),
        ('"59s"', ": '59s' is not from '1min' to '31d'"),
        ('"32d"', ": '32d' is not from '1min' to '31d'"),
        ("false", f": false {SPAN}"),
    ],
    "on-leak": [
        ('"kill"', ": 'kill' is none of report, stop"),
        ("[]", ": a list is none of report, stop"),
        ("true", ": true is none of report, stop"),
    ],
}
SERVICE: dict[str, Rows] = {
    "allow-paths": [
        ('"/run/x"', ": '/run/x' is not a list"),
        ('["/run/x", "x"]', "[1]: 'x' is not an absolute path"),
        ('["/run"]', f"[0]: '/run' {NOT_RUN}"),
        ('["/srv/x"]', f"[0]: '/srv/x' {NOT_RUN}"),
        ('["/runner"]', f"[0]: '/runner' {NOT_RUN}"),
        ('["/run/../etc"]', f"[0]: '/run/../etc' {PLAIN_PATH}"),
        ('["/run/a b"]', "[0]: '/run/a b' has characters that can't stand in a unit"),
        (
            '["/run/nscd"]',
            f"[0]: '/run/nscd' can't be opened: {LOOKS_UP}",
        ),
    ],
    "allow-bus": [
        ("true", ": true is not a list"),
        ('["avahi"]', f"[0]: 'avahi' {NO_NAME}"),
        ('[":1.5"]', f"[0]: ':1.5' {NO_NAME}"),
        ('["org.example.*"]', f"[0]: 'org.example.*' {NO_NAME}"),
        ('["org.1.x"]', f"[0]: 'org.1.x' {NO_NAME}"),
        (f'["a.{"b" * 255}"]', f"[0]: (hidden) {NO_NAME}"),
        (
            '["org.freedesktop.resolve1"]',
            f"[0]: 'org.freedesktop.resolve1' can't be opened: {LOOKS_UP}",
        ),
        ("[5]", f"[0]: 5 {NO_NAME}"),
    ],
    "hardening": [
        ('"none"', ": 'none' is none of baseline, strict"),
        ("true", ": true is none of baseline, strict"),
        ('"STRICT"', ": 'STRICT' is none of baseline, strict"),
    ],
}
PEER: dict[str, Rows] = {
    "public-key": [
        (f'"{KEY[:-1]}"', NO_KEY),
        (f'"{KEY}x"', NO_KEY),
        (f'"{KEY[:-2]}l="', NO_KEY),
        ('""', NO_KEY),
        ("5", NO_KEY),
    ],
    "endpoint": [
        ('"vpn"', ": 'vpn' has no port"),
        ("51820", ": 51820 is not of the form 'HOST:PORT'"),
        ('"[::1]"', ": '[::1]' is not of the form [IPV6]:PORT"),
        ('"vpn:0"', f": 'vpn:0' {PORT.replace('is not a whole number', 'has no port number')}"),
        ('"a b:5"', ": 'a b:5' has neither an IP address nor a host name before its port"),
        (
            '"2001:db8::1:51820"',
            ": '2001:db8::1:51820' must have an IPv6 address, and only that, in brackets",
        ),
        (
            '"[192.0.2.1]:51820"',
            ": '[192.0.2.1]:51820' must have an IPv6 address, and only that, in brackets",
        ),
    ],
    "allowed-ips": [
        ('"::/0"', ": '::/0' is not a list"),
        ("[]", ": the list is empty"),
        ("[0]", "[0]: 0 is not an IP network"),
        ('["::/0", "10.0.0.0/33"]', "[1]: '10.0.0.0/33' is not an IP network"),
    ],
    "preshared-key-file": PATHS,
    "preshared-key-credential": CREDENTIALS,
    "persistent-keepalive": [
        ("65536", ": 65536 is not a whole number from 0 to 65535"),
        ("-1", ": -1 is not a whole number from 0 to 65535"),
        ('"25"', ": '25' is not a whole number from 0 to 65535"),
        ("true", ": true is not a whole number from 0 to 65535"),
    ],
}

NUMBER = "is not a whole number from"
IS_NO_KEY = "is not a key: 44 characters of base64 with '=' at the end"
KEY_ROWS: Rows = [
    ("= x", IS_NO_KEY),
    (f"= {KEY[:-1]}", IS_NO_KEY),
    (f"= {KEY[:-2]}l=", IS_NO_KEY),
    (f"= {KEY.replace('+', '-')}", IS_NO_KEY),
    (f"= {KEY}x", IS_NO_KEY),
    ("=", "has no value"),
    ("", "has no value"),
]
CONF: dict[str, Rows] = {
    "PrivateKey": KEY_ROWS,
    "Address": [
        ("= 10.0.0.300", "'10.0.0.300' is not an IP address with a prefix length"),
        ("= 10.0.0.1/33", "'10.0.0.1/33' is not an IP address with a prefix length"),
        ("= vpn.example", "'vpn.example' is not an IP address with a prefix length"),
        ("= 10.0.0.1/255.0.0.0", "'10.0.0.1/255.0.0.0' is not an IP address with a prefix length"),
        (f"= {KEY}", "(hidden) is not an IP address with a prefix length"),
        ("", "has no value"),
    ],
    "DNS": [
        ("= 10.0.0.300", "'10.0.0.300' is neither an IP address nor a search domain"),
        ("= tls://a", "'tls://a' is neither an IP address nor a search domain"),
        ("= fe80::1%eth0", "'fe80::1%eth0' is neither an IP address nor a search domain"),
        ("= \x1b[1m", "'\\x1b[1m' is neither an IP address nor a search domain"),
        ("", "has no value"),
    ],
    "MTU": [
        ("= 575", f"'575' {NUMBER} 576 to 65535"),
        ("= 65536", f"'65536' {NUMBER} 576 to 65535"),
        ("= 0x578", f"'0x578' {NUMBER} 576 to 65535"),
        ("= 1e3", f"'1e3' {NUMBER} 576 to 65535"),
        ("", "has no value"),
    ],
    "ListenPort": [
        ("= http", f"'http' {NUMBER} 0 to 65535"),
        ("= 65536", f"'65536' {NUMBER} 0 to 65535"),
        ("= -1", f"'-1' {NUMBER} 0 to 65535"),
        ("=", "has no value"),
    ],
    "FwMark": [
        ("= 0x", "'0x' is not a number from 0x0 to 0xffffffff"),
        ("= 0x1ffffffff", "'0x1ffffffff' is not a number from 0x0 to 0xffffffff"),
        ("= 0xg", "'0xg' is not a number from 0x0 to 0xffffffff"),
        ("= 0X1", f"'0X1' {NUMBER} 0 to 4294967295"),
        ("= 4294967296", f"'4294967296' {NUMBER} 0 to 4294967295"),
        ("=", "has no value"),
    ],
    "Table": [("", "has no value")],
    "SaveConfig": [("", "has no value")],
    "PublicKey": KEY_ROWS,
    "PresharedKey": KEY_ROWS,
    "AllowedIPs": [
        ("= 10.0.0.0/33", "'10.0.0.0/33' is not an IP network"),
        ("= ::/0,", "'' is not an IP network"),
        ("= ++::/0", "'++::/0' is not an IP network"),
        ("= ::/0 0.0.0.0/0", "'::/00.0.0.0/0' is not an IP network"),
        ("", "has no value"),
        ("=", "has no value"),
    ],
    "Endpoint": [
        ("= vpn", "'vpn' has no port"),
        ("= vpn:0", "'vpn:0' has no port number from 1 to 65535"),
        ("= vpn:domain", "'vpn:domain' has no port number from 1 to 65535"),
        ("= [::1]", "'[::1]' is not of the form [IPV6]:PORT"),
        ("= :5", "':5' has neither an IP address nor a host name before its port"),
        ("= 1.2.3:5", "'1.2.3:5' has neither an IP address nor a host name before its port"),
        ("=", "has no value"),
    ],
    "PersistentKeepalive": [
        ("= 65536", f"'65536' {NUMBER} 0 to 65535"),
        ("= on", f"'on' {NUMBER} 0 to 65535"),
        ("= 0x19", f"'0x19' {NUMBER} 0 to 65535"),
        ("=", "has no value"),
    ],
}
IGNORED = {"Table", "SaveConfig"}
"""Whatever they say, it is not done: so nothing that they say is wrong."""


def rows(table: dict[str, Rows]) -> list[tuple[str, str, str]]:
    return [(key, value, problem) for key, found in table.items() for value, problem in found]


def said(text: str) -> str:
    with pytest.raises(ProblemsFound) as caught:
        parse_settings("vpn", [(PurePosixPath("/vpn.toml"), text)])
    return str(caught.value)


def test_no_key_is_left_out() -> None:
    """A new key of either kind of file comes with three wrong values, at least."""
    assert [*KEYS] == [*SETTINGS]
    assert [*ENTRIES] == [*CONF]
    tables = SETTINGS | PEER | VERIFY | SERVICE | CONF
    few = {key for key, found in tables.items() if len(found) < 3}
    assert IGNORED == few


@pytest.mark.parametrize(("key", "value", "problem"), rows(SETTINGS))
def test_wrong_values_of_the_settings(key: str, value: str, problem: str) -> None:
    """Nothing is coerced, and each message names the place."""
    whole = {
        "address": '["10.66.0.2"]',
        "private-key-file": '"/etc/wgconfine/vpn.key"',
        "dns": "[]",
        "peer": f'[{{public-key = "{PEER_KEY}"}}]',
    }
    if key == "private-key-credential":
        del whole["private-key-file"]
    if key in {"config", "config-credential"}:
        whole = {"dns": "[]"}
    text = "".join(f"{name} = {each}\n" for name, each in (whole | {key: value}).items())
    end = "" if problem.endswith("?") else "."
    assert said(text).splitlines()[0] == f"/vpn.toml: {key}{problem}{end}"


@pytest.mark.parametrize(("key", "value", "problem"), [*rows(VERIFY), *rows(SERVICE)])
def test_wrong_values_of_the_tables(key: str, value: str, problem: str) -> None:
    """The message names the table, and of a service's its unit."""
    table = "verify" if key in VERIFY else 'service."x.service"'
    text = f'config = "/c"\nservices = ["x.service"]\n[{table}]\n{key} = {value}\n'
    assert f"/vpn.toml: {table}.{key}{problem}." == said(text)


@pytest.mark.parametrize(("key", "value", "problem"), rows(PEER))
def test_wrong_values_of_a_peer(key: str, value: str, problem: str) -> None:
    """The message names the peer by its position, from 0."""
    peer = {"public-key": f'"{PEER_KEY}"'} | {key: value}
    text = 'address = ["10.66.0.2"]\nprivate-key-file = "/k"\ndns = []\n[[peer]]\n' + "".join(
        f"{name} = {each}\n" for name, each in peer.items()
    )
    assert f"/vpn.toml: peer[0].{key}{problem}." == said(text)


@pytest.mark.parametrize(("key", "value", "problem"), rows(CONF))
def test_wrong_values_of_a_conf(key: str, value: str, problem: str) -> None:
    """Each names its line, its key and, where that is allowed, its value."""
    interface = {"PrivateKey": f"= {KEY}", "Address": "= 10.66.0.2"}
    peer = {"PublicKey": f"= {PEER_KEY}"}
    (interface if ENTRIES[key].section == "Interface" else peer)[key] = value
    lines = ["[Interface]", *(f"{name} {each}" for name, each in interface.items())]
    lines += ["[Peer]", *(f"{name} {each}" for name, each in peer.items())]
    with pytest.raises(ConfError) as caught:
        parse("\n".join(lines), "vpn.conf")
    line = lines.index(f"{key} {value}") + 1
    assert f"vpn.conf:{line}: {key} {problem}." == str(caught.value)
