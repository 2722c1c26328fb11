"""The ports by which a confined service is reached, and reaches one thing outside on purpose."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePosixPath

__all__ = [
    "Inbound",
    "PortRange",
    "Publish",
    "Reach",
    "SocketAddress",
    "UnixSocket",
    "overlap",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketAddress:
    """An IP address and a TCP port from 1 to 65535."""

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        """Give it as systemd, ss(8) and a URL have it: an IPv6 address stands in brackets."""
        host = (
            f"[{self.address}]" if self.address.version == IPv6Address(0).version else self.address
        )
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixSocket:
    """A listening unix socket of the host, mode 0660."""

    path: PurePosixPath
    user: str = "root"
    group: str = "root"

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Who connects to any of `listen` on the host talks to `to` inside.

    `listen` is one unix socket, one address, or both loopback addresses where the settings name a
    port alone. `to` is a loopback address of the tunnel's namespace. Nobody but `clients` may
    connect to an address; it is empty for loopback and unix sockets. With `free_bind` the address
    may appear later.
    """

    listen: tuple[SocketAddress, ...] | UnixSocket
    to: SocketAddress
    clients: tuple[IPv4Network | IPv6Network, ...] = ()
    free_bind: bool = False

    @property
    def where(self) -> str:
        """Give what the owner wrote of `listen`: `8080`, `192.0.2.1:8080`, `unix:/run/x.sock`."""
        if isinstance(self.listen, UnixSocket):
            return str(self.listen)
        return str(self.listen[0]) if len(self.listen) == 1 else str(self.listen[0].port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Who connects to `listen`, loopback inside, talks to `to`, of the host or its LAN."""

    listen: SocketAddress
    to: SocketAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """The ports from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        """Give it as nft(8) has it."""
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """The ports that anyone on the far side of the tunnel may reach, sorted and disjoint."""

    tcp: tuple[PortRange, ...] = ()
    udp: tuple[PortRange, ...] = ()


def overlap(one: Publish, other: Publish) -> bool:
    """Tell whether both can't listen: one socket path, or one port of addresses that share one."""
    if isinstance(one.listen, UnixSocket) or isinstance(other.listen, UnixSocket):
        return (
            isinstance(one.listen, UnixSocket)
            and isinstance(other.listen, UnixSocket)
            and one.listen.path == other.listen.path
        )
    return any(_share(mine, theirs) for mine in one.listen for theirs in other.listen)


def _share(one: SocketAddress, other: SocketAddress) -> bool:
    """Tell whether one listens where the other does; a socket of ours is never of both families."""
    if one.port != other.port or one.address.version != other.address.version:
        return False
    either = (one.address, other.address)
    return one.address == other.address or any(each.is_unspecified for each in either)
