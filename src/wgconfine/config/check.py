"""What is wrong only between files: two settings, or settings and the `.conf` that they name."""

from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import PurePosixPath

from wgconfine.config.conf import MTU_MIN_IPV6, Conf, ConfError, ConfPeer, ConfProblem
from wgconfine.config.entries import ENTRIES
from wgconfine.config.places import place_of
from wgconfine.config.wgquick import decode, parse
from wgconfine.config.words import suggest
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import (
    ConfCredential,
    ConfFile,
    IPAddress,
    IPInterface,
    IPNetwork,
    Peer,
    Settings,
)

__all__ = [
    "DNS_HINT",
    "MTU_HINT",
    "PEERS_HINT",
    "REACH_HINT",
    "PrivateKey",
    "check_all",
    "check_conf",
    "check_keys",
    "decode_conf",
    "parse_conf",
    "private_key",
    "remarks_on_inbound",
    "too_small",
    "unreachable",
]

DNS_HINT = 'Write dns = ["ADDRESS"] with the provider\'s resolver, or dns = [] for none'
REACH_HINT = "Name a resolver that the tunnel leads to"
MTU_HINT = "Give more, or take the IPv6 address away"
PEERS_HINT = "Give each peer its own endpoint instead"
KEY_HINT = "Get one for each tunnel: two with the same key cut each other off"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A tunnel's private key by a digest; `source` is the setting that leads to it."""

    where: str
    source: tuple[str, str]
    digest: bytes


def private_key(settings: Settings, where: str, key: str) -> PrivateKey:
    """Give what may be kept of a private key (in base64) that was found at `where`.

    Five of its bits do not count (RFC 7748, 5): keys that differ only there are the same to peers.
    """
    raw = bytearray(b64decode(key))
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    source = _key_source(settings)
    return PrivateKey(where=where, source=source, digest=sha256(raw).digest())


def parse_conf(path: PurePosixPath, data: bytes, settings: Settings | None = None) -> Conf:
    """Read a `.conf` for a person: as the runtime will, and with a guess for each misspelt key.

    Raises ProblemsFound. `settings`, where known, silence the warnings of what they decide.
    """
    where = place_of(path)
    decided = {"ListenPort": "listen_port", "FwMark": "fwmark"}
    repeated = [key for key, name in decided.items() if getattr(settings, name, None) is not None]
    text = decode_conf(path, data)
    try:
        return parse(text, where, repeated=repeated)
    except ConfError as error:
        problems = [_problem(path, problem) for problem in error.problems]
    raise ProblemsFound(problems)


def decode_conf(path: PurePosixPath, data: bytes) -> str:
    """Give the text of a `.conf`. Raises ProblemsFound."""
    try:
        return decode(data, place_of(path))
    except ConfError as error:
        problems = [_problem(path, problem) for problem in error.problems]
    raise ProblemsFound(problems)


def check_conf(conf: Conf, settings: Settings, path: PurePosixPath) -> list[Problem]:
    """Check a `.conf` (at `path`) and the settings that name it, together."""
    problems: list[Problem] = []
    dns_place = place_of(settings.path, "dns")
    if settings.dns is None:
        if not conf.dns:
            what = f"no resolver is named, neither here nor as DNS in {place_of(path)}"
            problems.append(Problem(where=dns_place, what=what, hint=DNS_HINT))
        else:
            dns_place = f"{place_of(path)}:{conf.lines['DNS']}"
    addresses = [ip_interface(text) for text in conf.addresses]
    networks = [ip_network(text) for peer in conf.peers for text in peer.allowed_ips]
    resolvers = [ip_address(text) for text in conf.dns] if settings.dns is None else settings.dns
    if what := unreachable(resolvers, addresses, networks):
        problems.append(Problem(where=dns_place, what=what, hint=REACH_HINT))
    if settings.mtu is not None and (what := too_small(settings.mtu, addresses)):
        problems.append(Problem(where=place_of(settings.path, "mtu"), what=what, hint=MTU_HINT))
    if settings.endpoints and len(conf.peers) > 1:
        what = f"they are of one peer, and {place_of(path)} has {len(conf.peers)}"
        where = place_of(settings.path, "endpoints")
        problems.append(Problem(where=where, what=what, hint=PEERS_HINT))
    for peer in conf.peers if settings.pin_endpoint and not settings.endpoints else ():
        if peer.endpoint is None:
            what = f"{place_of(path)}:{peer.line}: this [Peer] has no Endpoint"
            where = place_of(settings.path, "pin-endpoint")
            problems.append(Problem(where=where, what=what, hint="Write one there"))
    return problems


