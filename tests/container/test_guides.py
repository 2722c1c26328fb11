"""The guides of docs/, followed to the letter one after the other, on one machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests import guide, lan
from tests.matrix import EVERYWHERE
from tests.programs import TRANSMISSION
from tests.scenario import HOST, wgconfine

pytestmark = [pytest.mark.container, pytest.mark.long]

CONFS = {"vpn": 2, "crawl": 3, "home": 4, "away": 5}
LOGIN = "transmission:transmission"


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a `.conf` for each tunnel of the guides."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        lan.add_neighbours(world)
        for name, client in CONFS.items():
            conf = world.internet.provider_conf(client=client)
            world.machine.write(f"/etc/wireguard/{name}.conf", conf, mode=0o600)
        yield world


def test_the_quick_start(world: World) -> None:
    """From the `.conf` to a confined service and back; how to install it was done."""
    world.machine.write("/root/mullvad-se1.conf", world.internet.provider_conf())
    world.machine.systemctl("start", TRANSMISSION)
    first = "apt install iproute2 wireguard-tools nftables python3-venv"
    assert 4 == guide.follow(world, "docs/quick-start.md", after=first)
    assert world.machine.is_active(TRANSMISSION)
    assert "" == world.machine.sh("ls -A /etc/wgconfine")


def test_a_torrent_client(world: World) -> None:
    """Its web page is there for the machine and for its LAN."""
    assert 2 == guide.follow(world, "docs/torrent.md")
    url = f"http://{LOGIN}@{HOST['v4']}:9092/transmission/web/"
    code, page = lan.ask_from(world, lan.FRIEND["v4"], url)
    assert 0 == code
    assert "Transmission Web Interface" in page


def test_a_crawler(world: World) -> None:
    """What its timer starts fetches by the tunnel and by nothing else."""
    assert 4 == guide.follow(world, "docs/crawler.md")
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        for _ in range(12):
            machine.systemctl("reset-failed", "crawl.service")  # it is started too often
            machine.systemctl("start", "crawl.service")
    assert_confined(uplink.traffic, tunnel.traffic)
    assert machine.is_active("crawl.timer")


def test_two_tunnels(world: World) -> None:
    """Each service asks by the address of its own."""
    assert 5 == guide.follow(world, "docs/two-tunnels.md")
    seen = [world.machine.journal(f"fetch-{name}.service") for name in ("home", "away")]
    assert [True, False] == ["fd66::4\n" in seen[0], "fd66::5\n" in seen[0]]
    assert [False, True] == ["fd66::4\n" in seen[1], "fd66::5\n" in seen[1]]


def test_moving_a_service(world: World) -> None:
    """From one tunnel to the other, by the settings alone."""
    machine = world.machine
    home = machine.read("/etc/wgconfine/home.toml")
    away = machine.read("/etc/wgconfine/away.toml")
    both = '["fetch-away.service", "fetch-home.service"]'
    machine.write("/etc/wgconfine/home.toml", home.replace('["fetch-home.service"]', "[]"))
    machine.write("/etc/wgconfine/away.toml", away.replace('["fetch-away.service"]', both))
    wgconfine(world, "apply")
    machine.wait_for(
        lambda: "fd66::5\n" in machine.journal("fetch-home.service"), "it asked anew", 60
    )
    assert 0 == wgconfine(world, "verify", "home", "away").returncode


def test_uninstalling(world: World) -> None:
    """Its services run in the open, and nothing of wgconfine is left but what is said to stay."""
    machine = world.machine
    machine.sh("cp -rsf /opt/wgconfine/share/. /usr/local/share")
    for name in ("vpn", "home", "away"):
        wgconfine(world, "remove", name, "--release", "--purge", "--yes")
    assert 2 == guide.follow(world, "docs/uninstall.md")
    found = (
        "find /etc /usr/local /opt -name '*wgconfine*' ! -type d; ip netns list; nft list tables"
    )
    assert "" == machine.sh(found)
    assert machine.is_active(TRANSMISSION)
    net = "stat -Lc %i /proc/{}/ns/net"
    pid = machine.show(TRANSMISSION, "MainPID")
    assert machine.sh(net.format(pid)) == machine.sh(net.format(1))
