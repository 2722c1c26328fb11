"""`pin-endpoint`: wherever a peer answers from, encrypted packets go to the declared endpoint."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import World, boot_container
from lab.internet import WORLD
from tests.container.test_endpoints import ENDPOINTS, SECOND, name, peers, status
from tests.container.test_health import source_port, tick, told
from tests.matrix import ends
from tests.scenario import (
    PROBE,
    seen_by_web,
    silence,
    wgconfine,
    write_service,
    write_tunnel,
)
from tests.watching import carries, inside, tick_by_hand

pytestmark = pytest.mark.container

TABLE = ("nft", "list", "table", "inet", "wgconfine_pin-vpn")
ROAM = f"""\
table inet roam {{
	chain output {{
		type filter hook output priority 0;
		udp sport 51820 ip saddr {WORLD[0]} ip saddr set {SECOND}
	}}
}}
"""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service, and a second address of the server."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        world.internet.run("ip", "address", "add", f"{SECOND}/24", "dev", "uplink")
        write_service(world, "probe.service", PROBE)
        write_tunnel(world, ["probe.service"])
        wgconfine(world, "apply")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


@pytest.fixture(autouse=True)
def _same_service(world: World) -> Iterator[None]:
    """Whatever the peer does, the service is not touched by it."""
    before = world.machine.show("probe.service", "MainPID")
    yield
    assert before == world.machine.show("probe.service", "MainPID")


@contextmanager
def roaming(world: World) -> Iterator[None]:
    """The server answers from its second address, with packets that are its own."""
    world.internet.run("nft", "-f", "-", text=ROAM)
    try:
        yield
    finally:
        world.internet.run("nft", "delete", "table", "inet", "roam")


def settings(world: World, extra: str) -> None:
    write_tunnel(world, ["probe.service"], extra=extra)
    wgconfine(world, "apply")
    world.machine.systemctl("reload", "wgconfine@vpn.service")


def sent_to(world: World, address: str) -> int:
    """Count what goes to an address within some seconds, with a service that sends."""
    with world.capture_uplink() as uplink:
        world.machine.run("sleep", "4")
    packets = uplink.traffic.packets
    return sum(each.target == address and each.protocol == "UDP" for each in packets)


def handshake(world: World) -> str:
    return inside(world, "sh", "-c", "wg show all latest-handshakes | cut -f 3")


def test_without_it_packets_follow_the_peer(world: World) -> None:
    """The control: WireGuard goes where an authentic packet comes from, reload or not."""
    settings(world, "")
    with roaming(world):
        world.machine.wait_for(lambda: SECOND in peers(world), "the endpoint has moved")
        assert sent_to(world, SECOND) > 0
        world.machine.wait_for(lambda: carries(world), "it carries all the same")
        before = handshake(world)
        world.machine.systemctl("reload", "wgconfine@vpn.service")
        world.machine.wait_for(lambda: carries(world), "it carries")
        assert before == handshake(world)
    world.machine.systemctl("reload", "wgconfine@vpn.service")
    world.machine.wait_for(lambda: carries(world), "it carries")


def test_no_packet_follows_the_peer(world: World) -> None:
    """Not one, and the tick sets the endpoint back."""
    port = source_port(world)
    settings(world, "pin-endpoint = true\n")
    world.machine.wait_for(lambda: carries(world), "it carries")
    assert port == source_port(world)
    with ExitStack() as quiet:
        with roaming(world):
            world.machine.wait_for(lambda: SECOND in peers(world), "the endpoint has moved")
            assert 0 == sent_to(world, SECOND)
            assert " packets to others dropped" in status(world)
            assert not carries(world)
            # What the server sends of its own accord would set it back, too.
            quiet.enter_context(silence(world))
        tick(world)
        world.machine.wait_for(lambda: WORLD[0] in peers(world), "it is set back")
    world.machine.wait_for(lambda: carries(world), "it carries")
    assert any(f"to {SECOND}:51820 has moved, and is set back" in line for line in told(world))
    said = wgconfine(world, "verify", "-v", "vpn").stdout
    assert f"encrypted packets go to {WORLD[0]}:51820 alone" in said


def test_it_comes_back_when_the_rules_of_the_host_are_flushed(world: World) -> None:
    """By itself, without a tick; and so it does when somebody empties its chain."""
    settings(world, "pin-endpoint = true\n")
    before = world.machine.run(*TABLE).stdout.partition("chain")[2]
    for words in (("ruleset",), ("chain", "inet", "wgconfine_pin-vpn", "output")):
        world.machine.run("nft", "flush", *words)

        def back() -> bool:
            table = world.machine.run(*TABLE, check=False).stdout
            return table.partition("chain")[2] == before

        world.machine.wait_for(back, f"the rule is there again after flush {words[0]}")


def test_it_follows_the_settings(world: World) -> None:
    """Another endpoint, a name, both families, and none any more; a new link has it from before."""
    settings(world, f'pin-endpoint = true\nendpoints = ["{SECOND}:51820"]\n')
    world.machine.wait_for(lambda: carries(world), "it carries")
    assert f"pinned to {SECOND}:51820" in status(world)
    assert 0 == sent_to(world, WORLD[0])
    name(world, WORLD[1])
    # wireguard-go sends the first packets to an address of which the first four bytes are right.
    with world.capture_uplink(endpoints=ENDPOINTS) as uplink:
        settings(world, 'pin-endpoint = true\nendpoints = ["moving.example.net:51820"]\n')
        world.machine.wait_for(lambda: WORLD[1] in peers(world), "the name is known")
        world.machine.wait_for(lambda: carries(world), "it carries")
    assert () == uplink.traffic.foreign()
    assert f"pinned to [{WORLD[1]}]:51820" in status(world)
    world.machine.systemctl("start", "wgconfine-relink@vpn.service")
    world.machine.wait_for(lambda: carries(world), "it carries")
    wgconfine(world, "verify", "vpn")
    settings(world, "")
    world.machine.wait_for(lambda: carries(world), "it carries")
    assert "wgconfine_pin" not in world.machine.run("nft", "list", "tables").stdout
    assert "pinned" not in status(world)


def test_a_rule_that_can_not_be_loaded(world: World) -> None:
    """Then a link that is new sends nothing, and it carries as soon as the rule can be there."""
    settings(world, "")
    held = "(echo 'add table inet wgconfine_pin-vpn { flags owner; }'; sleep 600) | nft -i"
    world.machine.run("systemd-run", "--unit=owner", "sh", "-c", held)
    world.machine.wait_for(lambda: world.machine.run(*TABLE, check=False).returncode == 0, "held")
    write_tunnel(world, ["probe.service"], extra="pin-endpoint = true\n")
    wgconfine(world, "apply", check=False)
    world.machine.systemctl("start", "wgconfine-relink@vpn.service")
    assert 0 == sent_to(world, WORLD[0])
    assert not carries(world)
    world.machine.systemctl("stop", "owner.service")
    world.machine.wait_for(lambda: carries(world), "it carries")
    assert f"pinned to {WORLD[0]}:51820" in status(world)
