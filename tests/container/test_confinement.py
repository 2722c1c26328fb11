"""Real services in a real tunnel: what the wire says while they run, and when the tunnel goes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests import programs
from tests.matrix import EVERYWHERE
from tests.scenario import (
    HOST,
    ONESHOT,
    PROBE,
    TUNNEL,
    WEB,
    confine,
    refused,
    seen_by_web,
    wgconfine,
    write_service,
)

pytestmark = pytest.mark.container


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with five confined programs of Debian's, a DynamicUser= service and a oneshot."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        programs.set_up(world)
        write_service(world, "probe.service", PROBE)
        write_service(world, "once.service", ONESHOT)
        confine(world, *programs.HOSTS, "probe.service", "once.service")
        yield world


def looked_up_outside(world: World) -> bool:
    queries = (each for each in world.internet.dns_queries() if each.resolver == "isp")
    return any(each.name.startswith("probe-") for each in queries)


def asks_in_the_open(world: World) -> bool:
    connections = world.internet.run("ss", "-Htn")
    return any(address in connections for address in HOST.values())


def test_the_control_is_seen(world: World) -> None:
    """The same probe, unconfined, is seen on the uplink over both families and by DNS."""
    write_service(world, "open.service", PROBE)
    with world.capture_uplink() as uplink:
        world.machine.systemctl("start", "open.service")
        world.machine.wait_for(
            lambda: set(HOST.values()) <= seen_by_web(world, "open.service"), "the web saw the host"
        )
        world.machine.wait_for(lambda: looked_up_outside(world), "it looked its own name up")
        world.machine.systemctl("stop", "open.service")
        # The web server answers who has just gone, too: no packet of that is for the next test.
        world.machine.wait_for(lambda: not asks_in_the_open(world), "its connections are closed")

    foreign = uplink.traffic.foreign()
    assert {4, 6} == {6 if ":" in packet.source else 4 for packet in foreign}
    assert any(packet.name and packet.name.startswith("probe-") for packet in foreign)


def test_services_are_seen_with_the_tunnels_addresses_and_nothing_leaks(world: World) -> None:
    """Confined services reach the web by the tunnel alone, over IPv4 and IPv6."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", *programs.HOSTS, "probe.service", "once.service")
        machine.wait_for(
            lambda: set(TUNNEL.values()) == seen_by_web(world, "probe.service"),
            "the probe went out",
        )
        programs.have_each_ask(world)
        machine.wait_for(lambda: machine.show("once.service", "Result") == "success", "oneshot ran")
        time.sleep(3)

    assert_confined(uplink.traffic, tunnel.traffic)
    assert set(TUNNEL.values()) == seen_by_web(world, "probe.service")
    assert set(TUNNEL.values()) == seen_by_web(world, "once.service")
    for unit in programs.HOSTS:
        assert f"{unit}: confined" == refused(world, unit)
        assert programs.clients(world, unit) <= set(TUNNEL.values()), unit
        assert {"tunnel"} == programs.resolvers(world, unit), unit


def test_logs_of_the_tunnel_and_its_services(world: World) -> None:
    """Both in one, in the order of time; of a tunnel that is not there nothing."""
    text = wgconfine(world, "logs", "vpn", "--boot", "--lines", "all").stdout
    for line in ("once.service", "Network namespace of WireGuard tunnel vpn", TUNNEL["v6"]):
        assert line in text, text
    assert 1 == wgconfine(world, "logs", "two", check=False).returncode


def test_metrics_of_the_tunnel_and_its_services(world: World) -> None:
    """As root all of them are there; the file for node_exporter may be read by its user."""
    printed = wgconfine(world, "metrics").stdout
    assert 'wgconfine_up{tunnel="vpn"} 1.0' in printed
    assert 'wgconfine_state{tunnel="vpn",wgconfine_state="up"} 1.0' in printed
    assert 'wgconfine_service_confined{service="probe.service",tunnel="vpn"} 1.0' in printed
    assert 'wgconfine_leaked_packets_total{tunnel="vpn"} 0.0' in printed
    assert "wgconfine_peer_handshake_age_seconds{" in printed

    wgconfine(world, "metrics", "--textfile", "/srv/wgconfine.prom")
    nowhere = wgconfine(world, "metrics", "--textfile", "/none/wgconfine.prom", check=False)
    assert nowhere.stderr.startswith("/none/wgconfine.prom: No such file or directory\nName a ")
    text = world.machine.run("setpriv", "--reuid=nobody", "cat", "/srv/wgconfine.prom").stdout
    assert 'wgconfine_up{tunnel="vpn"} 1.0' in text
    assert ["wgconfine.prom"] == world.machine.run("ls", "-A", "/srv").stdout.split()


