"""The rule by which encrypted packets go to declared endpoints alone."""

import os
from pathlib import Path

import pytest

from tests.unit.runtime.test_record import PUBLIC, VALUES
from wgconfine.config import wgquick
from wgconfine.model.verify import Verdict
from wgconfine.runtime import paths, pin
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import Record
from wgconfine.runtime.switch import Table
from wgconfine.verify.pin import judge_pin

CONF = f"[Interface]\nAddress = 10.0.0.2/32\n[Peer]\nPublicKey = {PUBLIC}\n"
PINS = pin.Pins(7, [("192.0.2.1", 1), ("2001:db8::1", 2)])
LISTED = """\
table inet wgconfine_pin-vpn {
	comment "wgconfine: counts since 2026-01-01T00:00:00Z"
	counter elsewhere {
		packets 3 bytes 300
	}

	chain output {
		type filter hook output priority raw; policy accept;
		meta mark 0x00000007 ip daddr 192.0.2.1 udp dport 1 accept
		meta mark 0x00000007 ip6 daddr 2001:db8::1 udp dport 2 accept
		meta mark 0x00000007 meta l4proto udp counter name "elsewhere" drop
	}
}
"""


def pinned(conf: str, known: dict[str, str] | None = None, *, mark: int | None = 7) -> str:
    record = Record("vpn", VALUES | {"fwmark": mark, "pin-endpoint": True})
    parsed = wgquick.parse(conf, "vpn.conf", need_private_key=False)
    return str(pin.pins_of(record, parsed, known or {}))


def test_what_a_configuration_declares() -> None:
    """An address as it is, and of a name what is known: nothing, before anything is."""
    name = f"{CONF}Endpoint = vpn.example.net:1\n"
    assert "192.0.2.1:1" == pinned(f"{CONF}Endpoint = 192.0.2.1:1\n")
    assert "nobody yet" == pinned(name)
    assert "[2001:db8::1]:1" == pinned(name, {"vpn.example.net": "2001:db8::1"})


@pytest.mark.parametrize(
    ("conf", "mark", "why"),
    [
        (CONF, 7, "pin-endpoint, and peer .* has no Endpoint"),
        (f"{CONF}Endpoint = 192.0.2.1:1\n", None, "needs a mark"),
    ],
)
def test_what_can_not_be_pinned(conf: str, mark: int | None, why: str) -> None:
    """Refused, rather than guessed."""
    with pytest.raises(Failure, match=why):
        pinned(conf, mark=mark)


def test_the_rule_is_compared_to_the_letter() -> None:
    """As nft(8) prints it."""
    assert pin.chain_lines(PINS) == Table(LISTED).chains[pin.CHAIN]


def test_a_load_keeps_what_was_counted() -> None:
    """The chain alone is made anew."""
    lines = pin.rules("vpn", PINS).splitlines()
    assert not any(line.startswith("delete") for line in lines)
    assert "flush chain inet wgconfine_pin-vpn output" in lines
    assert "delete table inet wgconfine_pin-vpn" in pin.rules("vpn", PINS, anew=True)


def test_what_is_held_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever loads it again; a tunnel without has nothing."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    (tmp_path / "tunnel/vpn").mkdir(parents=True)
    assert pin.read_pins("vpn") is None
    assert [] == pin.lost()
    monkeypatch.setattr(pin, "load", lambda *_: None)
    pin.hold("vpn", PINS)
    kept = pin.read_pins("vpn")
    assert kept is not None
    assert (PINS.mark, PINS.endpoints) == (kept.mark, kept.endpoints)


@pytest.mark.parametrize(
    ("pins", "listed", "verdict", "evidence"),
    [
        (PINS, LISTED, Verdict.OK, "192.0.2.1:1, [2001:db8::1]:2 alone; 3 to others dropped"),
        (None, LISTED, Verdict.NOT_CONFINED, "the tunnel was configured without it"),
        (PINS, None, Verdict.NOT_CONFINED, "table inet wgconfine_pin-vpn is not there"),
        (PINS, LISTED.replace(" drop", ""), Verdict.NOT_CONFINED, 'counter name "elsewhere"'),
        (PINS, LISTED.replace("192.0.2.1", "192.0.2.2"), Verdict.NOT_CONFINED, "192.0.2.2"),
        (PINS, "table inet x {\n}\n", Verdict.NOT_CONFINED, "is not there"),
    ],
)
def test_verify(pins: pin.Pins | None, listed: str | None, verdict: Verdict, evidence: str) -> None:
    """What lets one more through is not confined."""
    found = judge_pin("vpn", pins, Table(listed) if listed else None)
    assert verdict is found.verdict
    assert evidence in found.evidence
