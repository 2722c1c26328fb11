"""The kernel's own WireGuard, in a virtual machine with a kernel of its own; one boot for all."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_vm
from tests import programs
from tests.matrix import EVERYWHERE, first
from tests.scenario import (
    ONESHOT,
    PROBE,
    TUNNEL,
    confine,
    refused,
    seen_by_web,
    wgconfine,
    write_service,
    write_tunnel,
)

pytestmark = pytest.mark.vm

SENDER = """\
[Service]
DynamicUser=yes
Restart=always
RestartSec=1s
ExecStart=/usr/bin/python3 -c "import socket, time\\nwhile True:\
\\n for host in ('203.0.113.80', '2001:db8:113::80'):\
\\n  s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)\
\\n  try: s.sendto(b'{word}', (host, 9))\\n  except OSError: pass\\n time.sleep(.2)"
[Install]
WantedBy=multi-user.target
"""
"""A service that sends datagrams with a word of its own as soon as it runs, enabled at boot."""


everywhere = pytest.mark.parametrize("world", EVERYWHERE, indirect=True, scope="module")
on_one = pytest.mark.parametrize("world", first("bookworm"), indirect=True, scope="module")


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A virtual machine with five confined programs of Debian's, and services of its owner's."""
    with boot_vm(request.param, wheelhouse=wheelhouse) as world:
        programs.set_up(world)
        write_service(world, "probe.service", PROBE)
        write_service(world, "once.service", ONESHOT)
        confine(world, *programs.HOSTS, "probe.service", "once.service")
        yield world


@everywhere
def test_the_kernel_carries_the_tunnel_and_nothing_leaks(world: World) -> None:
    """Confined services reach the web by the tunnel alone, over IPv4 and IPv6."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", "probe.service", "once.service")
        machine.wait_for(
            lambda: set(TUNNEL.values()) == seen_by_web(world, "probe.service"), "it goes out", 60
        )
        time.sleep(8)

    assert_confined(uplink.traffic, tunnel.traffic)
    assert set(TUNNEL.values()) == seen_by_web(world, "once.service")
    assert "vpn: up, kernel" in wgconfine(world, "status").stdout
    clients = {each.client for each in world.internet.dns_queries() if each.resolver == "tunnel"}
    assert {TUNNEL["v4"]} == clients


@everywhere
def test_the_link_is_born_in_the_host_and_lives_inside(world: World) -> None:
    """The kernel's UDP socket is in the host's namespace, and there is none inside."""
    machine = world.machine
    port = machine.sh("nsenter --net=/run/netns/vpn wg show wg0 listen-port")
    assert f":{port}" in machine.sh("ss -Hlun")
    assert f":{port}" not in machine.sh("nsenter --net=/run/netns/vpn ss -Hlun")
    assert "wireguard" in machine.sh("ip -n vpn -d link show wg0")


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
    machine.run("ip", "-n", "vpn", "link", "del", "wg0")
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        time.sleep(4)
        assert machine.is_active("probe.service")
    assert () == uplink.traffic.foreign()
    assert () == uplink.traffic.wireguard()
    assert () == tunnel.traffic.packets
    machine.systemctl("restart", "wgconfine@vpn.service")


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
def test_programs_of_the_archive_are_confined_and_nothing_leaks(world: World) -> None:
    """Each asks its own host by the tunnel alone, and the tunnel's resolver for its address."""
    machine = world.machine
    machine.systemctl("stop", "probe.service")  # it leaves an emulated processor no time
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


WAYS = ("remove", "disable", "unlist", "delete", "broken", "revert", "uninstall")


@on_one
def test_release_is_a_word_over_a_reboot(world: World) -> None:
    """Whatever ends a confinement but the word for it: after a reboot none runs in the open.

    A service for each way, enabled at boot, and one more that was never confined: it is the control
    that shows the capture and the sender to work.
    """
    machine = world.machine
    for way in WAYS:
        write_service(world, f"{way}.service", SENDER.format(word=f"leak-of-{way}"))
        write_tunnel(world, [f"{way}.service"], name=way, client=10 + WAYS.index(way))
    write_service(world, "control.service", SENDER.format(word="control"))
    wgconfine(world, "apply")
    machine.systemctl("enable", "--now", *(f"{way}.service" for way in WAYS))
    for way in WAYS:
        assert f"{way}.service: confined" == refused(world, f"{way}.service")
    end_each_confinement(world)
    machine.systemctl("enable", "control.service")
    machine.systemctl("disable", "probe.service")

    with world.capture_uplink(beacons="world") as uplink:
        machine.reboot()
        machine.wait_for(lambda: machine.is_active("control.service"), "the control runs", 60)
        time.sleep(15)
        machine.systemctl("disable", "--now", "control.service")

    words = [(packet.quoted or packet).payload for packet in uplink.traffic.foreign()]
    assert b"control" in words
    assert {b"control"} == set(words)
    for way in WAYS:
        assert not runs_in_the_open(world, f"{way}.service"), way


def end_each_confinement(world: World) -> None:
    """Each service's confinement ends in its own way; the last takes wgconfine itself away."""
    machine = world.machine
    wgconfine(world, "remove", "remove")
    machine.sh("""
        sed -i '1i enable = false' /etc/wgconfine/disable.toml
        sed -i /unlist.service/d /etc/wgconfine/unlist.toml
        rm /etc/wgconfine/delete.toml
    """)
    wgconfine(world, "apply")
    machine.systemctl("revert", "revert.service")
    machine.write("/etc/wgconfine/broken.toml", "services = [\n")
    assert 78 == wgconfine(world, "apply", check=False).returncode
    machine.run("rm", "-rf", "/opt/wgconfine")


def runs_in_the_open(world: World, unit: str) -> bool:
    """Tell whether any process of a unit is in the host's namespace."""
    pid = world.machine.show(unit, "MainPID")
    if pid == "0":
        return False
    own = world.machine.sh(f"readlink /proc/{pid}/ns/net || true")
    return own == world.machine.sh("readlink /proc/1/ns/net")
