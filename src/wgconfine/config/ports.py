"""The values of `publish`, `reach`, `[inbound]` and `[outbound]`: text and tables to the model.

Every function takes what TOML gives and returns the model's value, or raises `WrongValueError` with
words for a person.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from os import fspath
from typing import Any

from wgconfine.config.holes import is_plain
from wgconfine.config.literal import canonical_ip, parse_decimal
from wgconfine.config.values import (
    WrongValueError,
    read_absolute_path,
    show,
)
from wgconfine.model.ports import PortRange, Publish, Reach, SocketAddress, UnixSocket, overlap
from wgconfine.model.settings import IPNetwork

__all__ = [
    "LOOK_UPS",
    "Listen",
    "PublishTable",
    "build_publish",
    "in_order",
    "overlap",
    "read_account",
    "read_listen",
    "read_port_range",
    "read_publish_text",
    "read_reach",
    "read_socket_address",
    "read_to",
    "sorted_ranges",
]

_PORT_MAX = 0xFFFF
_LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", re.ASCII)
LOOK_UPS = {53: "DNS", 853: "DNS over TLS", 5353: "mDNS", 5355: "LLMNR"}
"""The ports at which the firewall of a tunnel lets nobody be asked but its resolvers."""
_LONGER = "'PORT:TO', 'ADDRESS:PORT:TO' or 'unix:PATH:TO'"
_FORMS = f"'PORT', {_LONGER}"
_UDP = "UDP can't be published: systemd-socket-proxyd carries TCP only"
_SOCKET_PATH_MAX = 107  # unix(7): sun_path has 108 bytes, the last of them 0

Listen = tuple[SocketAddress, ...] | UnixSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTable:
    """An entry of `publish` in its long form, each key read. `clients` is the key `from`."""

    listen: Listen
    to: SocketAddress | None = None
    clients: tuple[IPNetwork, ...] | None = None
    user: str | None = None
    group: str | None = None
    free_bind: bool | None = None


def read_publish_text(value: str) -> Publish:
    """Read `PORT`, `PORT:TO`, `ADDRESS:PORT:TO` or `unix:PATH:TO`."""
    refuse_udp(value)
    where, colon, last = value.rpartition(":")
    unix = value.startswith("unix:")
    if not colon:
        if parse_decimal(value, 1, _PORT_MAX) is None:
            what = f"{show(value)} is neither a port from 1 to {_PORT_MAX}"
            raise WrongValueError(f"{what} nor of the form {_LONGER}")
        return build_publish(PublishTable(listen=read_listen(value)))
    if not unix and ":" in where and not (where.startswith("[") or where.count(":") == 1):
        raise WrongValueError(f"{show(value)} must have an IPv6 address in brackets")
    if not unix and (where.endswith("]") or canonical_ip(where)):
        hint = f"Write {show(f'{where}:{last}:{last}')}"
        raise WrongValueError(f"{show(value)} does not say the port inside", hint)
    port = parse_decimal(last, 1, _PORT_MAX)
    if port is None or where == "unix":
        raise WrongValueError(f"{show(value)} is not of the form {_FORMS}")
    return build_publish(PublishTable(listen=read_listen(where), to=inside(port)))


def build_publish(table: PublishTable) -> Publish:
    """Put an entry together; what is not loopback needs `from`, and only that may have it."""
    if isinstance(table.listen, UnixSocket):
        entry = publish_unix(table, table.listen)
    else:
        entry = publish_address(table, table.listen)
    if entry.to.port in LOOK_UPS:
        what = f"port {entry.to.port} inside is {LOOK_UPS[entry.to.port]}"
        hint = "Have the service listen on another port"
        raise WrongValueError(f"{what}: no service is asked by it, but the tunnel's resolver", hint)
    return entry


def publish_unix(table: PublishTable, listen: UnixSocket) -> Publish:
    if table.to is None:
        raise WrongValueError("it does not say the port inside", "Name it in to")
    if table.clients is not None or table.free_bind is not None:
        raise WrongValueError("from and free-bind are of addresses, not of a unix socket")
    user, group = table.user or listen.user, table.group or listen.group
    return Publish(listen=UnixSocket(path=listen.path, user=user, group=group), to=table.to)


def publish_address(table: PublishTable, listen: tuple[SocketAddress, ...]) -> Publish:
    if table.user is not None or table.group is not None:
        raise WrongValueError("user and group are of a unix socket, not of an address")
    check_clients(listen[0], table)
    return Publish(
        listen=listen,
        to=table.to or inside(listen[0].port),
        clients=table.clients or (),
        free_bind=table.free_bind is True,
    )


def check_clients(listen: SocketAddress, table: PublishTable) -> None:
    """Let no stranger in by mistake: applications trust who comes from their own machine."""
    if listen.address.is_loopback:
        if table.clients is not None or table.free_bind is not None:
            what = "from and free-bind do nothing here: only this machine can connect to loopback"
            raise WrongValueError(what, "Leave them out, or listen on an address of the LAN")
        return
    if not table.clients:
        what = f"{listen} is not loopback and says not from where one may connect: the service"
        what += " takes everybody for its own machine"
        to = table.to.port if table.to else listen.port
        hint = f'Write {{ listen = "{listen}", to = {to}, from = ["NETWORK"] }}'
        raise WrongValueError(what, hint)
    version = listen.address.version
    if all(network.version != version for network in table.clients):
        raise WrongValueError(f"from has no network of IPv{version}: nobody could connect")


def read_listen(value: Any) -> Listen:
    """Read `PORT`, `ADDRESS:PORT` or `unix:PATH`: where the host listens."""
    if not isinstance(value, str):
        hint = f"Write '{value}', in quotes" if type(value) is int else ""
        raise WrongValueError(f"{show(value)} is not text", hint)
    refuse_udp(value)
    if value.startswith("unix:"):
        return read_unix(value)
    port = parse_decimal(value, 1, _PORT_MAX)
    if port is not None:
        return tuple(SocketAddress(address=each, port=port) for each in _LOOPBACK)
    if ":" not in value:
        what = f"{show(value)} is neither a port from 1 to {_PORT_MAX} nor 'ADDRESS:PORT'"
        raise WrongValueError(what)
    address = read_socket_address(value)
    if address.address.is_multicast:
        raise WrongValueError(f"{show(value)} can't be listened on: it is a multicast address")
    refuse_scoped(value, address)
    return (address,)


def read_unix(value: str) -> UnixSocket:
    path = read_absolute_path(value.removeprefix("unix:"))
    if path.parts[:2] != ("/", "run") or path.parts[2:3] in ((), ("wgconfine",)):
        raise WrongValueError(f"{show(value)} is not below /run")
    if not is_plain(fspath(path)):
        raise WrongValueError(f"{show(value)} has characters that can't stand in a unit")
    if len(str(path).encode()) > _SOCKET_PATH_MAX:
        raise WrongValueError(f"the path of a unix socket has at most {_SOCKET_PATH_MAX} bytes")
    return UnixSocket(path=path)


def read_to(value: Any) -> SocketAddress:
    """Read where the service listens: a port, or a loopback address of its namespace with one."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= _PORT_MAX:
            raise WrongValueError(f"{show(value)} is not a whole number from 1 to {_PORT_MAX}")
        return inside(value)
    if not isinstance(value, str):
        raise WrongValueError(f"{show(value)} is neither a port nor of the form 'ADDRESS:PORT'")
    address = read_socket_address(value)
    refuse_far(value, address)
    return address