def remarks_on_inbound(settings: Settings, peers: Iterable[Peer | ConfPeer]) -> list[Problem]:
    """Say why nothing could ever arrive on the inbound ports, or only sometimes."""
    if not (settings.inbound.tcp or settings.inbound.udp):
        return []
    peers = tuple(peers)
    called = [each for each in peers if each.endpoint]
    if not any(each.allowed_ips for each in peers):
        what, hint = "nothing can arrive: no peer has AllowedIPs", "Name who may send"
    elif not called and settings.listen_port is None:
        what = "nothing can arrive: no peer has an endpoint, and there is no listen-port"
        hint = "Name the one or the other"
    elif called and not any(each.persistent_keepalive for each in called):
        what = "behind NAT nothing arrives after a pause: no peer has PersistentKeepalive"
        hint = "Set it to 25 seconds, unless this machine can always be reached"
    else:
        return []
    return [Problem(where=place_of(settings.path, "inbound"), what=what, hint=hint)]


def check_all(settings: Sequence[Settings]) -> list[Problem]:
    """Check the settings of all tunnels of a machine together."""
    problems: list[Problem] = []
    first: dict[str, Settings] = {}
    for tunnel in sorted(settings, key=lambda each: each.name):
        for unit in tunnel.services:
            owner = first.setdefault(unit, tunnel)
            if owner is not tunnel:
                what = f"'{unit}' is also a service of {place_of(owner.path)}"
                where = place_of(tunnel.path, "services")
                problems.append(Problem(where=where, what=what, hint="Keep it in one tunnel"))
    enabled = [each for each in settings if each.enable]
    return problems + _check_key_sources(enabled) + _check_marks(enabled)


def check_keys(keys: Iterable[PrivateKey]) -> list[Problem]:
    """Check that no two tunnels have the same private key; `check_all` knows of the same source."""
    problems: list[Problem] = []
    first: dict[bytes, PrivateKey] = {}
    for key in sorted(keys, key=lambda each: each.where):
        other = first.setdefault(key.digest, key)
        if other.source != key.source:
            what = f"the private key is also that of {other.where}"
            problems.append(Problem(where=key.where, what=what, hint=KEY_HINT))
    return problems


def _check_marks(settings: Sequence[Settings]) -> list[Problem]:
    """Check that a mark by which packets are pinned is of one tunnel alone."""
    problems: list[Problem] = []
    for tunnel in (each for each in settings if each.pin_endpoint):
        for other in settings:
            if other is not tunnel and other.outer_mark == tunnel.outer_mark:
                what = f"{place_of(other.path)} has the mark {tunnel.outer_mark}, too"
                hint = "Give fwmark, a number of its own for each"
                where = place_of(tunnel.path, "pin-endpoint")
                problems.append(Problem(where=where, what=what, hint=hint))
    return problems


def _check_key_sources(settings: Iterable[Settings]) -> list[Problem]:
    problems: list[Problem] = []
    first: dict[tuple[str, str], Settings] = {}
    for tunnel in sorted(settings, key=lambda each: each.name):
        key, source = _key_source(tunnel)
        owner = first.setdefault((key, source), tunnel)
        if owner is not tunnel:
            what = f"'{source}' is also that of {place_of(owner.path)}"
            problems.append(Problem(where=place_of(tunnel.path, key), what=what, hint=KEY_HINT))
    return problems


def _key_source(settings: Settings) -> tuple[str, str]:
    """Give the key of the settings that says where the private key is, and its value."""
    source = settings.wireguard
    if isinstance(source, ConfFile):
        return "config", str(source.path)
    if isinstance(source, ConfCredential):
        return "config-credential", source.name
    if source.private_key_file is not None:
        return "private-key-file", str(source.private_key_file)
    return "private-key-credential", str(source.private_key_credential)


def unreachable(
    resolvers: Iterable[IPAddress],
    addresses: Iterable[IPInterface],
    networks: Iterable[IPNetwork],
) -> str:
    """Say why no look-up could ever be answered: no resolver is where the tunnel leads. Else empty.

    One that can be reached is enough: providers name an IPv6 resolver to those without IPv6, too. A
    resolver on loopback is a service inside.
    """
    families = {address.version for address in addresses}
    reached = [network for network in networks if network.version in families]
    asked = tuple(resolvers)
    if not asked or any(
        resolver.is_loopback or any(resolver in network for network in reached)
        for resolver in asked
    ):
        return ""
    return f"{', '.join(map(str, asked))}: the tunnel has no address or no AllowedIPs for that"


def too_small(mtu: int, addresses: Iterable[IPInterface]) -> str:
    """Say that an MTU (in bytes) is too small for these addresses. Else empty."""
    sixes = [address for address in addresses if isinstance(address, IPv6Interface)]
    if mtu >= MTU_MIN_IPV6 or not sixes:
        return ""
    return f"{mtu} is less than {MTU_MIN_IPV6}, which the IPv6 address {sixes[0]} needs"


def _problem(path: PurePosixPath, problem: ConfProblem) -> Problem:
    where = place_of(path) + (f":{problem.line}" if problem.line else "")
    hint = suggest(problem.word, ENTRIES) if problem.word else problem.hint
    return Problem(where=where, what=problem.what, hint=hint)
