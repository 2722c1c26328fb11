"""Whatever the settings are: Settings or problems, never another error, never a secret."""

import base64
import json
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import PurePosixPath
from typing import TypeVar

from hypothesis import given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import (
    Backend,
    ConfCredential,
    ConfFile,
    Endpoint,
    Hardening,
    Inline,
    OnLeak,
    Peer,
    Refinement,
    Settings,
    TunnelName,
    UnitName,
    VerifySettings,
)

T = TypeVar("T")

KEYS = st.binary(min_size=32, max_size=32).map(lambda key: base64.b64encode(key).decode())
NAMES = st.sampled_from(
    [
        "config", "address", "private-key-file", "private-key-credential", "private-key",
        "services", "backend", "dns", "mtu", "listen-port", "fwmark", "enable", "publish", "peer",
        "verify", "verify.every", "service", "service.'x.service'", "hardening", "allow-paths",
        "reach", "inbound.tcp", "outbound.deny",
        "adress", "peer.public-key", "peer.endpoint", '"\\u001b"',
    ],
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "1", "-5", "true", "'x'", "'/x'", "[]", "['10.0.0.1']", "['a.service', 5]", "[[1]]", "{}",
        "1.5", "[{}]", "[{public-key = 'x', endpoint = 1}]",
        "['80', '80:81', {listen = '0.0.0.0:1'}]", "['127.0.0.1:1:127.0.0.1:2']", "['5-9', 7]",
        "1979-05-27", "inf", "''", "nan",
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


def toml(value: object) -> str:
    """Write a value of the model as its owner would."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False)


def lines_of(value: object, keys: Iterable[str]) -> str:
    """Write the fields that are set as `key = value`."""
    pairs = [(key, getattr(value, key.replace("-", "_"))) for key in keys]
    return "".join(f"{key} = {toml(each)}\n" for key, each in pairs if each is not None)


def written(tunnel: Settings) -> str:
    """Write a whole file of settings."""
    keys = ["enable", "services", "backend", "dns", "mtu", "listen-port", "fwmark"]
    source = tunnel.wireguard
    if isinstance(source, ConfFile):
        return lines_of(tunnel, keys) + f"config = {toml(source.path)}\n" + tables_of(tunnel)
    if isinstance(source, ConfCredential):
        line = f"config-credential = {toml(source.name)}\n"
        return lines_of(tunnel, keys) + line + tables_of(tunnel)
    text = lines_of(tunnel, keys)
    text += lines_of(source, ["address", "private-key-file", "private-key-credential"])
    peer_keys = ["public-key", "endpoint", "allowed-ips", "preshared-key-file"]
    peer_keys += ["preshared-key-credential", "persistent-keepalive"]
    text += "".join("[[peer]]\n" + lines_of(peer, peer_keys) for peer in source.peers)
    return text + tables_of(tunnel)


def tables_of(tunnel: Settings) -> str:
    """Write what stands in tables of their own."""
    every = "off" if tunnel.verify.every is None else f"{tunnel.verify.every}s"
    text = f'[verify]\nevery = "{every}"\non-leak = "{tunnel.verify.on_leak}"\n'
    for each in tunnel.refinements:
        text += f"[service.{toml(each.unit)}]\n"
        text += lines_of(each, ["allow-paths", "allow-bus", "hardening"])
    return text


def tuples(values: st.SearchStrategy[T], low: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, min_size=low, max_size=3, unique=True).map(tuple)


PORTS = st.integers(1, 65535)
PATHS = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/."), min_size=1, max_size=9
).map(lambda name: PurePosixPath("/etc/wireguard x", name))
UNITS = st.from_regex(r"[a-z0-9:_.\\-]{1,9}(@[a-z:\\-]{1,9})?\.service", fullmatch=True)
IPV6_INTERFACES = st.builds(IPv6Interface, st.tuples(st.ip_addresses(v=6), st.integers(0, 128)))
INTERFACES = st.one_of(
    st.builds(IPv4Interface, st.tuples(st.ip_addresses(v=4), st.integers(0, 32))), IPV6_INTERFACES
)
HOSTS = st.one_of(st.just("vpn.example.net"), st.ip_addresses().map(str))
CREDENTIALS = st.from_regex(r"[a-zA-Z0-9_-]{1,30}", fullmatch=True)
PEERS = st.builds(
    lambda preshared, **rest: Peer(**preshared, **rest),
    st.just({})
    | st.builds(dict, preshared_key_file=PATHS)
    | st.builds(dict, preshared_key_credential=CREDENTIALS),
    public_key=KEYS,
    endpoint=st.none() | st.builds(Endpoint, host=HOSTS, port=PORTS),
    allowed_ips=tuples(INTERFACES.map(lambda each: each.network), 1),
    persistent_keepalive=st.none() | PORTS,
)
PEER_LISTS = st.lists(PEERS, min_size=1, max_size=3, unique_by=lambda each: each.public_key)
INLINES = st.builds(
    lambda named, **rest: Inline(**{named[0]: named[1]}, **rest),
    st.tuples(st.just("private_key_file"), PATHS)
    | st.tuples(st.just("private_key_credential"), CREDENTIALS),
    address=tuples(INTERFACES, 1),
    peers=PEER_LISTS.map(tuple),
)
REFINEMENTS = st.builds(
    Refinement,
    unit=st.just(UnitName("")),
    allow_paths=tuples(
        st.sampled_from(["/run/x", "/run/a/b.sock", "/run/user/1000/pulse"]).map(PurePosixPath),
    ),
    allow_bus=tuples(
        st.from_regex(r"[A-Za-z_-]{1,9}(\.[a-z_-][a-z0-9_-]{0,9}){1,3}", fullmatch=True)
    ),
    hardening=st.sampled_from(Hardening),
)
TUNNELS = st.builds(
    Settings,
    name=st.just(TunnelName("vpn")),
    path=st.just(PurePosixPath("/vpn.toml")),
    digest=st.just(""),
    wireguard=INLINES
    | st.builds(ConfFile, path=PATHS)
    | st.builds(ConfCredential, name=CREDENTIALS),
    enable=st.booleans(),
    services=tuples(
        UNITS.filter(lambda unit: not unit.startswith((".", "wgconfine"))).map(UnitName)
    ),
    backend=st.sampled_from(Backend),
    dns=tuples(st.integers(1, 254).map("127.0.0.{}".format).map(ip_address)),
    mtu=st.none() | st.integers(1280, 65535),
    listen_port=st.none() | PORTS,
    fwmark=st.none() | st.integers(0, 0xFFFFFFFF),
    verify=st.builds(
        VerifySettings,
        every=st.none() | st.integers(60, 86400),
        on_leak=st.sampled_from(OnLeak),
    ),
)


@given(TUNNELS, st.lists(REFINEMENTS, max_size=3))
def test_values_survive(tunnel: Settings, said: list[Refinement]) -> None:
    """What is written into the settings is what is read from them, all of it."""
    pairs = zip(said, tunnel.services, strict=False)
    tunnel = replace(tunnel, refinements=tuple(replace(each, unit=unit) for each, unit in pairs))
    parsed = parse_settings("vpn", [(tunnel.path, written(tunnel))])
    assert tunnel == replace(parsed, digest="")
