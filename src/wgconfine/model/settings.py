"""A tunnel as its owner declared it: /etc/wgconfine/NAME.toml, parsed and checked."""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PurePosixPath

from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.ports import Inbound, Publish, Reach

__all__ = [
    "Alternative",
    "Backend",
    "ConfCredential",
    "ConfFile",
    "Endpoint",
    "EndpointOrder",
    "Hardening",
    "HealthSettings",
    "IPAddress",
    "IPInterface",
    "IPNetwork",
    "Inline",
    "OnLeak",
    "Peer",
    "Ready",
    "Refinement",
    "Rights",
    "Settings",
    "TunnelName",
    "UnitName",
    "VerifySettings",
]

_MARK, _MARK_BITS = 0x77670000, 0x3FFF
IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class Backend(StrEnum):
    """Which WireGuard carries the tunnel."""

    AUTO = "auto"
    KERNEL = "kernel"
    USERSPACE = "userspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a peer is reached: `host` is an IP address (no brackets) or a host name.

    `port` is from 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One `[[peer]]` of the inline form. `persistent_keepalive` is in seconds, None for off."""

    public_key: str
    endpoint: Endpoint | None = None
    allowed_ips: tuple[IPNetwork, ...]
    preshared_key_file: PurePosixPath | None = None
    preshared_key_credential: str | None = None
    persistent_keepalive: int | None = None


class EndpointOrder(StrEnum):
    """Which of `endpoints` is tried first, and which after it."""

    LISTED = "listed"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of `endpoints`; `public_key` is that of another server, None for the peer's own."""

    endpoint: Endpoint
    public_key: str | None = None


class Ready(StrEnum):
    """What services wait for beside the tunnel's configuration."""

    LINK = "link"
    HANDSHAKE = "handshake"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfFile:
    """The tunnel is a wg-quick `.conf`, read when the tunnel starts or reloads."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfCredential:
    """The same, handed over by systemd: `name` is that of the credential."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """The tunnel is written in the settings; exactly one of the two key sources is set."""

    address: tuple[IPInterface, ...]
    peers: tuple[Peer, ...]
    private_key_file: PurePosixPath | None = None
    private_key_credential: str | None = None


class Hardening(StrEnum):
    """How much of a confined service's rights is taken away beside the network."""

    BASELINE = "baseline"
    STRICT = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the owner of a confined service has said of it.

    `allow_paths` are paths below /run of the host that it sees too; `allow_bus` are the names on
    the system bus that it may talk to, empty for no bus at all.
    """

    allow_paths: tuple[PurePosixPath, ...] = ()
    allow_bus: tuple[str, ...] = ()
    hardening: Hardening = Hardening.BASELINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement(Rights):
    """`[service."UNIT"]`: rights of one service of the list."""

    unit: UnitName


class OnLeak(StrEnum):
    """What a periodic `verify` that finds a leak does beside being loud."""

    REPORT = "report"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings:
    """`[verify]`: `every` is in seconds, None for never."""

    every: int | None = 900
    on_leak: OnLeak = OnLeak.REPORT


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """`[health]`: seconds that a last handshake may be old while bytes are sent; None for ever."""

    handshake_max_age: int | None = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One tunnel.

    `dns` is None where the settings are silent (the `.conf` decides), and empty for "no DNS at
    all". `mtu` is in bytes, `ready_timeout` in seconds. `via` is the tunnel that carries this one's
    outer packets. `endpoints` go before what the peer has, empty for that alone. `digest` is the
    SHA-256 (hex) of the settings' own text, file after file. `refinements` are of
    services of the list, each at most once. Whom `outbound_deny` names can't be reached through the
    tunnel either.
    """

    name: TunnelName
    path: PurePosixPath
    digest: str
    wireguard: ConfFile | ConfCredential | Inline
    enable: bool = True
    services: tuple[UnitName, ...] = ()
    backend: Backend = Backend.AUTO
    dns: tuple[IPAddress, ...] | None = None
    mtu: int | None = None
    listen_port: int | None = None
    fwmark: int | None = None
    ready: Ready = Ready.LINK
    ready_timeout: int = 90
    reload_on_change: bool = False
    encrypted_credentials: bool = False
    endpoints: tuple[Alternative, ...] = ()
    endpoint_order: EndpointOrder = EndpointOrder.LISTED
    pin_endpoint: bool = False
    via: TunnelName | None = None
    verify: VerifySettings = VerifySettings()
    health: HealthSettings = HealthSettings()
    refinements: tuple[Refinement, ...] = ()
    publish: tuple[Publish, ...] = ()
    reach: tuple[Reach, ...] = ()
    inbound: Inbound = field(default_factory=Inbound)
    outbound_deny: tuple[IPNetwork, ...] = ()

    @property
    def outer_mark(self) -> int | None:
        """The mark of encrypted packets: what `fwmark` says, or with `pin-endpoint` one of our own.

        Its bits are none of those that Tailscale and Kubernetes give a meaning.
        """
        if self.fwmark is not None or not self.pin_endpoint:
            return self.fwmark
        number = int.from_bytes(sha256(self.name.encode()).digest()[:2], "big")
        return _MARK | number & _MARK_BITS

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of what systemd is to hand over, each once."""
        match self.wireguard:
            case ConfCredential(name=name):
                return (name,)
            case Inline(private_key_credential=key, peers=peers):
                names = (key, *(peer.preshared_key_credential for peer in peers))
                return tuple(dict.fromkeys(name for name in names if name is not None))
            case ConfFile():
                return ()

    @property
    def secret_files(self) -> tuple[PurePosixPath, ...]:
        """The `.conf` and the files with keys, credentials aside."""
        match self.wireguard:
            case ConfFile(path=path):
                return (path,)
            case Inline(private_key_file=key, peers=peers):
                paths = (key, *(peer.preshared_key_file for peer in peers))
                return tuple(dict.fromkeys(path for path in paths if path is not None))
            case ConfCredential():
                return ()

    def refinement(self, unit: UnitName) -> Refinement:
        """Give what was said of a service; the defaults where nothing was."""
        said = (each for each in self.refinements if each.unit == unit)
        return next(said, Refinement(unit=unit))
