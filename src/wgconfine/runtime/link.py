"""The WireGuard link inside the namespace: what wg(8) and ip(8) are told. Text, mostly."""

from __future__ import annotations

import os

from wgconfine.config import wgquick
from wgconfine.config.conf import MTU_MIN_IPV6
from wgconfine.runtime import paths
from wgconfine.runtime.failure import Failure, step
from wgconfine.runtime.process import run
from wgconfine.runtime.state import read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Section = dict[str, list[str]]

NOTHING: Mapping[str, str] = {}
ABSENT = {"FwMark": "0", "PersistentKeepalive": "0", "PresharedKey": f"{'A' * 43}="}
"""How wg(8) is told that there is none. It has no such word for an Endpoint."""
ARGUMENT_MAX = 128 * 1024
"""How long an argument may be, in bytes: MAX_ARG_STRLEN, execve(2)."""
NONE = "(none)"
"""How wg(8) says it."""
STDIN = "/proc/self/fd/0"  # /dev/stdin is a link to it that a bare /dev may lack
HEADERS = 80  # IPv6 40 + UDP 8 + WireGuard 32 bytes: wg-quick's allowance
ETHERNET_MTU = 1500
DEFAULT_MTU = ETHERNET_MTU - HEADERS


def wg_config(conf: wgquick.Conf, known: Mapping[str, str] = NOTHING) -> str:
    """Give wg(8)'s own configuration format; a peer whose name is not `known` has no Endpoint."""
    lines = ["[Interface]", f"PrivateKey = {conf.private_key}"]
    if conf.listen_port:
        lines.append(f"ListenPort = {conf.listen_port}")
    if conf.fwmark:
        lines.append(f"FwMark = {conf.fwmark:#x}")
    for peer in conf.peers:
        lines += ["[Peer]", f"PublicKey = {peer.public_key}"]
        if peer.preshared_key:
            lines.append(f"PresharedKey = {peer.preshared_key}")
        if peer.allowed_ips:  # wg(8) takes no empty list
            lines.append(f"AllowedIPs = {', '.join(peer.allowed_ips)}")
        if peer.endpoint and (address := address_of(peer.endpoint[0], known)):
            lines.append(f"Endpoint = {endpoint_text(address, peer.endpoint[1])}")
        lines.append(f"PersistentKeepalive = {peer.persistent_keepalive or 0}")
    return "\n".join(lines) + "\n"


class Changes:
    """What a live link is to be told so that a configuration is in force: nothing, maybe.

    What is right already is not set again: wireguard-go opens its sockets anew each time that it
    is told of a port, its own too, and what arrives meanwhile is lost. What is not said stays: the
    source port, and an Endpoint.

    With `afresh` a peer that is elsewhere than it should be is made anew, without a session: under
    the old one a packet that comes late, as there always is one under load, would have WireGuard
    follow it back. Only where it is the one peer there is: while it is away, what is sent to its
    networks would be for another one's eyes.
    """

    def __init__(self, live: str, wanted: str, *, afresh: bool = False) -> None:
        there, said = sections(live), sections(wanted)
        give_to_the_last(said)
        interface = differences(there.pop("", {}), said.pop("", {}))
        lines = ["[Interface]", *interface] if interface else []
        self.peers = 0
        self.first: list[str] = []  # the public keys of peers that shall be no more before that
        if afresh and len(said) == 1 and list(there) == list(said):
            ((key, peer),) = said.items()
            if "Endpoint" in peer and peer["Endpoint"] != there[key].get("Endpoint"):
                self.first.append(key)
                del there[key]
        for key, peer in said.items():
            before = there.pop(key, None)
            if before is None or not is_in_force(before, peer):
                lines += ["[Peer]", f"PublicKey = {key}", *differences(before or {}, peer)]
                self.peers += 1
        self.text = "".join(f"{line}\n" for line in lines)  # for `wg addconf`
        self.gone = list(there)  # the public keys of peers that shall be no more


