"""Machines for the runtime; a tier that cannot run fails and says what is missing."""

from collections.abc import Iterator

import pytest

from tests.netns.machine import Machine, boot
from tests.netns.packets import OWN, RESOLVERS, load
from wgconfine.runtime.firewall import Policy


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine of this test's own: nothing is configured and nothing runs."""
    with boot() as machine:
        yield machine


@pytest.fixture
def closed(machine: Machine) -> Machine:
    """Its tunnel is configured and has its namespace, and wireguard-go its link in the host's."""
    machine.configure()
    machine.succeed("netns-up")
    machine.start_wireguard()
    return machine


@pytest.fixture
def tunnel(closed: Machine) -> Machine:
    """Its tunnel is up."""
    closed.succeed("up")
    return closed


@pytest.fixture
def named(machine: Machine) -> Machine:
    """Its tunnel has a namespace, and nothing more."""
    machine.succeed("netns-up")
    return machine


@pytest.fixture
def carried(named: Machine) -> Machine:
    """A link in the tunnel's place whose far side is the world, and a resolver of each family."""
    named.sh("""
        ip link add wg0 netns vpn type veth peer name wg1 netns world
        mac=02:00:00:00:00:01
        ip -n vpn link set wg0 address $mac addrgenmode none
        ip -n world link set wg1 address $mac
        for end in "vpn wg0 2" "world wg1 1"; do
            set -- $end
            ip -n $1 address add 10.66.0.$3/24 dev $2
            ip -n $1 address add fd66::$3/64 dev $2 nodad
            ip -n $1 link set $2 up
        done
        # A tunnel has no neighbours to discover, and the firewall lets none be.
        ip -n vpn link set wg0 arp off
        ip -n world link set wg1 arp off
        ip -n vpn route add default dev wg0
        ip -n vpn -6 route add default dev wg0
        ip -n world address add 203.0.113.9/32 dev lo
        ip -n world address add 2001:db8:9::9/128 dev lo
    """)
    named.wait_for_links(("vpn", "wg0"), ("world", "wg1"))
    load(named, Policy(resolvers=list(RESOLVERS.values()), addresses=OWN.values()))
    return named
