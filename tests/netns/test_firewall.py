"""What may leave and enter a tunnel's namespace, tried with sockets; each try has its control."""

import socket
from collections.abc import Iterator

import pytest

from tests.netns.machine import Machine
from tests.netns.packets import (
    BOTH,
    FAMILIES,
    KINDS,
    OWN,
    RESOLVERS,
    STRANGERS,
    counted,
    load,
    reached,
    without_firewall,
)
from wgconfine.runtime.firewall import Policy

pytestmark = pytest.mark.netns


@pytest.fixture
def leaky(named: Machine) -> Machine:
    """A way out of the namespace that is not the tunnel: somebody put a link into it."""
    named.sh("""
        ip link add leak0 netns vpn type veth peer name leak1 netns world
        for end in "vpn leak0 1" "world leak1 2"; do
            set -- $end
            ip -n $1 address add 198.51.100.$3/24 dev $2
            ip -n $1 address add 2001:db8::$3/64 dev $2 nodad
            ip -n $1 link set $2 up
        done
    """)
    named.wait_for_links(("vpn", "leak0"), ("world", "leak1"))
    return named


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Sockets to be closed in the end."""
    sockets: list[socket.socket] = []
    yield sockets
    for each in sockets:
        each.close()


WRONG = [
    *("127.0.0.53", "192.168.1.1", "203.0.113.9"),
    *("fe80::1%wg0", "fd00::53", "2001:db8:9::9"),
]


@KINDS
@pytest.mark.parametrize("asked", WRONG)
def test_a_query_for_anybody_reaches_the_declared_resolver(
    carried: Machine, asked: str, kind: int, opened: list[socket.socket]
) -> None:
    """Of its own family, and the answer comes back as if the one asked had given it."""
    family = socket.AF_INET6 if ":" in asked else socket.AF_INET
    opened += [carried.socket("world", family, kind), carried.socket("vpn", family, kind)]
    listener, caller = opened
    listener.bind((RESOLVERS[family], 53))
    where: tuple[str, int] | tuple[str, int, int, int] = (asked, 53)
    if "%" in asked:
        index = int(carried.sh("ip -o link show wg0", inside="vpn").partition(":")[0])
        where = (asked.partition("%")[0], 53, 0, index)

    assert b"answer" == exchange(listener, caller, where)


@KINDS
def test_a_query_for_the_ipv6_loopback_is_rejected_at_once(carried: Machine, kind: int) -> None:
    """The kernel lets no answer come back to ::1: the next resolver of the list is asked."""
    assert reached(carried, kind, ("::1", 53), ("vpn", "vpn")) in {"ECONNREFUSED", "EPERM"}


def exchange(listener: socket.socket, caller: socket.socket, where: tuple[object, ...]) -> bytes:
    """Ask over the protocol that the sockets are of, and give what the caller hears."""
    if caller.type == socket.SOCK_STREAM:
        listener.listen()
        caller.connect(where)
        served, _ = listener.accept()
        with served:
            served.send(b"answer")
            return caller.recv(16)
    caller.connect(where)
    caller.send(b"query")
    _, sender = listener.recvfrom(16)
    listener.sendto(b"answer", sender)
    return caller.recv(16)


@BOTH
@KINDS
@pytest.mark.parametrize("port", [853, 5353, 5355])
def test_other_look_ups_reach_declared_resolvers_alone(
    carried: Machine, family: socket.AddressFamily, kind: int, port: int
) -> None:
    """DoT, DoQ, mDNS and LLMNR to strangers are rejected and counted, as is a family without."""
    way = ("vpn", "world")
    assert reached(carried, kind, (RESOLVERS[family], port), way) == "reached"
    assert 0 == rejected(carried)
    assert reached(carried, kind, (STRANGERS[family], port), way) in {"ECONNREFUSED", "EPERM"}
    assert 0 < rejected(carried)

    left = [address for other, address in RESOLVERS.items() if other != family]
    load(carried, Policy(resolvers=left, addresses=OWN.values()))
    assert reached(carried, kind, (RESOLVERS[family], port), way) in {"ECONNREFUSED", "EPERM"}
    without_firewall(carried)
    assert reached(carried, kind, (STRANGERS[family], port), way) == "reached"


def rejected(machine: Machine) -> int:
    """The packets that were rejected by the ports of look-ups other than 53."""
    return counted(machine, "dns-other")


@pytest.mark.parametrize(
    ("group", "port"), [("224.0.0.251", 5353), ("ff02::fb", 5353), ("ff02::1:3", 5355)]
)
def test_names_are_not_asked_of_a_whole_network(carried: Machine, group: str, port: int) -> None:
    """mDNS and LLMNR go to groups, on the tunnel's link too; any other group is reached."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    index = int(carried.sh("ip -o link show wg0", inside="vpn").partition(":")[0])
    where = (group, port, 0, index) if ":" in group else (group, port)
    with carried.socket("vpn", family, socket.SOCK_DGRAM) as caller:
        assert 1 == caller.sendto(b"a", (group, 4711, *where[2:]))
        before = rejected(carried)
        with pytest.raises(PermissionError):
            caller.sendto(b"a", where)
    assert before + 1 == rejected(carried)


