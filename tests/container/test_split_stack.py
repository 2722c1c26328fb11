"""docs/split-stack.md, followed to the letter: a proxy in the open, two services and a database."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Flow, World, assert_confined, boot_container
from tests import guide, lan
from tests.matrix import first
from tests.programs import HOSTS, TRANSMISSION, clients, has_asked, magnet
from tests.scenario import HOST, TUNNEL

pytestmark = pytest.mark.container

PACKAGES = ("miniflux", "postgresql")
LOGIN = "transmission:transmission"
FEEDS = {f"feeds-{number}.example.net" for number in range(10)}
# transmission first wants to give a session's number away.
ADD = """
session=$(curl -s -D - -o /dev/null {url} | tr -d '\\r' | grep -i ^x-transmission-session-id:)
order='{{"method": "torrent-add", "arguments": {{"filename": "{magnet}"}}}}'
curl -s -H "$session" -d "$order" {url} | grep -q '"success"'
"""
FLOWS = (Flow(client=lan.FRIEND["v4"], server=HOST["v4"], port=80),)


@pytest.fixture(
    scope="module",
    params=[each for each in first("trixie") if "bookworm" not in str(each)],
)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine on which somebody has done what the guide says. Debian 12 has no miniflux."""
    release = request.param
    with boot_container(release, wheelhouse=wheelhouse, extra_packages=PACKAGES) as world:
        lan.add_neighbours(world)
        world.machine.write("/etc/wireguard/vpn.conf", world.internet.provider_conf(), mode=0o600)
        # Since the machine has booted it was started in vain as often as systemd lets it be.
        world.machine.systemctl("stop", "miniflux.service")
        world.machine.systemctl("reset-failed", "miniflux.service", check=False)
        assert guide.follow(world, "docs/split-stack.md") > 8
        # It has restarted both, and has waited for one.
        page = f"http://{LOGIN}@127.0.0.1/transmission/web/"
        world.machine.wait_for(lambda: is_there(world, page), "transmission's page is there")
        yield world


def is_there(world: World, url: str) -> bool:
    return world.machine.run("curl", "-s", "-f", "-m", "9", url, check=False).returncode == 0


def admin(world: World) -> str:
    """The reader's name and password, which the guide has made."""
    return f"admin:{world.machine.read('/etc/miniflux/admin').strip()}"


def ask_reader(world: World, path: str, **data: object) -> str:
    """Ask the reader something through the proxy in the open; the answer is JSON."""
    body = ("-d", json.dumps(data)) if data else ()
    curl = ("curl", "-s", "-S", "-m", "30", "-u", admin(world), *body, f"http://127.0.0.1{path}")
    return world.machine.run(*curl).stdout


def in_database(world: World, query: str) -> str:
    return world.machine.sh(f"su postgres -c 'psql -tA reader' <<<\"{query}\"")


def test_the_lan_reaches_both_through_the_service_in_the_open(world: World) -> None:
    """A neighbour gets the page of each from nginx, which alone may use their sockets."""
    friend, url = lan.FRIEND["v4"], f"http://{HOST['v4']}"
    code, page = lan.ask_from(world, friend, f"{url}/")
    assert 0 == code
    assert "<title>Sign In - Miniflux</title>" in page
    code, page = lan.ask_from(world, friend, f"http://{LOGIN}@{HOST['v4']}/transmission/web/")
    assert 0 == code
    assert "Transmission Web Interface" in page
    sockets = "/run/feeds.sock /run/transmission.sock"
    assert 2 * ["660 root:www-data"] == world.machine.sh(f"stat -c '%a %U:%G' {sockets}").split(
        "\n"
    )


def test_the_reader_keeps_its_things_in_the_database_of_the_machine(world: World) -> None:
    """By reach it has made its tables there, and its first user."""
    assert "admin" == in_database(world, "select username from users")
    assert "admin" == json.loads(ask_reader(world, "/v1/me"))["username"]


def test_only_that_address_of_the_machine_is_reached_from_inside(world: World) -> None:
    """The database answers inside; what else the machine listens on is not there."""
    inside = "nsenter --net=/run/netns/vpn bash -c 'echo >/dev/tcp/127.0.0.1/{}'"
    world.machine.sh("echo >/dev/tcp/127.0.0.1/80")  # the control
    world.machine.sh(inside.format(5432))
    assert 0 != world.machine.run("bash", "-c", inside.format(80), check=False).returncode


def test_both_work_by_the_tunnel_alone(world: World) -> None:
    """While they are used from the LAN they fetch through the tunnel, and no packet is foreign."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        add = f"http://{LOGIN}@127.0.0.1/transmission/rpc"
        machine.sh(ADD.format(url=add, magnet=magnet(TRANSMISSION)))
        for feed in FEEDS:
            ask_reader(world, "/v1/feeds", feed_url=f"http://{feed}/feed", category_id=1)
        assert 0 == lan.ask_from(world, lan.FRIEND["v4"], f"http://{HOST['v4']}/")[0]
        machine.wait_for(lambda: has_asked(world, TRANSMISSION), "its tracker was asked", 60)
    assert_confined(uplink.traffic, tunnel.traffic, flows=FLOWS)
    asked = {each.host: each.client for each in world.internet.web_requests()}
    assert FEEDS <= set(asked)
    assert {*map(asked.get, FEEDS), *clients(world, TRANSMISSION)} <= set(TUNNEL.values())
    names = FEEDS | {HOSTS[TRANSMISSION]}
    queries = [each for each in world.internet.dns_queries() if each.name in names]
    assert names == {each.name for each in queries}
    assert {"tunnel"} == {each.resolver for each in queries}
