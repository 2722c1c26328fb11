"""Whether this machine lets the ports of the settings listen, and what to know of them. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations
from pathlib import PurePosixPath

from wgconfine.config.escape import escape
from wgconfine.model.ports import Publish, SocketAddress, UnixSocket, overlap
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Settings

__all__ = ["Listener", "PortFacts", "check_ports", "port_remarks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who listens on the host: `unit` and `process` as far as they are known.

    One on `[::]` may take every IPv4 address, too: `both`.
    """

    address: SocketAddress
    both: bool = False
    unit: str = ""
    process: str = ""

    def __str__(self) -> str:
        if self.unit and self.process:
            return f"{escape(self.unit)} ({escape(self.process)})"
        return escape(self.unit or self.process) or "a process that can't be seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    """What a machine has to do with ports.

    `listeners` are of TCP, without our own sockets; `paths` what is there already where a unix
    socket shall be, by its kind, without our own. `users` and `groups` are those of the settings
    that exist, `addresses` the host's. With `any_address` the kernel binds addresses that it lacks.
    """

    listeners: tuple[Listener, ...] = ()
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    any_address: bool = False
    paths: tuple[tuple[PurePosixPath, str], ...] = ()
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    proxy: bool = True


def check_ports(
    tunnels: Iterable[Settings], facts: PortFacts | None, *, leaving: Collection[str] = ()
) -> list[Problem]:
    """Give every reason why a port can't be published or reached; without facts those of settings.

    What the services `leaving` hold is free when it is needed: they stop, and start inside.
    """
    enabled = [settings for settings in tunnels if settings.enable]
    problems = list(_shared(enabled))
    if facts is None:
        return problems
    for settings in enabled:
        problems += _without_proxy(settings, facts)
        for entry in settings.publish:
            problems += _check_entry(settings, entry, facts, leaving)
    return problems


def port_remarks(tunnels: Iterable[Settings]) -> Iterator[Problem]:
    """Say of each port that others may connect to what the service will take them for."""
    for settings in tunnels:
        for entry in settings.publish if settings.enable else ():
            if entry.clients:
                clients = " and ".join(map(str, entry.clients))
                what = (
                    f"{entry.where} lets {clients} in, and the service takes everybody there for"
                    " 127.0.0.1: many ask that for no password"
                )
                hint = "Have the service ask everybody for one, or put a web server before it"
                yield Problem(where=_place(settings, "publish"), what=what, hint=hint)


def _place(settings: Settings, key: str) -> str:
    return f"{escape(str(settings.path))}: {key}"


def _shared(enabled: Sequence[Settings]) -> Iterator[Problem]:
    for one, other in combinations(enabled, 2):
        for mine in one.publish:
            for theirs in other.publish:
                if overlap(mine, theirs):
                    what = (
                        f"{theirs.where} is published by tunnel {one.name} already, as {mine.where}"
                        f" in {escape(str(one.path))}"
                    )
                    hint = "Give one of them another port"
                    yield Problem(where=_place(other, "publish"), what=what, hint=hint)


def _without_proxy(settings: Settings, facts: PortFacts) -> Iterator[Problem]:
    for key in ("publish", "reach"):
        if getattr(settings, key) and not facts.proxy:
            what = "it needs systemd-socket-proxyd, which is not there"
            hint = "Install the package of your distribution that has it, mostly systemd itself"
            yield Problem(where=_place(settings, key), what=what, hint=hint)


def _check_entry(
    settings: Settings, entry: Publish, facts: PortFacts, leaving: Collection[str]
) -> Iterator[Problem]:
    where = _place(settings, "publish")
    if isinstance(entry.listen, UnixSocket):
        yield from _check_unix(where, entry.listen, facts)
        return
    for listen in entry.listen:
        yield from _check_address(where, entry, listen.address, facts)
    holders: dict[str, list[str]] = {}
    for listener in facts.listeners:
        if listener.unit not in leaving and any(_takes(listener, each) for each in entry.listen):
            holders.setdefault(str(listener), []).append(str(listener.address))
    for holder, addresses in holders.items():
        what = f"{entry.where} is taken: {holder} listens on {' and '.join(addresses)}"
        yield Problem(where=where, what=what, hint="Publish to another port, or stop that")


def _takes(listener: Listener, wanted: SocketAddress) -> bool:
    has, wants = listener.address, wanted
    if has.port != wants.port:
        return False
    if has.address.version != wants.address.version:
        return listener.both and wants.address.version < has.address.version
    return (
        has.address == wants.address or has.address.is_unspecified or wants.address.is_unspecified
    )


def _check_address(
    where: str, entry: Publish, address: IPv4Address | IPv6Address, facts: PortFacts
) -> Iterator[Problem]:
    free = entry.free_bind or facts.any_address
    if free or address.is_loopback or address.is_unspecified or address in facts.addresses:
        return
    has = [str(each) for each in facts.addresses if each.version == address.version]
    known = f"it has {' and '.join(has)}" if has else f"it has none of IPv{address.version}"
    yield Problem(
        where=where,
        what=f"{entry.where}: this machine has no address {address}; {known}",
        hint="Add free-bind = true to the entry if the address comes later",
    )


def _check_unix(where: str, listen: UnixSocket, facts: PortFacts) -> Iterator[Problem]:
    kind = dict(facts.paths).get(listen.path)
    if kind:
        what = f"{listen.path} exists already, and is {kind} that wgconfine did not make"
        yield Problem(where=where, what=what, hint="Remove it, or choose another path")
    if listen.user not in facts.users:
        what = f"{listen}: there is no user {listen.user}"
        yield Problem(where=where, what=what, hint="Name one of this machine in user")
    if listen.group not in facts.groups:
        what = f"{listen}: there is no group {listen.group}"
        yield Problem(where=where, what=what, hint="Name one of this machine in group")
