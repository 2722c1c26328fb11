"""How tunnels and services are at this moment, as `status` shows it."""

from dataclasses import dataclass

__all__ = ["Holes", "PeerStatus", "ServiceStatus", "Status", "TunnelStatus", "VerifyStatus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One peer; `handshake_age` is in seconds, None before the first; the counters in bytes."""

    public_key: str
    endpoint: str | None
    handshake_age: int | None
    received: int
    sent: int


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
class VerifyStatus:
    """What the last `verify` came to, in its own word, and how many seconds ago that was."""

    verdict: str
    age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelStatus:
    """One tunnel; `problems` name what is wrong and the command that mends it.

    `verify` is None where none has been kept since the machine started.
    """

    name: str
    state: str
    backend: str
    peers: tuple[PeerStatus, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    problems: tuple[str, ...] = ()
    verify: VerifyStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All tunnels, and the services that are closed: confined once, not released since."""

    tunnels: tuple[TunnelStatus, ...]
    closed: tuple[ServiceStatus, ...] = ()