def test_it_is_in_force_before_the_namespace_has_a_name(machine: Machine) -> None:
    """Killed at its first mount, the runtime leaves a namespace that is closed and nameless."""
    _, steps = machine.killed_at("netns-up", 0)
    machine.succeed("netns-down")
    first = next(step for step in steps if step.endswith("of mount") and "execve" not in step)
    script = '"$0" "$@" || true; nft list tables; ip -br link show up'
    killed = steps.index(first) + 1
    done, _ = machine.killed_at("netns-up", killed, within=["sh", "-c", script])

    assert "table inet wgconfine" in done.said
    assert "lo " in done.said
    assert "" == machine.sh("findmnt -rno TARGET /run/netns/vpn /run/wgconfine/netns/vpn || true")


@BOTH
@KINDS
def test_look_ups_on_loopback_are_rejected(
    named: Machine, family: socket.AddressFamily, kind: int
) -> None:
    """Before the tunnel is up no resolver is declared: not even a local one is asked."""
    address, inside = FAMILIES[family][0], ("vpn", "vpn")

    assert reached(named, kind, (address, 54), inside) == "reached"
    assert reached(named, kind, (address, 53), inside) in {"ECONNREFUSED", "EPERM"}
    without_firewall(named)
    assert reached(named, kind, (address, 53), inside) == "reached"


@BOTH
@KINDS
@pytest.mark.parametrize("port", [53, 443])
def test_nothing_leaves_by_a_foreign_link(
    leaky: Machine, family: socket.AddressFamily, kind: int, port: int
) -> None:
    """Invariant 3: there should be none; if there is, it is of no use."""
    target, way = (FAMILIES[family][1], port), ("vpn", "world")

    refused = reached(leaky, kind, target, way)
    assert refused in {"EPERM", "EHOSTUNREACH", "EACCES", "ECONNREFUSED"}
    without_firewall(leaky)
    assert reached(leaky, kind, target, way) == "reached"


@BOTH
@KINDS
def test_nothing_comes_in_by_a_foreign_link(
    leaky: Machine, family: socket.AddressFamily, kind: int
) -> None:
    """Input drops by default, without an answer."""
    target, way = (FAMILIES[family][2], 8080), ("world", "vpn")

    assert reached(leaky, kind, target, way) in {"silence", "EHOSTUNREACH"}
    without_firewall(leaky)
    assert reached(leaky, kind, target, way) == "reached"


def test_nothing_is_forwarded(leaky: Machine) -> None:
    """A namespace is no router, even if somebody should make it one."""
    assert "policy drop" in leaky.sh("nft list chain inet wgconfine forward", inside="vpn")
    assert leaky.sh("cat /proc/sys/net/ipv4/ip_forward", inside="vpn") == "0"


def test_after_down_it_is_as_before_up(tunnel: Machine) -> None:
    """Without a resolver again, and never absent."""
    with_resolver = tunnel.sh("nft -s list ruleset", inside="vpn")
    tunnel.succeed("down")
    after = tunnel.sh("nft -s list ruleset", inside="vpn")
    tunnel.succeed("netns-up")

    assert "10.66.0.1" in with_resolver
    assert after == tunnel.sh("nft -s list ruleset", inside="vpn")
