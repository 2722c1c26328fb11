"""Numbers and foreign text in what `status` prints; the whole is in tests/golden."""

import json
from dataclasses import replace

import pytest

from wgconfine.model.status import (
    Counter,
    PeerStatus,
    ServiceStatus,
    Status,
    TunnelStatus,
    VerifyStatus,
)
from wgconfine.report.status import age, as_json, as_text, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (90000, "25 h")],
)
def test_an_age_has_one_unit(seconds: int, words: str) -> None:
    """Seconds up to two minutes, where a handshake is fresh or not."""
    assert words == age(seconds)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3 * 1024**4, "3.0 TiB"),
        (2000 * 1024**4, "2000.0 TiB"),
    ],
)
def test_a_size_has_a_binary_unit(count: int, words: str) -> None:
    """As wg(8) shows transfer."""
    assert words == size(count)


def test_what_the_firewall_counted_may_be_of_verify() -> None:
    """Where it has run: its tries are no service's."""
    tunnel = TunnelStatus(
        name="vpn",
        state="up",
        backend="kernel",
        firewall={"dns": Counter(packets=3, bytes=180)},
    )
    words = "  firewall: 3 packets with look-ups of others than the tunnel's resolvers rejected"

    assert words in as_text(Status(tunnels=(tunnel,))).splitlines()
    seen = replace(tunnel, verify=VerifyStatus(verdict="ok", age=3))
    said = as_text(Status(tunnels=(seen,))).splitlines()
    assert f"{words}; tries of verify are among them" in said


def test_nothing_to_show_is_said() -> None:
    """An empty screen would leave one in doubt."""
    words = "No tunnel in /etc/wgconfine. To make one: wgconfine init CONF --name NAME"
    assert words == as_text(Status(tunnels=()))


def test_foreign_text_cannot_move_the_cursor() -> None:
    """Invariant 14: nor add a line that looks like ours."""
    evil = ServiceStatus(unit="x.service", state="failed", why="\x1b[2J\nvpn: up\u202e")
    text = as_text(
        Status(tunnels=(TunnelStatus(name="vpn", state="up", backend="", services=(evil,)),))
    )

    assert text == "vpn: up\n  x.service: failed (\\x1b[2J\\x0avpn: up\\u202e)"


def test_json_has_its_schema_and_plain_numbers() -> None:
    """Ages in seconds and bytes, null for what is not known."""
    peer = PeerStatus(public_key="k", endpoint=None, handshake_age=None, received=1, sent=2)
    tunnel = TunnelStatus(name="vpn", state="up", backend="kernel", peers=(peer,))
    found = json.loads(as_json(Status(tunnels=(tunnel,))))

    assert found["schema"] == 1
    assert found["tunnels"][0]["peers"] == [
        {"public_key": "k", "endpoint": None, "handshake_age": None, "received": 1, "sent": 2}
    ]
