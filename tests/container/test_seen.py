"""What a tunnel looks like from outside: the words of `status`, the journal and its catalog."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import World, boot_container
from lab.internet import WORLD
from tests.matrix import ends
from tests.scenario import UNVERIFIED, wgconfine, write_service, write_tunnel
from tests.watching import tick_by_hand
from wgconfine.render.catalog import MESSAGES

pytestmark = pytest.mark.container

CONF, AWAY = "/etc/wireguard/vpn.conf", "/etc/wireguard/away"
UNIT = "wgconfine@vpn.service"
IDLE = "[Service]\nDynamicUser=yes\nExecStart=/bin/sleep infinity\n"
TABLE = "inet wgconfine-vpn"
OUTSIDE = f"""\
echo $$ >/sys/fs/cgroup/wgconfine.slice/wgconfine-vpn.slice/idle.service/cgroup.procs
for n in 1 2 3; do dig +tries=1 +time=1 @{WORLD[0]} leak.example.net; done || true
"""
"""A process of the service's control group, in the host's namespace, that asks a resolver there."""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a tunnel that is up, and one service inside."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        write_service(world, "idle.service", IDLE)
        write_tunnel(world, ["idle.service"], extra=UNVERIFIED)
        wgconfine(world, "apply")
        yield world


def status(world: World, *, code: int = 0) -> dict[str, Any]:
    done = wgconfine(world, "status", "vpn", "--json", check=False)
    assert code == done.returncode, done
    found: dict[str, Any] = json.loads(done.stdout)["tunnels"][0]
    return found


def entries(world: World, *matches: str) -> list[dict[str, Any]]:
    journal = ("journalctl", "-b", "-o", "json", "--no-pager", *matches)
    return [json.loads(line) for line in world.machine.run(*journal).stdout.splitlines()]


def test_a_tunnel_that_is_up(world: World) -> None:
    """Since when, by the clock of the machine; nothing is counted, and nothing is to be done."""
    world.machine.sh("nsenter --net=/run/netns/vpn curl -s -m 9 http://web.example.net/")
    found = status(world)

    assert ("up", "", "", True, 0) == tuple(
        found[key] for key in ("state", "why", "next", "configured", "leaked")
    )
    assert 0 <= found["since"] < 600


def test_a_conf_that_is_away(world: World) -> None:
    """The tunnel waits, says for what, and is up by itself when it is there; told once each."""
    machine = world.machine
    machine.run("mv", CONF, AWAY)
    machine.systemctl("restart", UNIT, check=False)

    def waits() -> bool:
        return machine.show(UNIT, "SubState").startswith("auto-restart")

    machine.wait_for(waits, "it has failed")
    first = status(world)
    assert ("waiting", f"{CONF}: No such file or directory.") == (first["state"], first["why"])
    assert "it is tried again every 5 s. To look: wgconfine logs vpn" == first["next"]
    assert not first["configured"]
    restarts = int(machine.show(UNIT, "NRestarts"))
    # At the end of each try it is being stopped for a moment.
    machine.wait_for(
        lambda: int(machine.show(UNIT, "NRestarts")) > restarts and waits(), "it was tried again"
    )
    assert status(world)["since"] >= first["since"]

    machine.run("mv", AWAY, CONF)
    machine.wait_for(lambda: machine.is_active(UNIT), "it is configured")
    assert "up" == status(world)["state"]
    told = [
        each["MESSAGE"]
        for each in entries(world, "WGCONFINE_TUNNEL=vpn", "SYSLOG_IDENTIFIER=wgconfine")
    ]
    words = f"tunnel vpn: it could not be configured: {CONF}: No such file or directory."
    assert 1 == told.count(words)
    assert 1 == len([each for each in told if each.startswith("tunnel vpn: it is configured, af")])


def test_a_name_without_an_answer(world: World) -> None:
    """Which one; and when the server then does not answer, that."""
    machine = world.machine
    conf = machine.read(CONF)
    machine.write(CONF, world.internet.provider_conf("late.example.org:51820"), mode=0o600)
    machine.systemctl("restart", UNIT)
    found = status(world)
    assert ("waiting", "no address yet for late.example.org") == (found["state"], found["why"])
    assert found["next"].endswith("To look: wgconfine logs vpn")

    machine.write(CONF, world.internet.provider_conf(f"{WORLD[0]}:9"), mode=0o600)
    machine.systemctl("restart", UNIT)
    machine.sh("nsenter --net=/run/netns/vpn ping -c1 -W1 10.66.0.1 || true")
    found = status(world)
    assert "waiting" == found["state"]
    assert found["why"].startswith("no handshake yet with ")
    assert found["why"].endswith(f"… at {WORLD[0]}:9")
    machine.write(CONF, conf, mode=0o600)
    machine.systemctl("restart", UNIT)
    assert "up" == status(world)["state"]


def test_a_leak_that_was_counted(world: World) -> None:
    """Exit code 7, until what `verify` says of it is done."""
    machine = world.machine
    machine.systemctl("start", "idle.service")
    machine.run("sh", "-c", OUTSIDE)
    found = status(world, code=7)
    assert "LEAK" == found["state"]
    assert found["why"].startswith("3 packets of its services were dropped in the host's namesp")
    assert "wgconfine verify vpn" == found["next"]
    assert 3 == found["leaked"]

    machine.sh(f"nft reset counters table {TABLE} && systemctl reload wgconfine-switch@vpn.service")
    assert "up" == status(world)["state"]


def test_a_tunnel_that_is_stopped_or_refused(world: World) -> None:
    """By its owner; and by a namespace of somebody else's."""
    machine = world.machine
    machine.systemctl("stop", UNIT, "wgconfine-netns@vpn.service")
    found = status(world)
    assert ("down", "it is stopped", f"systemctl start {UNIT}") == (
        found["state"], found["why"], found["next"],
    )  # fmt: skip
    assert found["since"] < 600

    machine.run("ip", "netns", "add", "vpn")
    machine.systemctl("start", UNIT, check=False)
    found = status(world)
    assert "refused" == found["state"]
    assert found["why"].startswith("/run/netns/vpn: ")
    assert f"once that is mended: systemctl start {UNIT}" == found["next"]
    machine.run("ip", "netns", "delete", "vpn")
    machine.systemctl("start", UNIT)
    assert "up" == status(world)["state"]


def test_the_catalog_explains_each_message(world: World) -> None:
    """In the place that this journalctl reads; each line of the tunnel's own units is its own."""
    machine = world.machine
    machine.systemctl("start", "wgconfine-tick.service")
    shown = machine.sh("journalctl -b -x --no-pager WGCONFINE_TUNNEL=vpn")
    assert "Subject: Tunnel vpn could not be configured" in shown
    assert "What to do: Mend what the message names." in shown
    ids = machine.sh("journalctl --list-catalog | grep -c ' wgconfine: '")
    assert len(MESSAGES) == int(ids)
    units = {each.get("_SYSTEMD_UNIT") for each in entries(world, "WGCONFINE_TUNNEL=vpn")}
    assert {UNIT, "wgconfine-netns@vpn.service"} <= units
    assert "wgconfine-tick.service" not in units


def test_without_a_tunnel_there_is_no_catalog(world: World) -> None:
    """`remove` takes it out of journalctl's database, too. Last, as there is no tunnel then."""
    wgconfine(world, "remove", "vpn", "--release", "--yes")

    assert "" == world.machine.sh("journalctl --list-catalog | grep ' wgconfine: ' || true")
