"""The four parts of the NixOS recipe that wgconfine comes from, on a plain Debian."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests.matrix import first
from tests.scenario import TUNNEL, confine, seen_by_web, wgconfine, write_service

pytestmark = pytest.mark.container

CURL = (
    "/bin/sh -c 'while :; do for v in 4 6; do curl -$v -s -m 3 http://web.example.net/; done; "
    "sleep 0.2; done'"
)


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a tunnel `vpn` that confines one service of its owner."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "crawler.service", f"[Service]\nUser=games\nExecStart={CURL}\n")
        confine(world, "crawler.service")
        yield world


def namespace_of(world: World, path: str) -> str:
    return world.machine.sh(f"stat -Lc %i {path}")


def test_recipe_part_1_the_namespace_has_a_name_that_goes_on_stop(world: World) -> None:
    """wgconfine-netns@NAME names the namespace that systemd made for it, and unnames it on stop."""
    machine = world.machine
    assert "vpn" in machine.run("ip", "netns", "list").stdout
    assert namespace_of(world, "/run/netns/vpn") == namespace_of(world, "/run/wgconfine/netns/vpn")
    assert namespace_of(world, "/run/netns/vpn") != namespace_of(world, "/proc/1/ns/net")
    machine.systemctl("stop", "wgconfine-netns@vpn.service")
    assert "" == machine.run("ip", "netns", "list").stdout.strip()
    assert "" == machine.sh("ls -A /run/netns /run/wgconfine/netns | grep vpn || true")
    machine.systemctl("start", "wgconfine@vpn.service")


def test_recipe_part_2_the_link_is_inside_and_its_socket_in_the_host(world: World) -> None:
    """The link has key, peer, addresses and routes inside; its UDP socket stays outside."""
    machine = world.machine
    addresses = machine.run("ip", "-n", "vpn", "-br", "address", "show", "dev", "wg0").stdout
    assert f"{TUNNEL['v4']}/32" in addresses
    assert f"{TUNNEL['v6']}/128" in addresses
    assert machine.sh("ip -n vpn -4 route show default").startswith("default dev wg0")
    assert machine.sh("ip -n vpn -6 route show default").startswith("default dev wg0")
    port = machine.sh("wg show all listen-port | cut -f2")
    assert port in machine.sh("ss -Hlun | awk '{print $4}'")
    assert "" == machine.sh("nsenter --net=/run/netns/vpn ss -Hlun")
    machine.systemctl("stop", "wgconfine@vpn.service")
    assert "wg0" not in machine.run("ip", "-n", "vpn", "-br", "link").stdout
    machine.systemctl("start", "wgconfine@vpn.service")


def test_recipe_part_3_its_options_can_be_written_inline(world: World) -> None:
    """Enable, address, peer, endpoint and the path of the key are settings of the inline form."""
    conf = dict(
        line.split(" = ", 1)
        for line in world.internet.provider_conf(client=3).splitlines()
        if " = " in line
    )
    machine = world.machine
    machine.write("/etc/wgconfine/inline.key", conf["PrivateKey"] + "\n", 0o600)
    machine.write(
        "/etc/wgconfine/inline.toml",
        f"""
        enable = true
        address = ["{'", "'.join(conf["Address"].split(", "))}"]
        dns = ["10.66.0.1"]
        private-key-file = "/etc/wgconfine/inline.key"
        [[peer]]
        public-key = "{conf["PublicKey"]}"
        endpoint = "vpn.example.net:51820"
        persistent-keepalive = 25
        """,
    )
    wgconfine(world, "apply")
    seen = ("nsenter", "--net=/run/netns/inline", "curl", "-s", "-m", "2", "http://203.0.113.80/")
    machine.wait_for(
        lambda: machine.run(*seen, check=False).stdout.strip() == "10.66.0.3",
        "the host's resolver found the endpoint and the tunnel carries",
    )
    assert conf["PrivateKey"] not in machine.run("journalctl", "--no-pager").stdout
    assert conf["PrivateKey"] not in machine.read("/etc/wgconfine/inline.json")


def test_recipe_part_3_the_key_can_be_a_credential(world: World) -> None:
    """systemd loads private-key-credential, anew at each reload, and stop needs it no more."""
    machine = world.machine
    conf = dict(
        line.split(" = ", 1)
        for line in world.internet.provider_conf(client=4).splitlines()
        if " = " in line
    )
    machine.write("/etc/credstore/lab.key", conf["PrivateKey"] + "\n", 0o600)
    machine.write(
        "/etc/wgconfine/cred.toml",
        f"""
        address = ["10.66.0.4/32"]
        dns = []
        private-key-credential = "lab.key"
        [[peer]]
        public-key = "{conf["PublicKey"]}"
        endpoint = "198.51.100.1:51820"
        """,
    )
    wgconfine(world, "apply")
    seen = ("nsenter", "--net=/run/netns/cred", "curl", "-s", "-m", "2", "http://203.0.113.80/")
    machine.wait_for(
        lambda: machine.run(*seen, check=False).stdout.strip() == "10.66.0.4", "the tunnel carries"
    )
    machine.systemctl("reload", "wgconfine@cred.service")
    machine.run("rm", "/etc/credstore/lab.key")
    machine.systemctl("stop", "wgconfine@cred.service")
    assert "inactive" == machine.show("wgconfine@cred.service", "ActiveState")


def test_recipe_part_4_a_service_runs_confined_as_its_own_user(world: World) -> None:
    """A unit of the owner's is confined by its dependencies and runs as its own user."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", "crawler.service")
        machine.wait_for(
            lambda: set(TUNNEL.values()) == seen_by_web(world, "crawler.service"), "it crawls"
        )
        machine.run("sleep", "3")
        tunnel.wait_for_packets()
    assert_confined(uplink.traffic, tunnel.traffic)
    pid = machine.show("crawler.service", "MainPID")
    assert "games" == machine.sh(f"stat -c %U /proc/{pid}")
    assert {"wgconfine@vpn.service", "wgconfine-netns@vpn.service"} <= set(
        machine.show("crawler.service", "BindsTo").split()
    )


def test_recipe_part_4_a_hand_written_joins_namespace_of_lands_inside(world: World) -> None:
    """`PrivateNetwork=true` and `JoinsNamespaceOf=` our namespace unit: the tunnel's namespace."""
    machine = world.machine
    write_service(
        world,
        "by-hand.service",
        "[Unit]\nJoinsNamespaceOf=wgconfine-netns@vpn.service\nAfter=wgconfine@vpn.service\n"
        # Started is what has been executed, and not what may still be on its way inside.
        f"[Service]\nType=exec\nPrivateNetwork=true\nDynamicUser=yes\nExecStart={CURL}\n",
    )
    with world.capture_uplink() as uplink:
        machine.systemctl("start", "by-hand.service")
        pid = machine.show("by-hand.service", "MainPID")
        inside = namespace_of(world, f"/proc/{pid}/ns/net")
        machine.systemctl("stop", "by-hand.service")
    assert namespace_of(world, "/run/netns/vpn") == inside
    assert () == uplink.traffic.foreign(lookups=("web.example.net",))
