"""What `wg show LINK dump` tells of a tunnel's link, judged. Pure; holds public keys alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from wgconfine.config.conf import Conf, ConfPeer
from wgconfine.config.wgquick import parse_ip
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.runtime.endpoint import is_usable
from wgconfine.runtime.link import endpoint_text

__all__ = ["Device", "DevicePeer", "judge_device", "parse_dump"]

check = partial(Check, area=Area.STRUCTURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePeer:
    """One peer as the link has it; `endpoint` is None before there is any."""

    public_key: str
    endpoint: str | None
    allowed_ips: frozenset[str]
    keepalive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The link as it is; `fwmark` is `off` or hexadecimal."""

    listen_port: str
    fwmark: str
    peers: tuple[DevicePeer, ...]


def parse_dump(text: str) -> Device:
    """Read `wg show LINK dump` (wg(8)); the private and preshared keys are dropped.

    Raises ValueError for what is none.
    """
    first, *rest = (line.split("\t") for line in text.splitlines())
    _, _, listen_port, fwmark = first
    peers = []
    for public_key, _, endpoint, allowed_ips, _, _, _, keepalive in rest:
        peers.append(
            DevicePeer(
                public_key=public_key,
                endpoint=None if endpoint == "(none)" else endpoint,
                allowed_ips=frozenset(set(allowed_ips.split(",")) - {"(none)"}),
                keepalive=keepalive,
            )
        )
    return Device(listen_port=listen_port, fwmark=fwmark, peers=tuple(peers))


def judge_device(device: Device, conf: Conf, mend: str) -> list[Check]:
    """Compare the link with what the tunnel was configured with; `mend` configures it anew."""
    declared = {peer.public_key: peer for peer in conf.peers}
    found = {peer.public_key: peer for peer in device.peers}
    return [
        judge_peers(found, declared, mend),
        judge_allowed_ips(found, owned_networks(conf.peers), mend),
        judge_endpoints(found, declared, mend),
        judge_options(device, conf, mend),
    ]


def owned_networks(peers: Sequence[ConfPeer]) -> dict[str, frozenset[str]]:
    """Give what each peer has in the end: of peers that name the same network the last gets it."""
    owners = {network: peer.public_key for peer in peers for network in peer.allowed_ips}
    return {
        peer.public_key: frozenset(net for net, owner in owners.items() if owner == peer.public_key)
        for peer in peers
    }


def short(public_key: str) -> str:
    return f"{public_key[:8]}…"


def judge_peers(
    found: Mapping[str, DevicePeer], declared: Mapping[str, ConfPeer], mend: str
) -> Check:
    strangers = sorted(found.keys() - declared.keys())
    missing = sorted(declared.keys() - found.keys())
    if strangers:
        evidence = f"not declared: {', '.join(map(short, strangers))}"
        return check(name="peers", verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    if missing:
        evidence = f"missing: {', '.join(map(short, missing))}"
        return check(name="peers", verdict=Verdict.BROKEN, evidence=evidence, mend=mend)
    evidence = ", ".join(map(short, sorted(found)))
    return check(name="peers", verdict=Verdict.OK, evidence=evidence)


def judge_allowed_ips(
    found: Mapping[str, DevicePeer], declared: Mapping[str, frozenset[str]], mend: str
) -> Check:
    wrong = [
        f"{short(key)} has {', '.join(sorted(peer.allowed_ips)) or 'none'}"
        for key, peer in found.items()
        if key in declared and peer.allowed_ips != declared[key]
    ]
    if wrong:
        evidence = "; ".join(wrong)
        return check(name="allowed-ips", verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    return check(name="allowed-ips", verdict=Verdict.OK, evidence="as declared")


def judge_endpoints(
    found: Mapping[str, DevicePeer], declared: Mapping[str, ConfPeer], mend: str
) -> Check:
    """Compare each endpoint with the declared address; of a host name, what may be known of it.

    A peer that answers from another address than the declared one moves its endpoint: WireGuard
    then sends there. That is named, too, for nothing tells it from one that was set by hand.
    """
    moved, waiting = [], []
    for key, peer in found.items():
        wanted = declared[key].endpoint if key in declared else None
        if wanted is None:
            continue
        if peer.endpoint is None:
            waiting.append(f"{short(key)} has none yet, {wanted[0]} has not been looked up")
        elif not is_endpoint(peer.endpoint, *wanted):
            moved.append(f"{short(key)} is at {peer.endpoint}, declared {endpoint_text(*wanted)}")
    if moved:
        evidence = "; ".join(moved)
        return check(name="endpoints", verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    if waiting:
        return check(name="endpoints", verdict=Verdict.BROKEN, evidence="; ".join(waiting))
    evidence = ", ".join(sorted(each.endpoint for each in found.values() if each.endpoint))
    return check(name="endpoints", verdict=Verdict.OK, evidence=evidence or "none declared")


def is_endpoint(seen: str, host: str, port: int) -> bool:
    """Tell whether an endpoint, as wg(8) writes it, can be the declared one."""
    address, _, number = seen.rpartition(":")
    address = address.strip("[]")
    if number != str(port):
        return False
    wanted = parse_ip(host)
    return is_usable(address) if wanted is None else parse_ip(address) == wanted


def judge_options(device: Device, conf: Conf, mend: str) -> Check:
    """Compare what the settings decide alone: port, mark and keepalive."""
    wrong = []
    if conf.listen_port and device.listen_port != str(conf.listen_port):
        wrong.append(f"listen-port is {device.listen_port}, declared {conf.listen_port}")
    mark = 0 if device.fwmark == "off" else int(device.fwmark, 16)
    if mark != (conf.fwmark or 0):
        wrong.append(f"fwmark is {device.fwmark}, declared {conf.fwmark or 'none'}")
    keepalives = {peer.public_key: peer.persistent_keepalive or 0 for peer in conf.peers}
    for peer in device.peers:
        seconds = 0 if peer.keepalive == "off" else int(peer.keepalive)
        if peer.public_key in keepalives and seconds != keepalives[peer.public_key]:
            wrong.append(f"{short(peer.public_key)} has a keepalive of {peer.keepalive}")
    if wrong:
        evidence = "; ".join(wrong)
        return check(name="wireguard", verdict=Verdict.BROKEN, evidence=evidence, mend=mend)
    return check(name="wireguard", verdict=Verdict.OK, evidence="port, mark and keepalive")