def inside(port: int) -> SocketAddress:
    return SocketAddress(address=_LOOPBACK[0], port=port)


def read_reach(value: Any) -> Reach:
    """Read `LOOPBACK:PORT:ADDRESS:PORT`: where it listens inside, and the one thing outside."""
    if not isinstance(value, str):
        raise WrongValueError(f"{show(value)} is not text")
    refuse_udp(value, "UDP can't be reached: systemd-socket-proxyd carries TCP only")
    # A colon that is within brackets belongs to an address.
    found = re.fullmatch(r"((?:\[[^]]*\]|[^:]*):[^:]*):((?:\[[^]]*\]|[^:]*):[^:]*)", value)
    if found is None:
        hint = "Write '127.0.0.1:5432:192.168.1.10:5432': where it listens inside, then the target"
        raise WrongValueError(f"{show(value)} is not of the form 'ADDRESS:PORT:ADDRESS:PORT'", hint)
    listen, to = map(read_socket_address, found.groups())
    refuse_far(found[1], listen)
    refuse_scoped(found[2], to)
    target = to.address
    if target.is_unspecified or target.is_multicast:
        raise WrongValueError(f"{show(found[2])} is not the address of one machine")
    if target.is_global:
        what = f"{show(found[2])} is an address of the internet, which is reached by the tunnel"
        raise WrongValueError(what, "Name an address of this machine or of its LAN")
    for port in (listen.port, to.port):
        if port in LOOK_UPS:
            what = f"port {port} is {LOOK_UPS[port]}: names are looked up through the tunnel alone"
            raise WrongValueError(what)
    return Reach(listen=listen, to=to)


