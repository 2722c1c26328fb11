"""What is wrong only between files: two settings, or settings and the `.conf` that they name."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import PurePosixPath

from wgconfine.config.conf import Conf, ConfError, ConfProblem
from wgconfine.config.entries import ENTRIES
from wgconfine.config.places import place_of
from wgconfine.config.values import MTU_MIN_IPV6
from wgconfine.config.wgquick import decode, parse
from wgconfine.config.words import suggest
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import IPAddress, IPInterface, IPNetwork, Settings

__all__ = [
    "DNS_HINT",
    "REACH_HINT",
    "check_all",
    "check_conf",
    "parse_conf",
    "too_small",
    "unreachable",
]

DNS_HINT = 'Write dns = ["ADDRESS"] with the provider\'s resolver, or dns = [] for none'
REACH_HINT = "Name a resolver that the tunnel leads to"


def parse_conf(path: PurePosixPath, data: bytes, settings: Settings | None = None) -> Conf:
    """Read a `.conf` for a person: as the runtime will, and with a guess for each misspelt key.

    Raises ProblemsFound. `settings`, where known, silence the warnings of what they decide.
    """
    where = place_of(path)
    decided = {"ListenPort": "listen_port", "FwMark": "fwmark"}
    repeated = [key for key, name in decided.items() if getattr(settings, name, None) is not None]
    try:
        return parse(decode(data, where), where, repeated=repeated)
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
        problems.append(Problem(where=place_of(settings.path, "mtu"), what=what))
    return problems


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
    return problems


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
