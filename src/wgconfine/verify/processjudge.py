"""What was seen of a service's processes becomes checks. Pure."""

import shlex
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.system.holdings import BEYOND, Connection, Held
from wgconfine.system.hostsockets import HostSockets
from wgconfine.system.networks import Link
from wgconfine.system.process import TUN_DEVICE
from wgconfine.system.unitlook import UnitLook
from wgconfine.system.view import Found, View

__all__ = ["HIDDEN", "NAMES", "Expected", "Observation", "judge"]

HIDDEN = (
    "/run/avahi-daemon",
    "/run/avahi-daemon/socket",
    "/run/dbus",
    "/run/dbus/system_bus_socket",
    "/run/nscd",
    "/run/nscd/socket",
    "/run/systemd/private",
    "/run/systemd/resolve",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/resolve/io.systemd.Resolve.Monitor",
)
"""Through these the host would look names up, or run something in the open."""

USUAL = (
    "/run/systemd/journal/",
    "/run/systemd/notify",
    "/run/systemd/userdb/io.systemd.DynamicUser",
)
"""Where the standard output of every service leads, what it tells systemd, and whom it asks for the
names of dynamic users.
"""

_CARRIERS = frozenset(
    {
        *("bond", "bridge", "dummy", "erspan", "gre", "gretap", "ifb", "ip6erspan", "ip6gre"),
        *("ip6gretap", "ip6tnl", "ipip", "ipvlan", "macvlan", "sit", "tun", "veth", "vlan"),
        *("vti", "vti6"),
    }
)
"""Kinds of links that lead nowhere but to another link, or to the process that holds the other end.

Not WireGuard, whose packets leave by the namespace in which it was made.
"""

_MOST = 3
_VIEWED = ("resolv-conf", "nsswitch-conf", "run")
NAMES = ("namespace", "sockets", "connections", "host-sockets", *_VIEWED, "masks")
"""Of the checks of a service that has processes."""
_WORST = (Verdict.NOT_CONFINED, Verdict.UNKNOWN, Verdict.UNAVAILABLE, Verdict.OPEN)

