"""`status` and `verify` as metrics: OpenMetrics, or the text that a file of Prometheus' has."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector

from wgconfine.config.escape import escape
from wgconfine.model.status import Status, TunnelStatus
from wgconfine.model.tunnel import Word
from wgconfine.model.verify import Verdict

__all__ = ["Seen", "as_metrics"]

_TUNNEL, _PEER, _SERVICE = ["tunnel"], ["tunnel", "public_key"], ["tunnel", "service"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The state, and what `status` does not show.

    `restarts` is how often systemd has started a service anew by itself, by unit. What could not be
    seen is not in it.
    """

    status: Status
    restarts: Mapping[str, int]


def as_metrics(seen: Seen, *, openmetrics: bool) -> str:
    """Give them all; Prometheus' text format where it is not OpenMetrics."""
    registry = CollectorRegistry()
    registry.register(_Families(seen))
    return (openmetrics_text if openmetrics else prometheus_text)(registry).decode()


class _Families(Collector):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def collect(self) -> Iterable[Metric]:
        tunnels = self.seen.status.tunnels
        yield gauge(
            "up",
            "Whether the tunnel is configured.",
            _TUNNEL,
            (((each.name,), each.configured) for each in tunnels),
        )
        yield states(tunnels)
        yield gauge(
            "degraded",
            "Whether it is up and does not carry, or something of it is missing.",
            _TUNNEL,
            (((each.name,), each.state == "degraded") for each in tunnels),
        )
        yield from peers(tunnels)
        yield from self.services()
        yield gauge(
            "commands_running",
            "What `wgconfine exec` runs inside.",
            _TUNNEL,
            (((each.name,), confined_commands(each)) for each in tunnels),
        )
        yield counter(
            "leaked_packets",
            "What the second switch has caught: must stay 0.",
            _TUNNEL,
            (((each.name,), each.leaked) for each in tunnels if each.leaked is not None),
        )
        yield counter(
            "firewall_packets",
            "What the namespace's firewall has counted, by its counters.",
            ["tunnel", "counter"],
            (
                ((each.name, name), count.packets)
                for each in tunnels
                for name, count in each.firewall.items()
            ),
        )
        yield from verified(tunnels)

    def services(self) -> Iterator[Metric]:
        confined = [
            (tunnel.name, each.unit, each.state)
            for tunnel in self.seen.status.tunnels
            for each in tunnel.services
        ]
        closed = [("", each.unit, each.state) for each in self.seen.status.closed]
        yield gauge(
            "service_confined",
            "0: runs outside of its tunnel. Else 1, running or not.",
            _SERVICE,
            (((name, unit), state != "NOT CONFINED") for name, unit, state in (*confined, *closed)),
        )
        yield gauge(
            "service_running",
            "Whether it runs, inside.",
            _SERVICE,
            (((name, unit), state == "confined") for name, unit, state in confined),
        )
        yield counter(
            "service_restarts",
            "How often systemd has started it anew by itself.",
            _SERVICE,
            (
                ((name, unit), self.seen.restarts[unit])
                for name, unit, _ in confined
                if unit in self.seen.restarts
            ),
        )


def confined_commands(tunnel: TunnelStatus) -> int:
    return sum(each.state == "confined" for each in tunnel.commands)


def peers(tunnels: Iterable[TunnelStatus]) -> Iterator[Metric]:
    known = [(tunnel.name, peer) for tunnel in tunnels for peer in tunnel.peers]
    yield gauge(
        "peer_handshake_age_seconds",
        "Since the last handshake; absent before the first.",
        _PEER,
        (
            ((name, peer.public_key), peer.handshake_age)
            for name, peer in known
            if peer.handshake_age is not None
        ),
    )
    yield counter(
        "peer_received_bytes",
        "Received from the peer.",
        _PEER,
        (((name, peer.public_key), peer.received) for name, peer in known),
    )
    yield counter(
        "peer_sent_bytes",
        "Sent to the peer.",
        _PEER,
        (((name, peer.public_key), peer.sent) for name, peer in known),
    )


def states(tunnels: Iterable[TunnelStatus]) -> Metric:
    found = StateSetMetricFamily("wgconfine_state", "The word of `status`.", labels=_TUNNEL)
    for each in tunnels:
        found.add_metric([escape(each.name)], {word.value: word == each.state for word in Word})
    return found


def verified(tunnels: Iterable[TunnelStatus]) -> Iterator[Metric]:
    known = [(tunnel.name, tunnel.verify) for tunnel in tunnels if tunnel.verify is not None]
    result = StateSetMetricFamily(
        "wgconfine_verify_result", "What the last verify came to.", labels=_TUNNEL
    )
    for name, verify in known:
        result.add_metric([escape(name)], {word.value: word == verify.verdict for word in Verdict})
    yield result
    yield gauge(
        "verify_age_seconds",
        "Since the last verify; absent where there was none.",
        _TUNNEL,
        (((name,), verify.age) for name, verify in known),
    )


Samples = Iterable[tuple[tuple[str, ...], float]]


def gauge(name: str, words: str, labels: list[str], samples: Samples) -> Metric:
    return filled(GaugeMetricFamily(f"wgconfine_{name}", words, labels=labels), samples)


def counter(name: str, words: str, labels: list[str], samples: Samples) -> Metric:
    return filled(CounterMetricFamily(f"wgconfine_{name}", words, labels=labels), samples)


def filled(
    family: GaugeMetricFamily | CounterMetricFamily, samples: Samples
) -> GaugeMetricFamily | CounterMetricFamily:
    for labels, value in samples:
        family.add_metric([escape(label) for label in labels], float(value))
    return family
