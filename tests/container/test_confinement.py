"""Real services in a real tunnel: what the wire says while they run, and when the tunnel goes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests.scenario import (
    HOST,
    ONESHOT,
    PROBE,
    TUNNEL,
    WEB,
    confine,
    seen_by_web,
    wgconfine,
    write_service,
)

pytestmark = pytest.mark.container

TORRENT = "transmission-daemon.service"
TRACKER = "tracker.example.net"


@pytest.fixture(scope="module")
def world(wheelhouse: Path) -> Iterator[World]:
    """A machine with three confined services: Debian's own unit, a DynamicUser= one, a oneshot."""
    with boot_container("trixie", wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", PROBE)
        write_service(world, "once.service", ONESHOT)
        confine(world, TORRENT, "probe.service", "once.service")
        yield world


def test_the_control_is_seen(world: World) -> None:
    """The same probe, unconfined, is seen on the uplink over both families and by DNS."""
    write_service(world, "open.service", PROBE)
    with world.capture_uplink() as uplink:
        world.machine.systemctl("start", "open.service")
        world.machine.wait_for(
            lambda: set(HOST.values()) <= seen_by_web(world, "open.service"), "the web saw the host"
        )
        world.machine.systemctl("stop", "open.service")

    foreign = uplink.traffic.foreign()
    assert {4, 6} == {6 if ":" in packet.source else 4 for packet in foreign}
    assert any(packet.name and packet.name.startswith("probe-") for packet in foreign)


def test_services_are_seen_with_the_tunnels_addresses_and_nothing_leaks(world: World) -> None:
    """Confined services reach the web by the tunnel alone, over IPv4 and IPv6."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", TORRENT, "probe.service", "once.service")
        machine.wait_for(
            lambda: set(TUNNEL.values()) == seen_by_web(world, "probe.service"),
            "the probe went out",
        )
        add_torrent(world)
        machine.wait_for(lambda: bool(announces(world)), "transmission asked its tracker", 60)
        machine.wait_for(lambda: machine.show("once.service", "Result") == "success", "oneshot ran")
        time.sleep(3)

    assert_confined(uplink.traffic, tunnel.traffic)
    assert set(TUNNEL.values()) == seen_by_web(world, "probe.service")
    assert set(TUNNEL.values()) == seen_by_web(world, "once.service")
    assert announces(world) <= set(TUNNEL.values())
    queries = world.internet.dns_queries()
    assert {"tunnel"} == {each.resolver for each in queries if each.name == TRACKER}


def announces(world: World) -> set[str]:
    """Give the addresses from which transmission asked its tracker."""
    return {each.client for each in world.internet.web_requests() if each.host == TRACKER}


def add_torrent(world: World) -> None:
    """Give transmission something to ask a tracker for, by its own interface, inside."""
    magnet = f"magnet:?xt=urn:btih:{'c0ffee' * 6}c0de&tr=http://{TRACKER}/announce"
    request = json.dumps({"method": "torrent-add", "arguments": {"filename": magnet}})
    world.machine.sh(f"""
        ask() {{ nsenter --net=/run/netns/vpn curl -s -u transmission:transmission "$@" \
            http://127.0.0.1:9091/transmission/rpc; }}
        session=$(ask -D - -o /dev/null | tr -d '\\r' | grep -i '^x-transmission-session-id:')
        ask -H "$session" -d '{request}' | grep -q '"success"'
    """)


def test_the_service_keeps_its_own_user(world: World) -> None:
    """Debian's unit runs as debian-transmission, and users can still be looked up inside."""
    machine = world.machine
    machine.systemctl("start", TORRENT)
    pid = machine.show(TORRENT, "MainPID")
    assert "debian-transmission" == machine.sh(f"stat -c %U /proc/{pid}")
    inside = ("nsenter", "-t", pid, "-m", "-n", "getent", "passwd", "debian-transmission")
    assert machine.run(*inside).stdout.startswith("debian-transmission:")


def test_the_namespace_has_lo_and_wg0_and_a_closed_firewall(world: World) -> None:
    """Nothing else is in the namespace, and its table drops by default in all three directions."""
    names = world.machine.sh("ip -n vpn -o link show up | cut -d: -f2 | tr -d ' ' | sort")
    assert ["lo", "wg0"] == names.splitlines()
    rules = world.machine.sh("nsenter --net=/run/netns/vpn nft list table inet wgconfine")
    assert 3 == rules.count("policy drop;")


@pytest.mark.parametrize("server", ["127.0.0.53", "8.8.8.8", "192.168.1.1"])
def test_a_query_to_any_resolver_is_answered_by_the_tunnels(world: World, server: str) -> None:
    """A lost bind over resolv.conf is harmless: look-ups go on, by the declared resolver."""
    name = f"asked-{server.replace('.', '-')}.probe.example.net"
    with world.capture_uplink() as uplink:
        answer = world.machine.run(
            *("nsenter", "--net=/run/netns/vpn"),
            *("dig", "+short", "+timeout=3", "+tries=2", f"@{server}", name),
        ).stdout
    assert "203.0.113.80" == answer.strip()
    assert () == uplink.traffic.foreign()
    assert {"tunnel"} == {
        query.resolver for query in world.internet.dns_queries() if query.name == name
    }


def test_a_query_over_ipv6_is_rejected_where_no_ipv6_resolver_is_declared(world: World) -> None:
    """A family without a resolver has no DNS: the query fails at once and leaves nowhere."""
    done = world.machine.run(
        *("nsenter", "--net=/run/netns/vpn", "dig", "+timeout=2", "+tries=1"),
        *("@fd66::1", "six.probe.example.net"),
        check=False,
    )
    assert 0 != done.returncode
    assert not [query for query in world.internet.dns_queries() if query.name.startswith("six.")]


def test_a_crash_of_the_userspace_wireguard_restarts_nothing_else(world: World) -> None:
    """The link goes, closed, and comes back configured; services keep running."""
    machine = world.machine
    machine.systemctl("start", "probe.service")
    before = machine.show("probe.service", "MainPID")
    with world.capture_uplink() as uplink:
        machine.systemctl("kill", "--signal=KILL", "wgconfine-wireguard@vpn.service")
        machine.run("journalctl", "--rotate")
        machine.wait_for(lambda: asks_from_inside(world) == TUNNEL["v4"], "the tunnel is back")
    assert () == uplink.traffic.foreign()
    assert before == machine.show("probe.service", "MainPID")


def asks_from_inside(world: World) -> str:
    """Give what the web server sees of somebody in the namespace; empty where it is not reached."""
    return world.machine.run(
        *("nsenter", "--net=/run/netns/vpn", "curl", "-4", "-s", "-m", "1", "--resolve"),
        *("web.example.net:80:203.0.113.80", WEB),
        check=False,
    ).stdout.strip()


def test_with_the_link_deleted_services_reach_nothing(world: World) -> None:
    """A service whose link is gone goes on running, and no packet of it leaves anywhere."""
    machine = world.machine
    machine.systemctl("start", "probe.service")
    machine.systemctl("stop", "wgconfine-wireguard@vpn.service")
    with world.capture_uplink() as uplink:
        assert "lo" == machine.sh("ip -n vpn -o link show up | cut -d: -f2 | tr -d ' '")
        assert "" == asks_from_inside(world)
        time.sleep(3)
        assert machine.is_active("probe.service")
    assert () == uplink.traffic.foreign()
    machine.systemctl("restart", "wgconfine@vpn.service")
    machine.wait_for(lambda: asks_from_inside(world) == TUNNEL["v4"], "the tunnel is back")


def test_with_the_tunnel_stopped_services_do_not_run(world: World) -> None:
    """Stopping the tunnel stops its services; `status` says that they wait for it."""
    machine = world.machine
    machine.systemctl("start", TORRENT, "probe.service")
    with world.capture_uplink() as uplink:
        machine.systemctl("stop", "wgconfine@vpn.service")
        assert not machine.is_active("probe.service")
        assert not machine.is_active(TORRENT)
        status = wgconfine(world, "status").stdout
        time.sleep(1)
    assert "probe.service: waiting" in status
    assert () == uplink.traffic.foreign()


def test_with_a_tunnel_that_cannot_start_services_do_not_run_and_come_back(world: World) -> None:
    """A broken .conf keeps them down; mended, they come back unasked, but not the stopped."""
    machine = world.machine
    machine.systemctl("start", TORRENT, "probe.service")
    machine.systemctl("stop", TORRENT)
    good = machine.read("/etc/wireguard/vpn.conf")
    with world.capture_uplink() as uplink:
        machine.write("/etc/wireguard/vpn.conf", "[Interface]\nPrivateKey = rubbish\n", 0o600)
        machine.systemctl("restart", "wgconfine@vpn.service", check=False)
        assert 0 != machine.systemctl("start", "probe.service", check=False).returncode
        assert not machine.is_active("probe.service")
        machine.write("/etc/wireguard/vpn.conf", good, 0o600)
        machine.wait_for(lambda: machine.is_active("probe.service"), "the probe came back", 30)
    assert () == uplink.traffic.foreign()
    assert not machine.is_active(TORRENT)