_Finding = tuple[Verdict, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """`sources` are what is to be seen as resolv.conf, nsswitch.conf and /run, with their paths.

    `hidden` are things of the host's that must not be seen; `networks` names namespaces by inode.
    """

    tunnel: TunnelName
    sources: tuple[tuple[str, Found], ...]
    hidden: tuple[tuple[str, Found], ...]
    networks: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """`look` is None where the unit has no control group; a text says why a look gave nothing."""

    look: UnitLook | str | None
    views: tuple[View, ...] | str
    sockets: HostSockets | str


def judge(unit: UnitName, seen: Observation, expected: Expected) -> list[Check]:
    """Give every check of one service."""
    if seen.look is None:
        return [_check(unit, "namespace", [], "it has no process")]
    if isinstance(seen.look, str):
        return [_check(unit, name, [(Verdict.UNKNOWN, seen.look)], "") for name in NAMES]
    look = seen.look
    count = f"{look.processes} process{'es' if look.processes != 1 else ''}"
    blind = list(_blind(look))
    unread = [(Verdict.UNKNOWN, f"not seen: {each}") for each in look.unread]
    checks = [
        _check(
            unit,
            "namespace",
            [*_namespace(look, expected), *blind],
            f"{count} in the namespace of tunnel {expected.tunnel}",
            mend=_restart(unit),
        ),
        _check(
            unit,
            "sockets",
            [*_sockets(look, expected), *blind, *unread],
            f"{count} without a socket of another namespace",
            mend=_restart(unit),
        ),
        _check(
            unit,
            "connections",
            [*_connections(look.connections), *blind, *unread],
            "no unix socket is connected to others than systemd and its journal",
        ),
        _check(
            unit,
            "host-sockets",
            list(_host_sockets(look, seen.sockets)),
            "none of the host's sockets was made by it",
            mend=_restart(unit),
        ),
    ]
    return [*checks, *_view_checks(unit, look, seen.views, expected)]


def _check(
    unit: UnitName, name: str, findings: Iterable[_Finding], well: str, *, mend: str = ""
) -> Check:
    """One check out of what is not well: the worst verdict, and what was found of it."""
    found = list(findings)
    verdict = next((each for each in _WORST if each in {one for one, _ in found}), Verdict.OK)
    said = list(dict.fromkeys(text for one, text in found if one is verdict))
    more = f" and {len(said) - _MOST} more" if len(said) > _MOST else ""
    return Check(
        area=Area.PROCESSES,
        name=name,
        verdict=verdict,
        evidence="; ".join(said[:_MOST]) + more if said else well,
        unit=unit,
        mend=mend if verdict is Verdict.NOT_CONFINED else "",
    )


def _restart(unit: UnitName) -> str:
    return f"systemctl restart {shlex.quote(unit)}"


def _blind(look: UnitLook) -> Iterator[_Finding]:
    if not look.settled:
        yield Verdict.UNKNOWN, "its processes come and go faster than they can be looked at"
    yield from ((Verdict.UNKNOWN, f"not seen: {each}") for each in look.unseen)


def _namespace(look: UnitLook, expected: Expected) -> Iterator[_Finding]:
    for each in look.elsewhere:
        verdict, where = _network(look, each.network, expected)
        thread = f", thread {each.tid}" if each.tid != each.pid else ""
        yield verdict, f"process {each.pid} ({each.name}){thread} is in {where}"


def _network(look: UnitLook, inode: int, expected: Expected) -> _Finding:
    """Judge another namespace than the tunnel's by what leads out of it."""
    if inode in expected.networks:
        name = expected.networks[inode]
        return Verdict.NOT_CONFINED, f"{name} network namespace" if name[-1] == "s" else name
    links = next((each.links for each in look.networks if each.inode == inode), None)
    if links is None:
        return Verdict.UNKNOWN, f"a network namespace that can't be looked into (net:[{inode}])"
    out = [each for each in links if not _stays(each, expected.tunnel)]
    if out:
        names = ", ".join(f"{each.name} ({each.kind or 'a device'})" for each in out)
        return Verdict.NOT_CONFINED, f"a network namespace that {names} leads out of"
    return Verdict.OPEN, f"a network namespace of its own, which leads {_way(links)}"


def _way(links: Iterable[Link]) -> str:
    """Say where one leads whose every link stays; a process has the other end of a tun device."""
    there = [f"to tunnel {each.leads_to}" for each in links if each.leads_to]
    held = ["to the process that holds its tun device"] if any(_is_tun(e) for e in links) else []
    return " and ".join(dict.fromkeys([*there, *held])) or "nowhere"


def _is_tun(link: Link) -> bool:
    return link.kind == "tun"


def _stays(link: Link, tunnel: TunnelName) -> bool:
    return link.leads_to == tunnel or (not link.leads_to and link.kind in _CARRIERS)


def _sockets(look: UnitLook, expected: Expected) -> Iterator[_Finding]:
    for each in look.held:
        holder = f"process {each.pid} ({each.name}) holds descriptor {each.number}"
        if each.family in BEYOND:
            text = f"{holder}, {BEYOND[each.family]}, which knows no network namespaces"
            yield Verdict.NOT_CONFINED, text
        else:
            verdict, where = _network(look, each.network, expected)
            yield verdict, f"{holder}, {_kind(each)} of {where}"


def _kind(held: Held) -> str:
    if held.family == TUN_DEVICE:
        return "a tun device"
    with suppress(ValueError):
        return f"a socket ({socket.AddressFamily(held.family).name})"
    return f"a socket (family {held.family})"


def _connections(connections: Iterable[Connection]) -> Iterator[_Finding]:
    for each in connections:
        if each.inside or (each.path.startswith(USUAL) and _is_systemds(each)):
            continue
        if each.unit:
            peer = f"{each.unit} (process {each.peer})"
        else:
            peer = f"process {each.peer}, which has ended" if each.peer else "an unknown process"
        path = f" at {each.path}" if each.path else ""
        yield (
            Verdict.OPEN,
            f"process {each.pid} ({each.name}) talks to {peer}{path} by descriptor {each.number}",
        )


def _is_systemds(connection: Connection) -> bool:
    daemons = {"systemd-journald.service", "systemd-userdbd.service"}
    return connection.peer == 1 or connection.unit in daemons


def _host_sockets(look: UnitLook, sockets: HostSockets | str) -> Iterator[_Finding]:
    if isinstance(sockets, str):
        yield Verdict.UNKNOWN, sockets
    elif not (sockets.able and look.cgroups):
        yield Verdict.UNAVAILABLE, "the kernel does not tell which control group made a socket"
    else:
        for each in sockets.found:
            if each.cgroup in look.cgroups:
                text = f"a {each.protocol} socket of the host's namespace was made by it"
                yield Verdict.NOT_CONFINED, f"{text}: {each.local} → {each.remote}"


def _view_checks(
    unit: UnitName, look: UnitLook, views: tuple[View, ...] | str, expected: Expected
) -> Iterator[Check]:
    if isinstance(views, str) or (look.processes and not views):
        why = views if isinstance(views, str) else "no process of it lived long enough"
        yield from (_check(unit, name, [(Verdict.UNKNOWN, why)], "") for name in NAMES[4:])
        return
    own, other = _by_root(views)
    for number, name in enumerate(_VIEWED):
        path, source = expected.sources[number]
        seen = [(each, _seen(each, number, path, source)) for each in own]
        findings = [finding for _, finding in seen if finding]
        strangers = any(finding and not each.standpoint.main for each, finding in seen)
        mend = _restart(unit) if strangers else _mend(unit, name, path)
        yield _check(unit, name, findings, f"it sees {path}", mend=mend)
    masks = [finding for each in views for finding in _unmasked(each, expected)]
    well = "nothing of the host's resolver, bus, nscd and avahi is seen"
    yield _check(unit, "masks", masks, well, mend=_restart(unit))
    if other:
        found = [(Verdict.OPEN, f"{_who(each)} has a root directory of its own") for each in other]
        yield _check(unit, "other-roots", found, "")


def _by_root(views: tuple[View, ...]) -> tuple[list[View], list[View]]:
    """Those that see the main process' root, and those of containers within the service.

    What the latter see as resolv.conf is theirs: the tunnel's namespace answers all the same.
    """
    main = next((each for each in views if each.standpoint.main), None)
    if main is None:
        return list(views), []
    own = [each for each in views if each.standpoint.main or each.root == main.root]
    return own, [each for each in views if each not in own]


def _who(view: View) -> str:
    return f"process {view.standpoint.pid} ({view.standpoint.name})"


def _seen(view: View, number: int, path: str, source: Found) -> _Finding | None:
    found = view.found[number]
    place = ("/etc/resolv.conf", "/etc/nsswitch.conf", "/run")[number]
    if source.missing:
        return Verdict.UNKNOWN, f"{path} is missing"
    if found.problem:
        return Verdict.UNKNOWN, f"{place} of {_who(view)}: {found.problem}"
    if found.missing:
        return Verdict.NOT_CONFINED, f"{_who(view)} has no {place}"
    if found != source:
        return Verdict.NOT_CONFINED, f"{_who(view)} sees another {place} than {path}"
    return None


def _mend(unit: UnitName, name: str, path: str) -> str:
    if name == "run":
        return _restart(unit)
    place = {"resolv-conf": "/etc/resolv.conf", "nsswitch-conf": "/etc/nsswitch.conf"}[name]
    return f"systemctl bind --read-only {shlex.quote(unit)} {path} {place}"


def _unmasked(view: View, expected: Expected) -> Iterator[_Finding]:
    for (path, hosts), found in zip(expected.hidden, view.found[len(_VIEWED) :], strict=True):
        if found.problem and not hosts.missing:
            yield Verdict.UNKNOWN, f"{path} of {_who(view)}: {found.problem}"
        elif found == hosts and not hosts.missing:
            yield Verdict.NOT_CONFINED, f"{_who(view)} sees the host's {path}"