def test_the_service_keeps_its_own_user(world: World) -> None:
    """Debian's unit runs as debian-transmission, and users can still be looked up inside."""
    machine = world.machine
    machine.systemctl("start", programs.TRANSMISSION)
    pid = machine.show(programs.TRANSMISSION, "MainPID")
    assert "debian-transmission" == machine.sh(f"stat -c %U /proc/{pid}")
    assert machine.sh("readlink /proc/1/ns/user") == machine.sh(f"readlink /proc/{pid}/ns/user")
    inside = ("nsenter", "-t", pid, "-m", "-n", "getent", "passwd", "debian-transmission")
    assert machine.run(*inside).stdout.startswith("debian-transmission:")


def test_the_namespace_has_lo_and_wg0_and_a_closed_firewall(world: World) -> None:
    """Nothing else is in the namespace; what arrives, comes in, goes out or passes is dropped."""
    names = world.machine.sh("ip -n vpn -o link show up | cut -d: -f2 | tr -d ' ' | sort")
    assert ["lo", "wg0"] == names.splitlines()
    rules = world.machine.sh("nsenter --net=/run/netns/vpn nft list table inet wgconfine")
    assert 4 == rules.count("policy drop;")


@pytest.mark.parametrize("server", ["127.0.0.53", "8.8.8.8", "192.168.1.1"])
def test_a_query_to_any_resolver_is_answered_by_the_tunnels(world: World, server: str) -> None:
    """A lost bind over resolv.conf is harmless: look-ups go on, by the declared resolver."""
    name = f"asked-{server.replace('.', '-')}.probe.example.net"
    with world.capture_uplink() as uplink:
        answer = world.machine.run(
            *("nsenter", "--net=/run/netns/vpn"),
            *("dig", "+short", "+timeout=20", "+tries=2", f"@{server}", name),
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
        crash(world)
        machine.run("journalctl", "--rotate")
        machine.wait_for(lambda: asks_from_inside(world) == TUNNEL["v4"], "the tunnel is back")
    assert () == uplink.traffic.foreign()
    assert before == machine.show("probe.service", "MainPID")


def test_a_crash_while_the_conf_is_away_is_made_good_when_it_is_back(world: World) -> None:
    """`status` names what failed until then."""
    machine = world.machine
    machine.sh("mv /etc/wireguard/vpn.conf /etc/wireguard/away")
    try:
        crash(world)
        machine.wait_for(
            lambda: "! wgconfine-reload@vpn.service failed" in wgconfine(world, "status").stdout,
            "status says so",
        )
    finally:
        machine.sh("mv /etc/wireguard/away /etc/wireguard/vpn.conf")
    machine.wait_for(lambda: asks_from_inside(world) == TUNNEL["v4"], "the tunnel is back")


def crash(world: World) -> None:
    """Kill the userspace WireGuard, and wait until it runs anew: until then it may still answer."""
    machine, unit = world.machine, "wgconfine-wireguard@vpn.service"
    before = machine.show(unit, "MainPID")
    machine.systemctl("kill", "--signal=KILL", unit)
    machine.wait_for(lambda: machine.show(unit, "MainPID") not in {before, "0"}, "it runs anew")


def asks_from_inside(world: World) -> str:
    """Give what the web server sees of somebody in the namespace; empty where it is not reached."""
    return world.machine.run(
        *("nsenter", "--net=/run/netns/vpn", "curl", "-4", "-s", "-m", "5", "--resolve"),
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
    """Stopping the tunnel stops its services; from systemd 257 on they wait for it.

    252 stops with a service whatever that propagates its stop to, so that nobody wants it any more.
    """
    machine = world.machine
    old = machine.sh("systemctl --version").startswith("systemd 252")
    machine.systemctl("start", programs.TRANSMISSION, "probe.service")
    with world.capture_uplink() as uplink:
        machine.systemctl("stop", "wgconfine@vpn.service")
        assert not machine.is_active("probe.service")
        assert not machine.is_active(programs.TRANSMISSION)
        status = wgconfine(world, "status").stdout
        time.sleep(1)
    assert f"probe.service: {'stopped' if old else 'waiting'}" in status
    assert () == uplink.traffic.foreign()


def test_with_a_tunnel_that_cannot_start_services_do_not_run_and_come_back(world: World) -> None:
    """A broken .conf keeps them down; mended, they come back unasked, but not the stopped."""
    machine = world.machine
    machine.systemctl("start", programs.TRANSMISSION, "probe.service")
    machine.systemctl("stop", programs.TRANSMISSION)
    good = machine.read("/etc/wireguard/vpn.conf")
    with world.capture_uplink() as uplink:
        machine.write("/etc/wireguard/vpn.conf", "[Interface]\nPrivateKey = rubbish\n", 0o600)
        machine.systemctl("restart", "wgconfine@vpn.service", check=False)
        assert 0 != machine.systemctl("start", "probe.service", check=False).returncode
        assert not machine.is_active("probe.service")
        machine.write("/etc/wireguard/vpn.conf", good, 0o600)
        machine.wait_for(lambda: machine.is_active("probe.service"), "the probe came back", 30)
    assert () == uplink.traffic.foreign()
    assert not machine.is_active(programs.TRANSMISSION)
