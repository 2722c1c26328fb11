"""The tick mends a tunnel that does not carry, step by step, and services run on through it.

That time has passed is written into what the tick kept: minutes are the fault table's.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import PROBE, SILENCE, confine, seen_by_web, wgconfine, write_service
from tests.watching import carries, inside, look_away, tick_by_hand

pytestmark = pytest.mark.container

KEPT = "/run/wgconfine/health/vpn"
RELOAD = "wgconfine-reload@vpn.service"
OLD = 1000
"""Seconds: a handshake of then is too old, and the next step is due."""


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service that sends without pause."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        write_service(world, "probe.service", PROBE)
        confine(world, "probe.service")
        look_away(world)  # it would be sooner than a tick that is made to come now
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


@pytest.fixture(autouse=True)
def _same_service(world: World) -> Iterator[None]:
    """Whatever is mended, the service is not touched by it."""
    before = world.machine.show("probe.service", "MainPID")
    yield
    assert before == world.machine.show("probe.service", "MainPID")
    assert "probe.service: confined" in wgconfine(world, "status", check=False).stdout


def tick(world: World) -> None:
    world.machine.systemctl("start", "wgconfine-tick.service")


def age(world: World) -> None:
    """Have all that was kept happened long ago, and nothing received since."""
    lines = []
    for line in world.machine.read(KEPT).splitlines():
        match line.split():
            case ["sick", since, acted, steps]:
                lines.append(f"sick {since} {int(acted) - OLD} {steps}")
            case ["peer", key, handshake, received, sent, since, *rest]:
                counted = f"{handshake} {received} {sent}"
                lines.append(f"peer {key} {counted} {int(since) - OLD} {' '.join(rest)}")
            case _:
                lines.append(line)
    world.machine.write(KEPT, "\n".join(lines) + "\n")


def why(world: World) -> str:
    return world.machine.read(KEPT).splitlines()[1].removeprefix("why").strip()


def source_port(world: World) -> str:
    return inside(world, "sh", "-c", "wg show all listen-port | cut -f2").strip()


def wait_until_sent(world: World) -> None:
    """Wait until the service has sent something more: a handshake is tried every 5 s."""

    def sent() -> str:
        return inside(world, "sh", "-c", "wg show all transfer | cut -f 4")

    before = sent()
    world.machine.wait_for(lambda: sent() != before, "something is sent")


def told(world: World) -> list[str]:
    journal = ("journalctl", "-b", "-o", "json", "--no-pager", "WGCONFINE_TUNNEL=vpn")
    lines = world.machine.run(*journal).stdout.splitlines()
    return [str(json.loads(line)["MESSAGE"]) for line in lines]


def test_a_tunnel_that_carries_is_well(world: World) -> None:
    """Nothing is done, and nothing said."""
    port = source_port(world)
    for _ in range(2):
        tick(world)
        assert "" == why(world)
    assert port == source_port(world)


def test_a_route_that_is_gone_comes_back(world: World) -> None:
    """By a reload: same link, same source port."""
    port = source_port(world)
    inside(world, "ip", "route", "del", "default", "dev", "wg0")
    tick(world)
    assert "route 0.0.0.0/0: missing" == why(world)
    world.machine.wait_for(lambda: "default" in inside(world, "ip", "route"), "the route is back")
    assert port == source_port(world)
    tick(world)
    assert "" == why(world)


def runs_of(world: World, unit: str) -> int:
    """Count how often a unit was started and has done its work, as PID 1 has it."""
    journal = ("journalctl", "-b", "-q", "-o", "cat", "--no-pager", f"UNIT={unit}")
    return len(world.machine.run(*journal, "JOB_TYPE=start", "JOB_RESULT=done").stdout.splitlines())


def wait_until_done(world: World, unit: str, before: int) -> None:
    """Wait until it was done once more: systemd starts a unit a moment after it was asked to."""

    def done() -> bool:
        states = [world.machine.show(unit, key) for key in ("ActiveState", "Result")]
        return states == ["inactive", "success"] and runs_of(world, unit) > before

    world.machine.wait_for(done, f"{unit} is done")


def test_a_silent_server(world: World) -> None:
    """A reload, another source port, another link; and all is well when it is there again."""
    with world.capture_uplink() as uplink:
        world.internet.run("nft", "-f", "-", text=SILENCE)
        wait_until_sent(world)  # what was under way has come
        for _ in range(2):
            tick(world)
            wait_until_sent(world)
        seen = [source_port(world)]
        for step in ("reload", "rebind", "relink"):
            age(world)
            wait_until_sent(world)
            before = world.machine.read(KEPT)
            unit = f"wgconfine-{step}@vpn.service"
            runs = {each: runs_of(world, each) for each in (unit, RELOAD)}
            tick(world)
            assert why(world).startswith("no answer from peer"), before + world.machine.read(KEPT)
            wait_until_done(world, unit, runs[unit])
            if step == "relink":  # whose link a reload makes: wg(8) does not meet it half made
                wait_until_done(world, RELOAD, runs[RELOAD])
            assert any(f"Starting {unit}" in line for line in told(world))
            seen.append(source_port(world))
        said = wgconfine(world, "status", check=False).stdout
        assert "vpn: degraded" in said
        assert "3 steps taken: wgconfine logs vpn" in said
        world.internet.run("nft", "delete", "table", "inet", "silence")
        world.machine.wait_for(lambda: carries(world), "it carries again")
    assert () == uplink.traffic.foreign()
    assert seen[0] == seen[1] != seen[2], seen
    tick(world)
    tick(world)
    assert "" == why(world)
    assert any("well again after" in line for line in told(world))
