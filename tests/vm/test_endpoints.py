"""Endpoints, pinned or in turns, where WireGuard is the kernel's, whose socket no process has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_vm
from tests.container.test_endpoints import (
    SECOND,
    test_the_addresses_of_a_name_have_their_turns,
    test_the_next_endpoint_has_its_turn,
)
from tests.container.test_pin import (
    _same_service,
    test_no_packet_follows_the_peer,
    test_without_it_packets_follow_the_peer,
)
from tests.matrix import EVERYWHERE
from tests.scenario import (
    PATIENT,
    UNVERIFIED,
    seen_by_web,
    wgconfine,
    write_service,
    write_tunnel,
)
from tests.watching import tick_by_hand

__all__ = [
    "_same_service",
    "test_no_packet_follows_the_peer",
    "test_the_addresses_of_a_name_have_their_turns",
    "test_the_next_endpoint_has_its_turn",
    "test_without_it_packets_follow_the_peer",
]

pytestmark = [pytest.mark.vm, pytest.mark.long]


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A virtual machine with one service, and a second address of the server."""
    with boot_vm(request.param, wheelhouse=wheelhouse) as world:
        world.internet.run("ip", "address", "add", f"{SECOND}/24", "dev", "uplink")
        write_service(world, "probe.service", PATIENT)
        tick_by_hand(world)
        write_tunnel(world, ["probe.service"], extra=UNVERIFIED)
        wgconfine(world, "apply", check=False)  # a probe may be too slow for the `verify`
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out", 90)
        yield world