def sections(text: str) -> dict[str, Section]:
    """Read wg(8)'s own format: what is said of the interface, and of each peer by its key."""
    found: dict[str, Section] = {}
    here: Section = {}
    for line in text.splitlines():
        key, _, value = line.partition(" = ")
        if line == "[Interface]":
            here = found.setdefault("", {})
        elif key == "PublicKey":
            here = found.setdefault(value, {})
        elif value and value != ABSENT.get(key):
            here[key] = sorted(value.split(", "))
    return found


def give_to_the_last(said: dict[str, Section]) -> None:
    """Leave a network of several peers to the last of them, as WireGuard does."""
    taken: set[str] = set()
    for section in reversed(said.values()):
        networks = section.pop("AllowedIPs", [])
        if left := [each for each in networks if each not in taken]:
            section["AllowedIPs"] = left
        taken.update(networks)


def is_in_force(there: Section, said: Section) -> bool:
    """Tell whether a peer is what is said of it."""
    stays = {key: there[key] for key in there if key == "Endpoint"}
    return there == {**stays, **said}


def differences(there: Section, said: Section) -> list[str]:
    """Give the lines that differ, and those that take something away.

    All networks in any case: each [Peer] begins with none.
    """
    return [
        *(
            f"{key} = {', '.join(value)}"
            for key, value in said.items()
            if key == "AllowedIPs" or value != there.get(key)
        ),
        *(f"{key} = {ABSENT[key]}" for key in there if key in ABSENT and key not in said),
    ]


def start_over(wg_name: str, public_key: str, endpoint: str) -> None:
    """Set another endpoint of the one peer by making it anew: see Changes.

    Nor does a handshake that a packet has begun before, with nobody to send it to, keep the next
    one waiting for 5 s: REKEY_TIMEOUT. In one call of wg(8), and all that was set of it is kept.
    """
    secret = asked(wg_name, "preshared-keys", public_key)
    allowed = asked(wg_name, "allowed-ips", public_key)
    keepalive = asked(wg_name, "persistent-keepalive", public_key)
    if len(allowed) >= ARGUMENT_MAX:
        set_where(wg_name, public_key, endpoint)
        return
    step(f"wg set {wg_name} peer {public_key} remove peer {public_key} endpoint {endpoint}")
    # fmt: off
    run(
        "wg", "set", wg_name, "peer", public_key, "remove", "peer", public_key,
        "endpoint", endpoint, "persistent-keepalive", keepalive,
        "allowed-ips", "" if allowed == NONE else allowed.replace(" ", ","),
        *(() if secret == NONE else ("preshared-key", STDIN)), text=secret,
    )
    # fmt: on


def set_where(wg_name: str, public_key: str, endpoint: str) -> None:
    """Set another endpoint of a peer, and nothing else."""
    step(f"wg set {wg_name} peer {public_key} endpoint {endpoint}")
    run("wg", "set", wg_name, "peer", public_key, "endpoint", endpoint)


def asked(wg_name: str, what: str, public_key: str) -> str:
    """Give what wg(8) says of one peer."""
    lines = run("wg", "show", wg_name, what).split("\n")
    values = [line.partition("\t")[2] for line in lines if line.startswith(f"{public_key}\t")]
    return values[0] if values else NONE


def address_of(host: str, known: Mapping[str, str]) -> str:
    """Give the address of an endpoint's host; empty for a name of which none is known."""
    return host if wgquick.parse_ip(host) else known.get(host, "")


