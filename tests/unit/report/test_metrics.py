"""Metrics: every sample, in both texts, as parsers of those texts read them."""

import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest

from wgconfine.model.status import (
    CommandStatus,
    Counter,
    PeerStatus,
    ServiceStatus,
    Status,
    TunnelStatus,
    VerifyStatus,
)
from wgconfine.model.tunnel import Word
from wgconfine.report.metrics import Seen, as_metrics

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
SEEN = Seen(
    status=Status(
        tunnels=(
            TunnelStatus(name="off", state="down", backend=""),
            TunnelStatus(
                name="vpn",
                state="degraded",
                backend="kernel",
                configured=True,
                leaked=3,
                peers=(
                    PeerStatus(
                        public_key=KEY,
                        endpoint="192.0.2.1:51820",
                        handshake_age=47,
                        received=1536,
                        sent=148,
                    ),
                    PeerStatus(
                        public_key="new", endpoint=None, handshake_age=None, received=0, sent=0
                    ),
                ),
                services=(
                    ServiceStatus(unit="a.service", state="confined"),
                    ServiceStatus(unit="b.service", state="NOT CONFINED"),
                    ServiceStatus(unit="c\\x2d\x1b.service", state="stopped"),
                ),
                commands=(
                    CommandStatus(unit="wgconfine-exec-vpn-1_a.service", state="confined"),
                    CommandStatus(unit="wgconfine-exec-vpn-2_b.service", state="NOT CONFINED"),
                ),
                verify=VerifyStatus(verdict="not confined", age=720),
                firewall={"dropped": Counter(packets=4711, bytes=282660)},
            ),
        ),
        closed=(ServiceStatus(unit="ghost.service", state="closed"),),
    ),
    restarts={"a.service": 2},
)
SAMPLES: dict[tuple[str, ...], float] = {
    ("up", "off"): 0,
    ("up", "vpn"): 1,
    ("degraded", "off"): 0,
    ("degraded", "vpn"): 1,
    **{("state", "off", word.value): word == "down" for word in Word},
    **{("state", "vpn", word.value): word == "degraded" for word in Word},
    ("peer_handshake_age_seconds", "vpn", KEY): 47,
    ("peer_received_bytes_total", "vpn", KEY): 1536,
    ("peer_received_bytes_total", "vpn", "new"): 0,
    ("peer_sent_bytes_total", "vpn", KEY): 148,
    ("peer_sent_bytes_total", "vpn", "new"): 0,
    ("service_confined", "vpn", "a.service"): 1,
    ("service_confined", "vpn", "b.service"): 0,
    ("service_confined", "vpn", "c\\x2d\\x1b.service"): 1,
    ("service_confined", "", "ghost.service"): 1,
    ("service_running", "vpn", "a.service"): 1,
    ("service_running", "vpn", "b.service"): 0,
    ("service_running", "vpn", "c\\x2d\\x1b.service"): 0,
    ("service_restarts_total", "vpn", "a.service"): 2,
    ("commands_running", "off"): 0,
    ("commands_running", "vpn"): 1,
    ("leaked_packets_total", "vpn"): 3,
    ("firewall_packets_total", "vpn", "dropped"): 4711,
    ("verify_result", "vpn", "ok"): 0,
    ("verify_result", "vpn", "open"): 0,
    ("verify_result", "vpn", "not available"): 0,
    ("verify_result", "vpn", "unknown"): 0,
    ("verify_result", "vpn", "does not work"): 0,
    ("verify_result", "vpn", "not confined"): 1,
    ("verify_result", "vpn", "LEAK"): 0,
    ("verify_age_seconds", "vpn"): 720,
}


@pytest.mark.parametrize("openmetrics", [True, False])
def test_every_sample(*, openmetrics: bool) -> None:
    """What was not seen is absent; a name with a control character is escaped."""
    text = as_metrics(SEEN, openmetrics=openmetrics)
    parser = prometheus_client.openmetrics.parser if openmetrics else prometheus_client.parser

    samples = [
        sample
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    ]
    found = {
        # The tunnel first, then what else there is of it.
        (each.name.removeprefix("wgconfine_"), each.labels.pop("tunnel"), *each.labels.values()): (
            each.value
        )
        for each in samples
    }

    assert SAMPLES == found


def test_only_openmetrics_has_an_end() -> None:
    """By it a reader knows that it has all; node_exporter's file has none."""
    assert as_metrics(SEEN, openmetrics=True).endswith("\n# EOF\n")
    assert "# EOF" not in as_metrics(SEEN, openmetrics=False)
