"""`ready = "handshake"`: services start when a peer has answered, or after the time limit."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import ends
from tests.scenario import PROBE, refused, silence, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

READY = "wgconfine-ready@vpn.service"
TUNNEL = "wgconfine@vpn.service"
SERVICES = ("probe.service", "other.service")
LIMIT = 8
LONG_LIMIT = 300
"""Seconds, for what is to end before: a command that waits so long has failed."""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with two services that wait for a handshake."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        for unit in SERVICES:
            write_service(world, unit, PROBE)
        apply_limit(world, LONG_LIMIT)
        yield world


def apply_limit(world: World, seconds: int) -> None:
    extra = f'ready = "handshake"\nready-timeout = "{seconds}s"\n'
    write_tunnel(world, SERVICES, extra=extra)
    wgconfine(world, "apply")


def since_boot(world: World, unit: str, key: str) -> float:
    return int(world.machine.show(unit, f"{key}TimestampMonotonic")) / 1e6


def restart_without_waiting(world: World) -> None:
    world.machine.systemctl("restart", "--no-block", TUNNEL)
    world.machine.wait_for(
        lambda: world.machine.show(READY, "ActiveState") == "activating", "it waits"
    )


def test_services_start_when_a_peer_has_answered(world: World) -> None:
    """Nothing is sent but to the peer, which has no keepalive afterwards."""
    machine = world.machine
    with world.capture_uplink() as uplink:
        machine.systemctl("start", *SERVICES)
    assert () == uplink.traffic.foreign()
    assert machine.is_active(READY)
    for unit in SERVICES:
        assert f"{unit}: confined" == refused(world, unit)
        assert since_boot(world, READY, "ActiveEnter") <= since_boot(world, unit, "ExecMainStart")
    assert "off" == machine.sh("wg show all persistent-keepalive | cut -f 3")


def test_a_reload_waits_for_nothing(world: World) -> None:
    """Nor does it touch a service."""
    before = [world.machine.show(unit, "InvocationID") for unit in (READY, *SERVICES)]
    with silence(world):
        world.machine.systemctl("reload", TUNNEL)
    assert before == [world.machine.show(unit, "InvocationID") for unit in (READY, *SERVICES)]


def test_a_server_that_does_not_answer(world: World) -> None:
    """The tunnel is up at once, services wait, one is stopped by its owner, the other starts."""
    machine = world.machine
    apply_limit(world, LIMIT)
    with world.capture_uplink() as uplink, silence(world):
        restart_without_waiting(world)
        assert machine.is_active(TUNNEL)
        machine.systemctl("stop", "other.service")
        assert "activating" == machine.show(READY, "ActiveState")
        assert ["inactive"] * 2 == [machine.show(unit, "ActiveState") for unit in SERVICES]

        machine.wait_for(lambda: machine.is_active("probe.service"), "it starts all the same")
        assert "failed" == machine.show(READY, "ActiveState")
        begun, ended = (
            since_boot(world, TUNNEL, "ActiveEnter"),
            since_boot(world, READY, "InactiveEnter"),
        )
        assert LIMIT < ended - begun < LIMIT + 30
        assert "probe.service: confined" == refused(world, "probe.service")
        assert "inactive" == machine.show("other.service", "ActiveState")
        assert loud(world)
    assert () == uplink.traffic.foreign()


def loud(world: World) -> list[str]:
    journal = ("journalctl", "-b", "-o", "json", "--no-pager", "-p", "err", "WGCONFINE_TUNNEL=vpn")
    lines = world.machine.run(*journal).stdout.splitlines()
    said = [str(json.loads(line)["MESSAGE"]) for line in lines]
    return [line for line in said if "no peer has answered within" in line]


def test_an_answer_that_comes_late(world: World) -> None:
    """Then the tick takes the failure back, and no service is touched."""
    machine = world.machine
    before = machine.show("probe.service", "MainPID")

    def is_ready() -> bool:
        machine.systemctl("start", "wgconfine-tick.service")
        return machine.is_active(READY)

    machine.wait_for(is_ready, "it is ready")
    assert before == machine.show("probe.service", "MainPID")


def test_a_stop_ends_the_waiting(world: World) -> None:
    """At once, and the unit has not failed."""
    machine = world.machine
    with silence(world):
        restart_without_waiting(world)
        machine.systemctl("stop", TUNNEL)
    assert "inactive" == machine.show(READY, "ActiveState")
    # With systemd 252 those that waited don't come back with the tunnel alone.
    machine.systemctl("start", TUNNEL, *SERVICES)


def test_the_tick_starts_no_tunnel_that_its_owner_stopped(world: World) -> None:
    """What has failed to wait for it stays failed, though the last look saw a handshake."""
    machine = world.machine
    with silence(world):
        restart_without_waiting(world)
        machine.wait_for(lambda: machine.show(READY, "ActiveState") == "failed", "it gives up")
        machine.systemctl("stop", TUNNEL)
    seen = f"sick 0 0 0\nwhy \npeer {'A' * 43}= 1 1 1 1 0 0\n"
    machine.write("/run/wgconfine/health/vpn", seen)
    machine.systemctl("start", "wgconfine-tick.service")
    machine.run("sleep", "1")  # what it starts is not waited for
    assert ["failed", "inactive"] == [machine.show(unit, "ActiveState") for unit in (READY, TUNNEL)]
