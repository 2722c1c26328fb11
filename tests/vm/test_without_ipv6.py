"""A kernel that was told to have no IPv6 at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_vm
from tests.matrix import first
from tests.scenario import (
    PATIENT,
    TUNNEL,
    refused,
    seen_by_web,
    wgconfine,
    write_service,
    write_tunnel,
)

pytestmark = pytest.mark.vm


PORTS = """
publish = ["8080", { listen = "198.51.100.2:8081", to = 8080, from = ["198.51.100.0/24"] }]
"""


@pytest.fixture(scope="module", params=first("bookworm"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A virtual machine with ipv6.disable=1, and one confined service with published ports."""
    arguments = ["ipv6.disable=1"]
    with boot_vm(request.param, wheelhouse=wheelhouse, kernel_arguments=arguments) as world:
        write_service(world, "probe.service", PATIENT)
        write_tunnel(world, ["probe.service"], extra=PORTS)
        wgconfine(world, "apply")
        yield world


def test_ipv6_is_left_out_and_ipv4_works(world: World) -> None:
    """The tunnel comes up by IPv4 alone, says so, and nothing leaks."""
    machine = world.machine
    assert "0" != machine.sh("cat /sys/module/ipv6/parameters/disable")
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", "probe.service")
        machine.wait_for(lambda: {TUNNEL["v4"]} == seen_by_web(world, "probe.service"), "IPv4", 60)
        machine.run("sleep", "12")
        tunnel.wait_for_packets()
    assert_confined(uplink.traffic, tunnel.traffic)
    assert {TUNNEL["v4"]} == seen_by_web(world, "probe.service")
    assert "probe.service: confined" == refused(world, "probe.service")
    assert "this machine has no IPv6" in machine.journal("wgconfine@vpn.service")
    machine.systemctl("reload", "wgconfine@vpn.service")


def test_a_port_alone_listens_by_ipv4(world: World) -> None:
    """systemd leaves ::1 out by itself; who may connect is proven of both families."""
    listening = [line.split()[3] for line in world.machine.sh("ss -Hltn").splitlines()]
    assert {"127.0.0.1:8080", "198.51.100.2:8081"} <= set(listening)
    assert "[::1]:8080" not in listening