def declaration(conf: wgquick.Conf) -> str:
    """Give a configuration as a wg-quick .conf without its secrets, as `verify` compares it."""
    lines = ["[Interface]", f"Address = {', '.join(conf.addresses)}"]
    lines += [f"DNS = {', '.join((*conf.dns, *conf.search))}"] if conf.dns else []
    lines += [f"MTU = {conf.mtu}"] if conf.mtu is not None else []
    for peer in conf.peers:
        lines += ["[Peer]", f"PublicKey = {peer.public_key}"]
        lines += [f"AllowedIPs = {', '.join(peer.allowed_ips)}"] if peer.allowed_ips else []
        lines += [f"Endpoint = {endpoint_text(*peer.endpoint)}"] if peer.endpoint else []
        lines.append(f"PersistentKeepalive = {peer.persistent_keepalive or 0}")
    return "\n".join(lines) + "\n"


def endpoint_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def declared(name: str) -> wgquick.Conf:
    """Read what a running tunnel was configured with, without its secrets. Raises Failure."""
    place = f"{paths.tunnel_state(name)}/{paths.DECLARED}"
    try:
        return wgquick.parse(read_state(place), place, need_private_key=False)
    except wgquick.ConfError as error:
        raise Failure(str(error)) from None


def wanted_addresses(conf: wgquick.Conf, *, ipv6: bool) -> list[str]:
    return [address for address in conf.addresses if ipv6 or ":" not in address]


def wanted_routes(conf: wgquick.Conf, *, ipv6: bool) -> list[str]:
    """Give the AllowedIPs of all peers: what they do not cover has no route at all.

    Nor has a family without an address: what is sent from `::1` instead comes to nobody, and the
    program would wait, where without a route connect(2) fails at once with ENETUNREACH.
    """
    networks = {each: None for peer in conf.peers for each in peer.allowed_ips}
    families = {":" in address for address in wanted_addresses(conf, ipv6=ipv6)}
    return [network for network in networks if (":" in network) in families]


def bring_up(addresses: list[str], routes: list[str], mtu: int) -> list[str]:
    """Give the lines for `ip -batch` that set the link up; each may be given again and again."""
    return [
        *(f"address replace {each} dev {paths.LINK}" for each in addresses),
        f"link set dev {paths.LINK} mtu {mtu} up",
        *(f"route replace {each} dev {paths.LINK}" for each in routes),
    ]


class Live:
    """The link as it is. Addresses and routes are written as the wanted ones are."""

    def __init__(self, kind: str, addresses: list[str], routes: list[str]) -> None:
        self.kind, self.addresses, self.routes = kind, addresses, routes

    def leftovers(self, addresses: list[str], routes: list[str]) -> list[str]:
        """Give the lines for `ip -batch` that take away what is no longer wanted."""
        return [
            *(f"route del {each} dev {paths.LINK}" for each in self.routes if each not in routes),
            *(
                f"address del {each} dev {paths.LINK}"
                for each in self.addresses
                if each not in addresses
            ),
        ]


def inspect() -> Live:
    """Read the link from inside its namespace. Raises Failure."""
    import json  # noqa: PLC0415 — not needed where the link is new, which is every ordinary start

    found = json.loads(run("ip", "-j", "-d", "address", "show", "dev", paths.LINK))[0]
    addresses = [f"{each['local']}/{each['prefixlen']}" for each in found["addr_info"]]
    routes: list[str] = []
    for version, everything in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
        output = run("ip", "-j", version, "route", "show", "dev", paths.LINK)
        routes += [
            full_prefix(each["dst"], everything)
            for each in json.loads(output or "[]")
            if each.get("protocol") != "kernel"
        ]
    return Live(found.get("linkinfo", {}).get("info_kind", ""), addresses, routes)


def missing(conf: wgquick.Conf) -> list[str]:
    """Say what of a configuration this namespace lacks: link, addresses, routes. Raises Failure."""
    if paths.LINK not in names_in_this_namespace():
        return [f"link {paths.LINK}"]
    live, ipv6 = inspect(), has_ipv6()
    addresses, routes = wanted_addresses(conf, ipv6=ipv6), wanted_routes(conf, ipv6=ipv6)
    return [
        *(f"address {each}" for each in addresses if each not in live.addresses),
        *(f"route {each}" for each in routes if each not in live.routes),
    ]


