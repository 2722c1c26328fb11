"""What a tunnel is made of comes back in seconds when somebody takes it away, and nothing restarts.

Without the tick, which never comes: systemd listens to the kernel. Whoever sends goes on sending.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import RELEASES, World, boot_container
from tests.scenario import PROBE, confine, seen_by_web, wgconfine, write_service
from tests.watching import FAULTS, IN_TIME, NAMED, OUTSIDE, RECORD, holds, strike, tick_by_hand

pytestmark = pytest.mark.container


@pytest.fixture(scope="module", params=sorted(RELEASES))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service that sends without pause, and without the tick."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        write_service(world, "probe.service", PROBE)
        confine(world, "probe.service")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


@pytest.fixture(scope="module", autouse=True)
def _same_service(world: World) -> Iterator[None]:
    """Whatever is mended, the service is not touched by it and nothing leaves but by WireGuard."""
    before = world.machine.show("probe.service", "MainPID")
    with world.capture_uplink() as uplink:
        yield
    assert before == world.machine.show("probe.service", "MainPID")
    assert () == uplink.traffic.foreign()
    assert "probe.service: confined" in wgconfine(world, "status", check=False).stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_taken_away_inside_comes_back(world: World, fault: str) -> None:
    """Whatever it is, one after the other without a pause."""
    strike(world, *FAULTS[fault])


@pytest.mark.parametrize("fault", OUTSIDE)
def test_the_second_switch_comes_back(world: World, fault: str) -> None:
    """Also after a flush by hand, of which no unit is told."""
    strike(world, *OUTSIDE[fault])


BOTH_NAMES = f"[ {NAMED} -ef {RECORD} ] && ip netns exec vpn true"


@pytest.mark.parametrize(
    "command", [f"umount -l {NAMED}", "ip netns del vpn", f"umount -l {RECORD}"]
)
def test_a_name_comes_back(world: World, command: str) -> None:
    """The one that systemd joins by, and our record: the same namespace, and new starts join it."""
    before = world.machine.sh(f"stat -Lc %i {RECORD}")
    world.machine.run(*command.split())
    world.machine.wait_for(lambda: holds(world, BOTH_NAMES), "both names are there", IN_TIME)

    assert before == world.machine.sh(f"stat -Lc %i {NAMED}")
