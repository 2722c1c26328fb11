"""What is wrong is said by its name: a clock that is behind, one key that is used in two places."""

import subprocess  # noqa: TID253 — somebody else's client
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import World, boot_container
from lab.internet import LISTENING, WEB, WORLD
from tests.container.test_health import KEPT, tick, told, wait_until_sent, why
from tests.matrix import first
from tests.scenario import (
    PROBE,
    confine,
    seen_by_web,
    silence,
    wgconfine,
    write_service,
)
from tests.watching import tick_by_hand

pytestmark = pytest.mark.container

HANDSHAKES = "/var/lib/wgconfine/handshakes"
TWIN = "198.51.100.44"
LOSSY = """\
table inet lossy {
	chain input {
		type filter hook input priority 0;
		udp dport 51820 numgen random mod 100 < 40 drop
	}
	chain output {
		type filter hook output priority 0;
		udp sport 51820 numgen random mod 100 < 40 drop
	}
}
"""
ASK = f"while :; do curl -s -m 2 -o /dev/null http://{WEB[0]}/; sleep 0.3; done"


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service that sends without pause."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", PROBE)
        tick_by_hand(world)
        confine(world, "probe.service")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


def test_a_clock_that_is_behind(world: World) -> None:
    """It is said as soon as a peer does not answer, and no step is taken that mends nothing."""
    tick(world)
    assert world.machine.read(HANDSHAKES).startswith("vpn ")
    world.machine.write(HANDSHAKES, f"vpn {int(time.time()) + 86400}\n", mode=0o600)
    tick(world)
    assert "" == why(world)
    with silence(world):
        for _ in range(3):
            wait_until_sent(world)
            tick(world)
    assert "the machine's clock is behind: it says " in why(world)
    assert "Set it: timedatectl set-ntp true" in wgconfine(world, "status").stdout
    world.machine.wait_for(
        lambda: any("clock is behind" in line for line in told(world)), "it is told"
    )
    assert not any(". Starting " in line for line in told(world))
    world.machine.systemctl("start", "wgconfine-relink@vpn.service")  # with a handshake of its own
    world.machine.wait_for(lambda: healed(world), "it is well", timeout=120)
    assert int(world.machine.read(HANDSHAKES).split()[1]) < time.time() + 60


def healed(world: World) -> bool:
    tick(world)
    return why(world) == ""


@contextmanager
def twin(world: World) -> Iterator[None]:
    """The same .conf on another machine, which has something to send, too."""
    conf = dict(
        line.split(" = ", 1)
        for line in world.internet.provider_conf().splitlines()
        if " = " in line
    )
    run = world.internet.run
    run("ip", "netns", "add", "twin")
    run("ip", "link", "add", "twin0", "type", "veth", "peer", "name", "eth0", "netns", "twin")
    run("ip", "link", "set", "twin0", "master", "uplink", "up")
    inside = ("ip", "-n", "twin")
    run(*inside, "address", "add", f"{TWIN}/24", "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")
    with ExitStack() as stack:
        enter = ("ip", "netns", "exec", "twin")
        for command in (("wireguard-go", "-f", "twin"), ("sh", "-c", ASK)):
            process = subprocess.Popen(world.internet.command(*enter, *command))
            stack.callback(process.wait)
            stack.callback(process.terminate)
            if command[0] == "wireguard-go":
                world.machine.wait_for(lambda: "/twin.sock " in run(*enter, *LISTENING), "twin")
                run(
                    *(*enter, "wg", "set", "twin", "private-key", "/dev/stdin"),
                    *("peer", conf["PublicKey"], "endpoint", f"{WORLD[0]}:51820"),
                    *("allowed-ips", "0.0.0.0/0"),
                    text=conf["PrivateKey"],
                )
                run(*inside, "address", "add", "10.66.0.2/32", "dev", "twin")
                run(*inside, "link", "set", "twin", "up")
                run(*inside, "route", "add", WEB[0], "dev", "twin")
        yield
    run("ip", "netns", "del", "twin")


def look_for(world: World, seconds: float) -> set[str]:
    """Have looks as often as a handshake may come, and give what each has found."""
    found, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        world.machine.run("sleep", "10")
        tick(world)
        found.add(why(world).partition(":")[0])
    return found


@pytest.mark.long
def test_one_key_in_two_places(world: World) -> None:
    """It is said, once it is certain; and it is over when the other one is switched off."""
    with twin(world):
        found = look_for(world, 180)
    assert {"", "its key is used in another place, too"} == found, world.machine.read(KEPT)
    assert "its key is used in another place" in wgconfine(world, "status").stdout
    assert not any(". Starting " in line for line in told(world))
    world.machine.wait_for(lambda: healed(world), "it is well", timeout=200)
    assert "wgconfine_count" not in world.machine.run("nft", "list", "tables").stdout


@pytest.mark.long
def test_a_link_that_loses_packets(world: World) -> None:
    """However often a session is made anew there: nobody else has the key."""
    world.internet.run("nft", "-f", "-", text=LOSSY)
    try:
        assert {""} == look_for(world, 180), world.machine.read(KEPT)
    finally:
        world.internet.run("nft", "delete", "table", "inet", "lossy")