def kind_of_link(name: str = paths.LINK) -> str:
    """Give the kind of whatever link bears the name; empty for a physical one. Raises Failure."""
    import json  # noqa: PLC0415 — a stop needs it, an ordinary start does not

    found = json.loads(run("ip", "-j", "-d", "link", "show", "dev", name))[0]
    return str(found.get("linkinfo", {}).get("info_kind", ""))


def is_tun(name: str) -> bool:
    """Tell whether a link of the host is a tun device, as wireguard-go makes them."""
    return os.path.exists(f"/sys/class/net/{name}/tun_flags")


def full_prefix(destination: str, everything: str) -> str:
    """Write a route's destination with its prefix length, which ip(8) leaves out of two kinds."""
    if destination == "default":
        return everything
    if "/" in destination:
        return destination
    return f"{destination}/{128 if ':' in destination else 32}"


def names_in_this_namespace() -> list[str]:
    """Give the links of this process's namespace: /proc/net follows it, /sys does not."""
    with open("/proc/self/net/dev", encoding="ascii") as file:
        return [line.partition(":")[0].strip() for line in file if ":" in line]


def tried_to_send() -> int:
    """Give how many packets were given to the link, those that it could not send among them.

    What wg(8) counts as sent leaves out what the host has no way for. From inside; 0 without link.
    """
    with open("/proc/self/net/dev", encoding="ascii") as file:
        rows = (line.partition(":") for line in file)
        counts = [row.split() for name, _, row in rows if name.strip() == paths.LINK]
    return sum(int(each) for row in counts for each in row[9:12])


def has_ipv6() -> bool:
    """Tell whether this namespace has IPv6 at all (not so with `ipv6.disable=1`)."""
    return os.path.exists("/proc/self/net/if_inet6")


def mtu_of_routes(output: str) -> int | None:
    """Give the smallest path MTU in bytes of what `ip route get` printed, None without a route."""
    found: list[int] = []
    for words in (line.split() for line in output.splitlines()):
        if "mtu" in words:
            value = words[words.index("mtu") + 1 :]
            found.append(int(value[1] if value[0] == "lock" else value[0]))
        elif "dev" in words:
            found.append(mtu_of_link(words[words.index("dev") + 1]))
    return min(found, default=None)


def mtu_of_link(name: str) -> int:
    try:
        with open(f"/sys/class/net/{name}/mtu", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return ETHERNET_MTU


def mtu_of(conf: wgquick.Conf, path_mtu: int | None, *, via: bool) -> int:
    """Give the link's MTU in bytes: the declared one, else what the way to its endpoints leaves.

    With `via` that way is another tunnel; while that is not up it counts as one with the default.
    With IPv6 addresses it is never less than IPv6 takes: where the way is narrower than that, the
    outer packets are sent in fragments.
    """
    if conf.mtu:
        return conf.mtu
    left = (path_mtu or (DEFAULT_MTU if via else ETHERNET_MTU)) - HEADERS
    ipv6 = any(":" in each for each in conf.addresses)
    return max(left, MTU_MIN_IPV6) if ipv6 else left


def routes_to_ask_for(
    conf: wgquick.Conf, known: Mapping[str, str] = NOTHING, *, via: bool
) -> list[str]:
    """Give the `ip -batch` lines that tell the way to each endpoint, for wg-quick's MTU rule.

    Out of another tunnel (`via`) there is no way but its link.
    """
    if conf.mtu is not None:
        return []
    if via:
        return [f"link show dev {paths.LINK}"]
    hosts = [address_of(peer.endpoint[0], known) for peer in conf.peers if peer.endpoint]
    return [route_to(host, conf.fwmark) for host in hosts if host]


def route_to(address: str, fwmark: int | None) -> str:
    """Give the words for ip(8) that tell the way of encrypted packets, for the host's own rules."""
    return f"route get {address}" + (f" mark {fwmark}" if fwmark else "")
