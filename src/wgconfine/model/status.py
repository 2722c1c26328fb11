"""How tunnels and services are at this moment, as `status` shows it."""

from dataclasses import dataclass

__all__ = ["PeerStatus", "ServiceStatus", "Status", "TunnelStatus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One peer; `handshake_age` is in seconds, None before the first; the counters in bytes."""

    public_key: str
    endpoint: str | None
    handshake_age: int | None
    received: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service: `state` is a word for a person, `why` says more where it doesn't just run."""

    unit: str
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelStatus:
    """One tunnel; `problems` name what is wrong and the command that mends it."""

    name: str
    state: str
    backend: str
    peers: tuple[PeerStatus, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All tunnels, and the services that are closed: confined once, not released since."""

    tunnels: tuple[TunnelStatus, ...]
    closed: tuple[ServiceStatus, ...] = ()
