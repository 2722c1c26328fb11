"""The kernel's own WireGuard, in a virtual machine with a kernel of its own; one boot for all."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_vm
from lab.internet import INNER_PORT, WEB, WIREGUARD_PORT
from lab.internet import TUNNEL as RESOLVERS
from tests import programs
from tests.matrix import EVERYWHERE, ends, first
from tests.outside import SEND, SENT, counted, in_group, seen
from tests.reboot import assert_release_is_a_word
from tests.scan import answering
from tests.scenario import (
    ONESHOT,
    PATIENT,
    TUNNEL,
    refused,
    seen_by_web,
    wgconfine,
    write_service,
    write_tunnel,
)
from tests.watching import look_again, look_away
from wgconfine.model.errors import ExitCode

pytestmark = pytest.mark.vm

INSIDE = "nsenter --net=/run/netns/vpn"
FAR = {*WEB, *RESOLVERS}
"""Who answers by the tunnel."""
SLOW = {"rate": 100, "retries": 6}
"""How to scan an emulated machine."""

at_both_ends = pytest.mark.parametrize("world", ends(), indirect=True, scope="module")
long_everywhere = pytest.mark.parametrize(
    "world",
    [pytest.param(each, marks=pytest.mark.long) for each in EVERYWHERE],
    indirect=True,
    scope="module",
)
on_one = pytest.mark.parametrize("world", first("bookworm"), indirect=True, scope="module")


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A virtual machine with confined services of its owner's, and transmission."""
    with boot_vm(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", PATIENT)
        write_service(world, "once.service", ONESHOT)
        confine(world, programs.TRANSMISSION)
        yield world


def confine(world: World, *more: str) -> None:
    """An emulated processor takes seconds for each service: only as many as a test needs."""
    services = ("probe.service", "once.service", *more)
    write_tunnel(world, services, extra="[inbound]\ntcp = [51413]\n")
    done = wgconfine(world, "apply", check=False)
    # A probe may be too slow for the `verify` at its end.
    assert done.returncode in {ExitCode.OK, ExitCode.UNCHECKED}, done


@at_both_ends
def test_the_kernel_carries_the_tunnel_and_nothing_leaks(world: World) -> None:
    """Confined services reach the web by the tunnel alone, over IPv4 and IPv6."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", "probe.service", "once.service")
        machine.wait_for(
            lambda: set(TUNNEL.values()) == seen_by_web(world, "probe.service"), "it goes out", 60
        )
        time.sleep(8)
        tunnel.wait_for_packets()

    assert_confined(uplink.traffic, tunnel.traffic)
    assert set(TUNNEL.values()) == seen_by_web(world, "once.service")
    assert "vpn: up, kernel" in wgconfine(world, "status").stdout
    clients = {each.client for each in world.internet.dns_queries() if each.resolver == "tunnel"}
    assert {TUNNEL["v4"]} == clients


@at_both_ends
def test_the_link_is_born_in_the_host_and_lives_inside(world: World) -> None:
    """The kernel's UDP socket is in the host's namespace, and there is none inside."""
    machine = world.machine
    port = machine.sh("nsenter --net=/run/netns/vpn wg show wg0 listen-port")
    assert f":{port}" in machine.sh("ss -Hlun")
    assert f":{port}" not in machine.sh("nsenter --net=/run/netns/vpn ss -Hlun")
    assert "wireguard" in machine.sh("ip -n vpn -d link show wg0")


@on_one
def test_the_second_switch_counts_what_is_sent_outside_of_the_tunnel_alone(world: World) -> None:
    """Neither the tunnel's own packets, whose socket the kernel has, nor anybody else's."""
    machine = world.machine
    machine.systemctl("start", "probe.service")
    before = counted(world, "vpn")
    with world.capture_uplink() as control:
        in_group(world, "lab.control", SEND, "control")
    with world.capture_uplink() as uplink:
        in_group(world, "wgconfine.slice/wgconfine-vpn.slice/probe.service", SEND, "dropped")

    assert SENT == seen(control.traffic)
    assert () == uplink.traffic.foreign()
    assert (0, 0) == before
    assert 8 <= counted(world, "vpn")[0]
    assert () != uplink.traffic.wireguard()
    machine.systemctl("restart", "wgconfine-switch@vpn.service")  # it goes on counting
    assert 8 <= counted(world, "vpn")[0]
    machine.sh("nft reset counters table inet wgconfine-vpn")


@on_one
def test_a_reload_changes_no_process_and_no_port(world: World) -> None:
    """A changed .conf comes in without a restart, a new source port or a packet outside."""
    machine = world.machine
    machine.systemctl("start", "probe.service")
    listen = "nsenter --net=/run/netns/vpn wg show wg0 listen-port"
    before = machine.show("probe.service", "MainPID"), machine.sh(listen)
    with world.capture_uplink() as uplink:
        machine.sh("sed -i 's/^DNS.*/&\\nMTU = 1300/' /etc/wireguard/vpn.conf")
        machine.systemctl("reload", "wgconfine@vpn.service")
    assert () == uplink.traffic.foreign()
    assert before == (machine.show("probe.service", "MainPID"), machine.sh(listen))
    assert "mtu 1300" in machine.sh("ip -n vpn link show wg0")


@on_one
def test_with_the_link_deleted_services_reach_nothing(world: World) -> None:
    """The link is deleted under a running service: it goes on running and no packet leaves."""
    machine = world.machine
    machine.systemctl("start", "probe.service")
    machine.systemctl("stop", "wgconfine-tick.timer")  # it would make the link anew
    look_away(world)
    machine.run("ip", "-n", "vpn", "link", "del", "wg0")
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        time.sleep(4)
        assert machine.is_active("probe.service")
    look_again(world)
    machine.systemctl("restart", "wgconfine@vpn.service")
    machine.systemctl("start", "wgconfine-tick.timer")
    assert () == uplink.traffic.foreign()
    # The far side may still send what it has.
    wireguard = uplink.traffic.wireguard()
    assert () == tuple(each for each in wireguard if each.target_port == WIREGUARD_PORT)
    assert () == tuple(each for each in tunnel.traffic.packets if each.source not in FAR)


@on_one
def test_with_the_tunnel_stopped_services_do_not_run(world: World) -> None:
    """Stopping the tunnel stops its services, and no packet leaves."""
    machine = world.machine
    machine.systemctl("start", "probe.service")
    with world.capture_uplink() as uplink:
        machine.systemctl("stop", "wgconfine@vpn.service")
        assert not machine.is_active("probe.service")
        time.sleep(1)
    assert () == uplink.traffic.foreign()


@on_one
@pytest.mark.long
def test_programs_of_the_archive_are_confined_and_nothing_leaks(world: World) -> None:
    """Each asks its own host by the tunnel alone, and the tunnel's resolver for its address."""
    machine = world.machine
    machine.systemctl("stop", "probe.service")  # it leaves an emulated processor no time
    programs.set_up(world)
    confine(world, *programs.HOSTS)
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", *programs.HOSTS)
        programs.have_each_ask(world)
        time.sleep(3)

    assert_confined(uplink.traffic, tunnel.traffic)
    for unit in programs.HOSTS:
        assert f"{unit}: confined" == refused(world, unit)
        assert programs.clients(world, unit) <= set(TUNNEL.values()), unit
        assert {"tunnel"} == programs.resolvers(world, unit), unit
    machine.systemctl("stop", *programs.HOSTS)


@on_one
def test_only_an_inbound_port_answers(world: World) -> None:
    """Without the firewall transmission's other one answers, too, and all that are closed."""
    machine = world.machine
    machine.systemctl("start", programs.TRANSMISSION)
    machine.wait_for(lambda: ":51413" in machine.sh(f"{INSIDE} ss -Hltn"), "it listens", 60)
    # The far side learns from a packet where this one is now.
    get = f"{INSIDE} curl -s -m 5 http://{WEB[0]}/ || true"
    machine.wait_for(lambda: machine.sh(get) == TUNNEL["v4"], "the tunnel carries", 60)
    with world.capture_uplink() as uplink:
        for target in TUNNEL.values():
            found = answering(world.internet.run, "tcp", target, "1-100,9091,51413", **SLOW)
            assert {"open": {51413}} == found
    assert () == uplink.traffic.foreign()

    look_away(world)
    machine.sh(f"{INSIDE} nft flush ruleset")
    found = answering(world.internet.run, "tcp", TUNNEL["v4"], "1-10,9091,51413", **SLOW)
    assert {"open": {9091, 51413}, "closed": set(range(1, 11))} == found
    machine.systemctl("reload", "wgconfine@vpn.service")
    machine.systemctl("stop", programs.TRANSMISSION)


def deep_carries(world: World) -> None:
    get = f"nsenter --net=/run/netns/deep curl -s -m 5 http://{WEB[0]}/ || true"
    world.machine.wait_for(lambda: world.machine.sh(get) == "10.77.0.2", "deep carries", 240)


def found(world: World, check: str, tunnel: str = "deep") -> str:
    """Give what `verify` says of one thing; a probe may be too slow for the rest."""
    command = ("wgconfine", "verify", "-v", tunnel)
    told = world.machine.run(*command, check=False, timeout=600).stdout.splitlines()
    return next(line.strip() for line in told if f" {check}: " in line)


@on_one
@pytest.mark.long
def test_a_tunnel_inside_a_tunnel(world: World) -> None:
    """Its socket is in the other one's namespace: what it sends leaves through that alone."""
    machine = world.machine
    # The tick would mend what is spoilt here; a service leaves an emulated processor no time.
    machine.systemctl("stop", "wgconfine-tick.timer", "probe.service", programs.TRANSMISSION)
    conf = world.internet.inner_conf(f"inner.example.net:{INNER_PORT}")
    machine.write("/etc/wireguard/deep.conf", conf, mode=0o600)
    deep = 'config = "/etc/wireguard/deep.conf"\nvia = "vpn"\n'
    machine.write("/etc/wgconfine/deep.toml", deep)
    with world.capture_uplink() as uplink:
        machine.run("wgconfine", "apply", timeout=600)
        deep_carries(world)
        machine.systemctl("restart", "wgconfine@vpn.service")
        deep_carries(world)
        machine.systemctl("restart", "wgconfine-netns@vpn.service")
        deep_carries(world)
    assert () == uplink.traffic.foreign()

    port = machine.sh("nsenter --net=/run/netns/deep wg show wg0 listen-port")
    assert f":{port} " in machine.sh(f"{INSIDE} ss -Hlun")
    assert f":{port} " not in machine.sh("ss -Hlun")
    inside = f"ok: outer-socket: UDP port {port} of the kernel is in the namespace of vpn"
    assert inside == found(world, "outer-socket")
    assert "ok: links: lo and wg0" == found(world, "links", "vpn")
    assert found(world, "listeners", "vpn").startswith("ok: listeners")

    machine.sh("ip -n deep link del wg0; ip link add wg0 netns deep type wireguard")
    machine.systemctl("reload", "wgconfine@deep.service")
    with world.capture_uplink() as control:
        deep_carries(world)
    assert INNER_PORT in {each.target_port for each in control.traffic.foreign()}
    assert "of the kernel is in the host's namespace, not in vpn's" in found(world, "outer-socket")
    machine.systemctl("restart", "wgconfine@deep.service")
    deep_carries(world)
    assert "is in the namespace of vpn" in found(world, "outer-socket")
    machine.run("wgconfine", "remove", "deep", "--purge", "--yes", timeout=600)
    machine.systemctl("start", "wgconfine-tick.timer")


@long_everywhere
def test_release_is_a_word_over_a_reboot(world: World) -> None:
    """Whatever ends a confinement but the word for it: after a reboot none runs in the open."""
    world.machine.systemctl("disable", "probe.service")
    assert_release_is_a_word(world)
