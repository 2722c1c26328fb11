"""What may leave and enter a tunnel's namespace, tried with sockets; each try has its control."""

import errno
import socket
from collections.abc import Iterator

import pytest

from tests.netns.machine import Machine

pytestmark = pytest.mark.netns

FAMILIES = {
    socket.AF_INET: ("127.0.0.1", "198.51.100.2", "198.51.100.1"),
    socket.AF_INET6: ("::1", "2001:db8::2", "2001:db8::1"),
}
"""For each family loopback, the world's address and the namespace's own on a foreign link."""
BOTH = pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.name)
KINDS = pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])


@pytest.fixture
def named(machine: Machine) -> Machine:
    """Its tunnel has a namespace, and nothing more."""
    machine.succeed("netns-up")
    return machine


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
    return named


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Sockets to be closed in the end."""
    sockets: list[socket.socket] = []
    yield sockets
    for each in sockets:
        each.close()


def reached(machine: Machine, kind: int, target: tuple[str, int], way: tuple[str, str]) -> str:
    """Send from one namespace to another: "reached", the error that came back, or "silence"."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    sender, receiver = way
    with (
        machine.socket(receiver, family, kind) as listener,
        machine.socket(sender, family, kind) as caller,
    ):
        listener.bind(target)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        try:
            caller.connect(target)
            if kind == socket.SOCK_DGRAM:
                caller.send(b"a")
                listener.recv(1)
            else:
                listener.accept()[0].close()
        except TimeoutError:
            return "silence"
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return "reached"


def without_firewall(machine: Machine) -> None:
    machine.sh("nft flush ruleset", inside="vpn")
    # It dropped neighbour solicitations too, and the kernel waits before it sends another.
    machine.sh("ip -n world neighbour flush all")


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
