"""How who may connect to a published port comes to this machine, as a firewall sees it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from wgconfine.model.ports import SocketAddress, UnixSocket
from wgconfine.model.settings import Settings

__all__ = ["Way", "covers_port", "network_of", "ways_of", "within"]

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From `client` to `listen`, not loopback, of a port that `tunnel` publishes; TCP."""

    tunnel: str
    listen: SocketAddress
    client: Network

    def __str__(self) -> str:
        return f"what {self.client} sends to {self.listen}"

    @property
    def address(self) -> str:
        """Give the address that it goes to, empty for any of this machine's."""
        return "" if self.listen.address.is_unspecified else str(self.listen.address)

    @property
    def target(self) -> Network:
        """Give the same as a network."""
        if self.listen.address.is_unspecified:
            return ip_network(f"{self.listen.address}/0")
        return ip_network(str(self.listen.address))


def ways_of(tunnels: Iterable[Settings]) -> Iterator[Way]:
    """Give them for every published port that the machine itself is not alone to reach."""
    for settings in tunnels:
        for entry in settings.publish if settings.enable else ():
            for listen in () if isinstance(entry.listen, UnixSocket) else entry.listen:
                for client in entry.clients if not listen.address.is_loopback else ():
                    if client.version == listen.address.version:
                        yield Way(tunnel=settings.name, listen=listen, client=client)


def network_of(text: str) -> Network | None:
    """Read what a firewall's file has; None for a name, a MAC address and the like."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def within(inner: Network, outer: Network | None) -> bool:
    """Tell whether all of one network lies in the other; never for networks of two families."""
    match inner, outer:
        case (IPv4Network(), IPv4Network()) | (IPv6Network(), IPv6Network()):
            return inner.subnet_of(outer)  # type: ignore[arg-type]  # of one family: see above
        case _:
            return False


def covers_port(text: str, port: int) -> bool:
    """Tell whether `80`, `80,443`, `8000:9000` or `8000-9000` has a port in it."""
    for each in text.split(","):
        first, _, last = each.replace(":", "-").partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            if int(first) <= port <= int(last or first):
                return True
        elif each == "any":
            return True
    return False
