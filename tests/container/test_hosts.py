"""Hosts as their owners set them up: IPv6 switched off, a firewall of their own by nftables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests.matrix import ends
from tests.scenario import (
    PROBE,
    TUNNEL,
    confine,
    refused,
    seen_by_web,
    wait_until_asked,
    wgconfine,
    write_service,
)

pytestmark = pytest.mark.container

FIREWALL = """\
table inet filter {
    chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        ip daddr 198.51.100.1 udp dport 51820 accept
        ip daddr 224.0.0.51 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
    }
}
"""
"""What lets nothing out but the tunnel itself (and the beacons of the capture)."""

SECOND_SWITCH = "table inet wgconfine-vpn"
RULES = f"""
for table in $(nft list tables | grep -v '^{SECOND_SWITCH}$' | sed 's/^table //; s/ /:/'); do
    nft -s list table ${{table%%:*}} ${{table#*:}}
done
"""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine without IPv6 on any link, and with nftables alone."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        world.machine.sh("""
            sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
            ! command -v iptables
        """)
        world.machine.write("/etc/nftables.conf", FIREWALL)
        world.machine.run("nft", "-f", "/etc/nftables.conf")
        write_service(world, "probe.service", PROBE)
        yield world


def test_the_tunnel_has_ipv6_where_the_host_has_switched_it_off(world: World) -> None:
    """disable_ipv6 of the host is not inherited: services have both families, inside alone."""
    machine = world.machine
    rules = machine.sh(RULES)
    confine(world, "probe.service")
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", "probe.service")
        machine.wait_for(
            lambda: set(TUNNEL.values()) == seen_by_web(world, "probe.service"), "both families"
        )
        wait_until_asked(world, "probe.service")
    assert_confined(uplink.traffic, tunnel.traffic)
    assert "probe.service: confined" == refused(world, "probe.service")
    assert "" == machine.sh("ip -6 address show dev eth0")
    assert rules == machine.sh(RULES)
    assert SECOND_SWITCH in machine.run("nft", "list", "tables").stdout


def test_the_hosts_firewall_is_left_as_it_was(world: World) -> None:
    """Neither a restart nor the removal of a tunnel changes a rule of the owner's.

    With the tunnel its second switch goes, the only table of ours in the host's namespace.
    """
    rules = world.machine.sh(RULES)
    world.machine.systemctl("restart", "wgconfine-netns@vpn.service", "wgconfine@vpn.service")
    wgconfine(world, "remove", "vpn", "--release", "--yes")
    assert "table inet filter" in rules
    assert "table inet filter\n" == world.machine.run("nft", "list", "tables").stdout
    assert rules == world.machine.sh(RULES)