def read_socket_address(text: str) -> SocketAddress:
    name, colon, port_text = text.rpartition(":")
    bare = name.removeprefix("[").removesuffix("]") if name.endswith("]") else name
    address = canonical_ip(bare) if colon else None
    if address is None or (":" in address) != name.startswith("["):
        hint = "An IPv6 address stands in brackets: '[::1]:8080'" if text.count(":") > 1 else ""
        raise WrongValueError(f"{show(text)} is not of the form 'ADDRESS:PORT'", hint)
    port = parse_decimal(port_text, 1, _PORT_MAX)
    if port is None:
        raise WrongValueError(f"{show(text)} has no port number from 1 to {_PORT_MAX}")
    return SocketAddress(address=ip_address(address), port=port)


def refuse_far(text: str, address: SocketAddress) -> None:
    if not address.address.is_loopback:
        raise WrongValueError(f"{show(text)} is not a loopback address of the tunnel's namespace")


def refuse_scoped(text: str, address: SocketAddress) -> None:
    if address.address.version == _LOOPBACK[1].version and address.address.is_link_local:
        what = f"{show(text)} is a link-local address, which means nothing without its link"
        raise WrongValueError(what, "Name another address of that machine")


def refuse_udp(value: str, what: str = _UDP) -> None:
    if value.endswith("/udp"):
        raise WrongValueError(what, "For a port of the tunnel's own address see [inbound]")


def read_account(value: Any) -> str:
    """Read the name of a user or group: systemd's strict form of it."""
    if not isinstance(value, str) or not _ACCOUNT.fullmatch(value):
        raise WrongValueError(f"{show(value)} is not the name of a user or group")
    return value


def read_port_range(value: Any) -> PortRange:
    """Read a port, 51413, or a range of them, '6881-6889'."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _PORT_MAX:
        return PortRange(first=value, last=value)
    ends = value.split("-") if isinstance(value, str) else []
    numbers = [parse_decimal(each, 1, _PORT_MAX) for each in ends]
    if len(numbers) == 2 and numbers[0] and numbers[1] and numbers[0] <= numbers[1]:  # noqa: PLR2004
        return PortRange(first=numbers[0], last=numbers[1])
    what = f"{show(value)} is neither a port from 1 to {_PORT_MAX} nor a range"
    raise WrongValueError(what, "Write 51413, or '6881-6889'")


def sorted_ranges(ranges: tuple[PortRange, ...]) -> tuple[PortRange, ...]:
    """Sort them; two that share a port are a mistake of somebody's."""
    ordered = in_order(ranges)
    for before, after in pairwise(ordered):
        if after.first <= before.last:
            raise WrongValueError(f"{before} and {after} have ports in common")
    return ordered


def in_order(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    return tuple(sorted(ranges, key=lambda each: each.first))
