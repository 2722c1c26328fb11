"""Packets across a tunnel's link: its addresses, a ruleset loaded, and whether they arrive."""

import errno
import json
import socket

import pytest

from tests.netns.machine import Machine
from wgconfine.runtime.firewall import Policy, ruleset

FAMILIES = {
    socket.AF_INET: ("127.0.0.1", "198.51.100.2", "198.51.100.1"),
    socket.AF_INET6: ("::1", "2001:db8::2", "2001:db8::1"),
}
"""For each family loopback, the world's address and the namespace's own on a foreign link."""
OWN = {socket.AF_INET: "10.66.0.2", socket.AF_INET6: "fd66::2"}
RESOLVERS = {socket.AF_INET: "10.66.0.1", socket.AF_INET6: "fd66::1"}
STRANGERS = {socket.AF_INET: "203.0.113.9", socket.AF_INET6: "2001:db8:9::9"}
"""On wg0 the tunnel's own addresses, the resolvers and who is no resolver."""
BOTH = pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.name)
KINDS = pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])


def load(machine: Machine, policy: Policy) -> None:
    machine.write("/run/lab/rules", ruleset(policy))
    machine.sh("nft -f /run/lab/rules", inside="vpn")


def reached(machine: Machine, kind: int, target: tuple[str, int], way: tuple[str, str]) -> str:
    """Send from one namespace to another: "reached", the error that came back, or "silence"."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    sender, receiver = way
    with (
        machine.socket(receiver, family, kind) as listener,
        machine.socket(sender, family, kind) as caller,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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


def counted(machine: Machine, name: str) -> int:
    """The packets that a counter of the firewall has seen."""
    listed = machine.sh("nft -j list counters table inet wgconfine", inside="vpn")
    entries = [each.get("counter", {}) for each in json.loads(listed)["nftables"]]
    return int(next(each["packets"] for each in entries if each.get("name") == name))


def without_firewall(machine: Machine) -> None:
    machine.sh("nft flush ruleset", inside="vpn")
    # It dropped neighbour solicitations too, and the kernel waits before it sends another.
    machine.sh("ip -n world neighbour flush all")
