"""Counting packets: the capture sees what is there, and says so when it proves nothing."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from lab import Flow, Packet, Traffic, World, assert_confined
from lab.capture import read_pcap
from lab.fixtures import BootContainer

pytestmark = pytest.mark.container

# A plain tunnel of the machine itself, and a namespace to stand for a confined service.
TUNNEL = """
ip netns add service
wireguard-go wg0
wg set wg0 private-key <(sed -n 's/^PrivateKey = //p' /root/provider.conf) \
  peer "$(sed -n 's/^PublicKey = //p' /root/provider.conf)" \
  allowed-ips 0.0.0.0/0,::/0 endpoint 198.51.100.1:51820
ip link set wg0 netns service
ip -n service address add 10.66.0.2/32 dev wg0
ip -n service link set wg0 up
ip -n service route add default dev wg0
"""
INSIDE = "ip netns exec service ping -q -c 40 -i 0.01 203.0.113.80"


@pytest.fixture(scope="module")
def tunnelled(trixie: World) -> World:
    """The machine with a tunnel made by hand."""
    trixie.machine.write("/root/provider.conf", trixie.internet.provider_conf(), mode=0o600)
    trixie.machine.sh(TUNNEL)
    return trixie


def test_idle_machine_sends_nothing_foreign(trixie: World) -> None:
    """A machine that does nothing shows no foreign packet."""
    with trixie.capture_uplink() as uplink:
        trixie.machine.run("sleep", "1")

    assert () == uplink.traffic.foreign()


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (
            "dig +tries=1 +time=1 a.probe.example.net || true",
            "198.51.100.1.53: a.probe.example.net?",
        ),
        ("curl -4s http://203.0.113.80", "TCP 198.51.100.2"),
        ("curl -6s 'http://[2001:db8:113::80]'", "TCP 2001:db8:51::2"),
        ("ping -c 1 203.0.113.80", "ICMP 198.51.100.2 > 203.0.113.80: type 8"),
        ("ping -c 1 2001:db8:113::80", "ICMPv6 2001:db8:51::2 > 2001:db8:113::80: type 128"),
        ("echo leak >/dev/udp/8.8.8.8/53", "UDP 198.51.100.2"),
        ("echo leak >/dev/udp/198.51.100.1/51820", "198.51.100.1.51820: length"),
    ],
)
def test_capture_sees_each_kind_of_leak(trixie: World, leak: str, words: str) -> None:
    """The control: what leaves in the open is seen, also what only pretends to be WireGuard."""
    with trixie.capture_uplink() as uplink:
        trixie.machine.sh(leak)

    assert any(words in str(packet) for packet in uplink.traffic.foreign())


def test_confined_traffic_passes(tunnelled: World) -> None:
    """What goes through the tunnel is seen inside it, and outside as WireGuard alone."""
    with tunnelled.capture_uplink() as uplink, tunnelled.capture_tunnel() as tunnel:
        tunnelled.machine.sh(INSIDE)

    assert_confined(uplink.traffic, tunnel.traffic)
    assert len(uplink.traffic.wireguard()) >= len(tunnel.traffic.packets)


def test_tunnel_hides_the_machine(tunnelled: World) -> None:
    """The web server sees the tunnel's address, and the tunnel's resolver answers."""
    machine = tunnelled.machine

    assert "10.66.0.2" == machine.sh("ip netns exec service curl -4s http://203.0.113.80")
    asked = machine.sh("ip netns exec service dig +short @10.66.0.1 in.probe.example.net")
    assert "203.0.113.80" == asked
    assert "tunnel" in {
        q.resolver for q in tunnelled.internet.dns_queries() if "in.probe" in q.name
    }


def test_stopped_server_is_no_leak(tunnelled: World) -> None:
    """Handshakes to a dead server, and its "port unreachable", belong to WireGuard."""
    with tunnelled.capture_uplink() as uplink:
        tunnelled.internet.stop_wireguard()
        tunnelled.machine.sh("ip netns exec service ping -q -c 1 -W 2 203.0.113.80 || true")
        tunnelled.internet.start_wireguard()

    assert () == uplink.traffic.foreign()


@pytest.mark.parametrize(
    ("changed", "foreign"),
    [
        ({}, False),
        ({"source": "198.51.100.2", "target": "198.51.100.10"}, True),
        ({"source": "198.51.100.200"}, True),
        ({"target": "203.0.113.80"}, True),
        ({"target_port": 8081}, True),
        ({"protocol": "UDP"}, True),
    ],
)
def test_a_declared_flow_is_that_and_no_more(changed: dict[str, Any], foreign: bool) -> None:  # noqa: FBT001 — parametrized
    """A packet of the flow passes; one with another address, port or protocol does not."""
    flow = Flow(client="198.51.100.10", server="198.51.100.2", port=8080)
    there = Packet(
        time=0,
        protocol="TCP",
        source=flow.client,
        target=flow.server,
        source_port=40000,
        target_port=8080,
    )
    traffic = Traffic(packets=(replace(there, **changed),))

    assert foreign == bool(traffic.foreign(flows=[flow]))


@pytest.mark.parametrize("answered", [True, False])
def test_an_answer_passes_where_one_is_expected(answered: bool) -> None:  # noqa: FBT001 — parametrized
    """What the server sends back belongs to the flow, unless it was to send nothing."""
    flow = Flow(client="198.51.100.200", server="198.51.100.2", port=8080, answered=answered)
    back = Packet(
        time=0,
        protocol="TCP",
        source=flow.server,
        target=flow.client,
        source_port=8080,
        target_port=40000,
    )

    assert answered == (() == Traffic(packets=(back,)).foreign(flows=[flow]))


def test_idle_service_proves_nothing() -> None:
    """Without traffic inside the tunnel a clean uplink counts as a failure."""
    with pytest.raises(AssertionError, match="proves nothing"):
        assert_confined(Traffic(packets=()), Traffic(packets=()))


def test_foreign_packets_are_listed() -> None:
    """The failure names each foreign packet on a line of its own."""
    packet = Packet(time=1.5, protocol="TCP", source="a", target="b", source_port=1, target_port=80)

    with pytest.raises(AssertionError, match=r"1 foreign .*\n  1.500000 TCP a.1 > b.80: length 0"):
        assert_confined(Traffic(packets=(packet,)), Traffic(packets=()))


def test_capture_lasts_through_a_reboot(boot_container: BootContainer) -> None:
    """With beacons of the world a capture covers the whole boot, which sends nothing by itself."""
    world = boot_container("trixie")

    with world.capture_uplink(beacons="world") as uplink:
        world.machine.reboot()
        world.machine.sh("ping -c 1 203.0.113.80")

    assert {"ICMP"} == {packet.protocol for packet in uplink.traffic.foreign()}


def test_an_error_is_as_what_it_quotes(tmp_path: Path) -> None:
    """A machine that is losing its addresses says so to a neighbour who asks for them."""
    here, there = "fe80::5054:ff:fe12:3456", "fe80::9090:7fff:fec5:2fa9"
    error = Ether() / IPv6(src=here, dst=there) / ICMPv6DestUnreach()
    asked = IPv6(src=there, dst=here) / ICMPv6ND_NS(tgt=here) / ICMPv6NDOptSrcLLAddr()
    sent = IPv6(src=here, dst="2001:db8:113::80") / ICMPv6EchoRequest()
    wrpcap(os.fspath(tmp_path / "of-neighbours"), [error / asked])
    wrpcap(os.fspath(tmp_path / "of-a-leak"), [error / sent])

    assert () == Traffic(packets=read_pcap(tmp_path / "of-neighbours")).foreign()
    assert 1 == len(Traffic(packets=read_pcap(tmp_path / "of-a-leak")).foreign())
