"""How tunnels and services are at this moment, as `status` shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wgconfine.model.names import TunnelName, UnitName

__all__ = [
    "CarrierStatus",
    "CommandStatus",
    "Counter",
    "Declared",
    "Holes",
    "InboundStatus",
    "PeerStatus",
    "PinStatus",
    "PublishStatus",
    "RateStatus",
    "ReachStatus",
    "ServiceStatus",
    "Status",
    "TunnelStatus",
    "VerifyStatus",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What `status` asks of the settings of a tunnel; `services` have their real names."""

    name: TunnelName
    digest: str
    enable: bool = True
    services: tuple[UnitName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One peer; `handshake_age` is in seconds, None before the first; the counters in bytes."""

    public_key: str
    endpoint: str | None
    handshake_age: int | None
    received: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStatus:
    """Bytes a second of all peers together, on average over the last `seconds`."""

    received: int
    sent: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """What the owner of a service has opened to it: paths of the host, names on its bus."""

    paths: tuple[str, ...] = ()
    bus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service: `state` is a word for a person, `why` says more where it doesn't just run."""

    unit: str
    state: str
    why: str = ""
    holes: Holes = Holes()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStatus:
    """What `wgconfine exec` runs: `state` and `why` as a service's, `program` as it calls itself.

    `user` is a name or a number; both are empty where there is no process.
    """

    unit: str
    state: str
    why: str = ""
    program: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyStatus:
    """What the last `verify` came to, in its own word, and how many seconds ago that was.

    `leaks` are the names of the checks that found one, each with its service.
    """

    verdict: str
    age: int
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishStatus:
    """One published port: who connects to any of `listen` on the host talks to `to` inside.

    `clients` are the networks that may connect, empty for loopback and for a unix socket, of which
    `owner` are user and group (`root:www-data`). `socket` is its unit, `state` a word for a person,
    `why` says more where it doesn't just listen.
    """

    listen: tuple[str, ...]
    to: str
    socket: str
    state: str
    why: str = ""
    clients: tuple[str, ...] = ()
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachStatus:
    """A hole: who connects to `listen` inside talks to `to` outside."""

    listen: str
    to: str
    socket: str
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundStatus:
    """The ports that are open to the far side of the tunnel, as nft(8) writes them."""

    tcp: tuple[str, ...] = ()
    udp: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What one counter of the firewall has counted."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierStatus:
    """A link of the host's own VPN by which packets to an endpoint leave; `mtu` is in bytes.

    `kind` is as ip-link(8) has it.
    """

    endpoint: str
    link: str
    kind: str
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PinStatus:
    """`pin-endpoint`: where encrypted packets may go, and how many went elsewhere and were dropped.

    `held` says whether the rule that does so is there; None, and so is `dropped`, where that could
    not be seen.
    """

    endpoints: tuple[str, ...]
    held: bool | None
    dropped: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelStatus:
    """One tunnel; `problems` name what is wrong and the command that mends it.

    `state` is a word of model/tunnel.py, with `why`, for how many seconds (`since`, None if not
    known) and what is `next` or to be done, each empty where there is nothing to say. `configured`
    says that it has its link, keys and addresses, whether or not it carries. `leaked` are the
    packets that the second switch has counted, None where that could not be seen.
    `namespace` is the path that leads to it, empty where it is not there or is another one;
    `resolvers` are those that its services are given. `rate` is known to who looks again and again.
    `via` is the tunnel that carries its encrypted packets, empty for none. `verify` is None where
    none has been kept since the machine started. `publish` to `outbound_deny` are what is
    installed. `firewall` has the counters of the namespace by their names; it is empty where they
    could not be asked for. `endpoints` are those of the settings in the order of their turns: the
    first is in use. `carriers` are no problem, but worth knowing. `pin` is None without it.
    """

    name: str
    state: str
    backend: str
    why: str = ""
    since: int | None = None
    next: str = ""
    configured: bool = False
    leaked: int | None = None
    via: str = ""
    namespace: str = ""
    resolvers: tuple[str, ...] = ()
    peers: tuple[PeerStatus, ...] = ()
    rate: RateStatus | None = None
    services: tuple[ServiceStatus, ...] = ()
    commands: tuple[CommandStatus, ...] = ()
    problems: tuple[str, ...] = ()
    verify: VerifyStatus | None = None
    publish: tuple[PublishStatus, ...] = ()
    reach: tuple[ReachStatus, ...] = ()
    inbound: InboundStatus = InboundStatus()
    outbound_deny: tuple[str, ...] = ()
    firewall: Mapping[str, Counter] = field(default_factory=dict)
    endpoints: tuple[str, ...] = ()
    carriers: tuple[CarrierStatus, ...] = ()
    pin: PinStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All tunnels, and the services that are closed: confined once, not released since."""

    tunnels: tuple[TunnelStatus, ...]
    closed: tuple[ServiceStatus, ...] = ()
