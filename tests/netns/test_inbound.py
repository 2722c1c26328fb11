"""What may come in by the tunnel and what may not go out by it, tried with packets.

Each try has its control: the same packet without the firewall, or without the rule.
"""

import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.netns.machine import SETTINGS, Machine
from tests.netns.packets import (
    BOTH,
    KINDS,
    OWN,
    RESOLVERS,
    STRANGERS,
    counted,
    load,
    reached,
    without_firewall,
)
from tests.scan import SERVER, answering
from wgconfine.runtime.firewall import Policy

pytestmark = pytest.mark.netns

IN = ("world", "vpn")
OUT = ("vpn", "world")
OPEN, SHUT = 51413, 8080
MAC = "02:00:00:00:00:01"  # of both ends
REJECTED = {"ECONNREFUSED", "EPERM", "EHOSTUNREACH", "EACCES"}
NETWORKS = ("10.0.0.0/8", "203.0.113.0/24", "fd00::/8", "2001:db8:9::/48")
"""Where the resolvers and the strangers are."""
Pair = tuple[socket.socket, socket.socket]


def policy(**more: list[str]) -> Policy:
    """What the tunnel of `carried` has: its resolvers and addresses, and more."""
    return Policy(resolvers=list(RESOLVERS.values()), addresses=OWN.values(), **more)


@pytest.fixture
def opened(carried: Machine) -> Machine:
    """One port is open for either protocol."""
    load(carried, policy(inbound_tcp=[f"{OPEN}"], inbound_udp=[f"{OPEN}"]))
    return carried


@pytest.fixture
def wire(opened: Machine) -> Iterator[socket.socket]:
    """The world's end of the link, for whole frames."""
    with opened.socket("world", socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("wg1", 0x0003))  # ETH_P_ALL
        yield wire


def send(wire: socket.socket, packet: Packet) -> None:
    wire.send(bytes(Ether(src=MAC, dst=MAC) / packet))


def frames(wire: socket.socket) -> Iterator[Packet]:
    """Everything on the link until it is quiet for a second."""
    wire.settimeout(1)
    while True:
        try:
            yield Ether(wire.recv(65536))
        except TimeoutError:
            return


@BOTH
@KINDS
def test_an_open_port_is_reached_and_no_other(
    opened: Machine, family: socket.AddressFamily, kind: int
) -> None:
    """What is dropped gets no answer, and is counted as what is let in is."""
    protocol = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}[socket.SocketKind(kind)]
    assert reached(opened, kind, (OWN[family], OPEN), IN) == "reached"
    assert 0 < counted(opened, f"inbound-{protocol}")
    before = counted(opened, "dropped")
    assert reached(opened, kind, (OWN[family], SHUT), IN) == "silence"
    assert before < counted(opened, "dropped")

    without_firewall(opened)
    assert reached(opened, kind, (OWN[family], SHUT), IN) == "reached"


@pytest.fixture
def listening(opened: Machine) -> Machine:
    """On every address inside somebody listens, on ports that are open and on ones that are not."""
    ports = (OPEN, SHUT, 22, 65535)
    opened.start(sys.executable, "-I", "-c", SERVER, *map(str, ports), inside="vpn")
    opened.wait_for(lambda: len(ports) <= opened.sh("ss -Hltn", inside="vpn").count("\n") + 1)
    return opened


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_of_all_ports_the_open_one_alone_answers(
    listening: Machine, family: socket.AddressFamily, kind: str
) -> None:
    """A scan of 65535 ports; the firewall itself has seen the probe of every other."""

    def run(*argv: str) -> str:
        return listening.sh(shlex.join(argv), inside="world", timeout=120)

    assert {"open": {OPEN}} == answering(run, kind, OWN[family], rate=30_000)
    assert 65534 <= counted(listening, "dropped")
    without_firewall(listening)
    some = f"20-24,{OPEN},{SHUT},65535"
    closed = {20, 21, 23, 24}
    expected = {"open": {22, OPEN, SHUT, 65535}, "closed": closed}
    assert expected == answering(run, kind, OWN[family], some)


@KINDS
def test_the_other_protocol_stays_shut(carried: Machine, kind: int) -> None:
    """51413 of one protocol says nothing of 51413 of the other."""
    stream = kind == socket.SOCK_STREAM
    other = {"inbound_udp" if stream else "inbound_tcp": [f"{OPEN}"]}
    load(carried, policy(**other))
    assert reached(carried, kind, (OWN[socket.AF_INET], OPEN), IN) == "silence"


@pytest.fixture
def caller(opened: Machine) -> Iterator[Pair]:
    """Somebody of the world, connected to the open port, and who serves him inside."""
    with (
        opened.socket("vpn", socket.AF_INET, socket.SOCK_STREAM) as listener,
        opened.socket("world", socket.AF_INET, socket.SOCK_STREAM) as caller,
    ):
        listener.bind((OWN[socket.AF_INET], OPEN))
        listener.listen()
        caller.connect((OWN[socket.AF_INET], OPEN))
        served, _ = listener.accept()
        served.settimeout(1)
        with served:
            yield caller, served


def test_a_port_that_closes_is_closed_for_who_is_in_already(opened: Machine, caller: Pair) -> None:
    """The flow goes on over a reload that leaves the port open, and not over one that shuts it."""
    outside, inside = caller
    load(opened, policy(inbound_tcp=[f"{OPEN}", "1"]))
    outside.send(b"a")
    assert b"a" == inside.recv(9)

    load(opened, policy())
    outside.send(b"b")
    with pytest.raises(TimeoutError):
        inside.recv(9)


def test_answers_come_back_to_who_asked(opened: Machine) -> None:
    """Though the port that they come to is shut, and to nobody else."""
    for family in OWN:
        with (
            opened.socket("vpn", family, socket.SOCK_DGRAM) as asking,
            opened.socket("world", family, socket.SOCK_DGRAM) as asked,
            opened.socket("world", family, socket.SOCK_DGRAM) as stranger,
        ):
            asked.bind((STRANGERS[family], 4711))
            asking.bind((OWN[family], SHUT))
            asking.sendto(b"?", (STRANGERS[family], 4711))
            assert b"?" == asked.recv(9)
            stranger.sendto(b"no", (OWN[family], SHUT))
            asked.sendto(b"yes", (OWN[family], SHUT))
            assert b"yes" == asking.recv(9)
            with pytest.raises(TimeoutError):
                asking.recv(9)


SPOOFED = {
    "from loopback": (IP(src="127.0.0.1", dst=OWN[socket.AF_INET]), "martian"),
    "to loopback": (IP(src=STRANGERS[socket.AF_INET], dst="127.0.0.1"), "martian"),
    "from itself": (IP(src=OWN[socket.AF_INET], dst=OWN[socket.AF_INET]), "martian"),
    "to everybody": (IP(src=STRANGERS[socket.AF_INET], dst="255.255.255.255"), "dropped"),
    "to a group": (IP(src=STRANGERS[socket.AF_INET], dst="224.0.0.1"), "dropped"),
    "from itself, IPv6": (IPv6(src=OWN[socket.AF_INET6], dst=OWN[socket.AF_INET6]), "martian"),
    "to a group, IPv6": (IPv6(src=STRANGERS[socket.AF_INET6], dst="ff02::1"), "dropped"),
    # To ::1 the kernel lets nobody, before any table: ip6_rcv_core().
    "from loopback, IPv6": (IPv6(src="::1", dst=OWN[socket.AF_INET6]), ""),
    "to loopback, IPv6": (IPv6(src=STRANGERS[socket.AF_INET6], dst="::1"), ""),
}
ARRIVING = {"to loopback", "to everybody", "from itself, IPv6", "to a group, IPv6"}
"""What a service hears of them where there is no firewall; the rest the kernel drops."""


@pytest.mark.parametrize("kind", SPOOFED)
def test_nothing_that_is_not_for_the_tunnel_arrives(
    opened: Machine, wire: socket.socket, kind: str
) -> None:
    """Not even on a port that is open: what serves loopback alone stays out of reach."""
    packet, counter = SPOOFED[kind]
    with opened.socket("vpn", socket.AF_INET6, socket.SOCK_DGRAM) as service:
        service.bind(("::", OPEN))
        service.settimeout(0.5)
        send(wire, packet / UDP(sport=OPEN, dport=OPEN) / b"a")
        with pytest.raises(TimeoutError):
            service.recv(9)
        assert not counter or 0 < counted(opened, counter)

        without_firewall(opened)
        send(wire, packet / UDP(sport=OPEN, dport=OPEN) / b"a")
        arrives = kind in ARRIVING
        if arrives:
            service.settimeout(10)
            assert b"a" == service.recv(9)
        else:
            with pytest.raises(TimeoutError):
                service.recv(9)


def test_a_flow_over_loopback_takes_nothing_from_the_tunnel(
    opened: Machine, wire: socket.socket
) -> None:
    """Connection tracking knows no links: as an answer of it the packet would be let in."""
    own = OWN[socket.AF_INET6]
    with (
        opened.socket("vpn", socket.AF_INET6, socket.SOCK_DGRAM) as service,
        opened.socket("vpn", socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        service.bind((own, SHUT))
        client.bind((own, 4711))
        client.connect((own, SHUT))
        client.send(b"a")
        assert b"a" == service.recv(9)
        client.settimeout(0.5)
        send(wire, IPv6(src=own, dst=own) / UDP(sport=SHUT, dport=4711) / b"b")
        with pytest.raises(TimeoutError):
            client.recv(9)
        assert 1 == counted(opened, "martian")

        opened.sh("nft flush chain inet wgconfine arrival", inside="vpn")
        opened.sh("nft add rule inet wgconfine arrival accept", inside="vpn")
        send(wire, IPv6(src=own, dst=own) / UDP(sport=SHUT, dport=4711) / b"b")
        client.settimeout(10)
        assert b"b" == client.recv(9)


def test_no_source_route_leads_to_loopback(opened: Machine, wire: socket.socket) -> None:
    """The next stop of such a packet is known after `arrival`; the kernel is told to go by none."""
    route = [IPOption_LSRR(routers=["127.0.0.1"])]
    packet = IP(src=STRANGERS[socket.AF_INET], dst=OWN[socket.AF_INET], options=route)
    settings = "/proc/sys/net/ipv4/conf/all/accept_source_route"
    with opened.socket("vpn", socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", OPEN))
        service.settimeout(0.5)

        def arrives() -> bool:
            send(wire, packet / UDP(sport=4711, dport=OPEN) / b"a")
            try:
                return service.recv(9) == b"a"
            except TimeoutError:
                return False

        assert not arrives()
        opened.sh(f"echo 1 >{settings}", inside="vpn")
        before = counted(opened, "martian")
        assert not arrives()
        assert before + 1 == counted(opened, "martian")
        opened.sh("nft insert rule inet wgconfine input accept", inside="vpn")
        assert arrives()
        opened.sh(f"echo 0 >{settings}", inside="vpn")
        assert not arrives()


@pytest.mark.parametrize("own", [True, False], ids=["of a flow", "of no flow"])
@BOTH
def test_a_packet_that_was_too_big_is_told_to_its_flow_alone(
    opened: Machine, wire: socket.socket, family: socket.AddressFamily, *, own: bool
) -> None:
    """Path MTU discovery works; who knows no flow of ours changes nothing."""
    four = family == socket.AF_INET
    level, mtu_of = (socket.IPPROTO_IP, 14) if four else (socket.IPPROTO_IPV6, 24)  # IP(V6)_MTU
    stranger, here = STRANGERS[family], OWN[family]
    with opened.socket("vpn", family, socket.SOCK_DGRAM) as asking:
        asking.bind((here, SHUT))
        asking.connect((stranger, 4711))
        asking.send(b"?")
        quoted = UDP(sport=SHUT if own else SHUT + 1, dport=4711, len=1400)
        if four:
            error = ICMP(type=3, code=4, nexthopmtu=1300) / IP(src=here, dst=stranger) / quoted
            send(wire, IP(src="203.0.113.1", dst=here) / error)
        else:
            inner = IPv6(src=here, dst=stranger, plen=1400) / quoted
            send(wire, IPv6(src="2001:db8::1", dst=here) / ICMPv6PacketTooBig(mtu=1300) / inner)
        expected, until = (1300 if own else 1500), time.monotonic() + 10
        time.sleep(0.3)
        while asking.getsockopt(level, mtu_of) != expected and time.monotonic() < until:
            time.sleep(0.1)
        assert expected == asking.getsockopt(level, mtu_of)


def test_a_redirect_is_dropped_though_it_is_of_a_flow(opened: Machine, wire: socket.socket) -> None:
    """A tunnel has one way, and nobody on it shows a better one."""
    here, stranger = OWN[socket.AF_INET], STRANGERS[socket.AF_INET]
    with opened.socket("vpn", socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind((here, SHUT))
        asking.sendto(b"?", (stranger, 4711))
        quoted = IP(src=here, dst=stranger) / UDP(sport=SHUT, dport=4711)
        redirect = ICMP(type=5, code=1, gw="10.66.0.9") / quoted
        before = counted(opened, "dropped")
        send(wire, IP(src="10.66.0.1", dst=here) / redirect)
        opened.wait_for(lambda: before < counted(opened, "dropped"))


ECHO = {
    socket.AF_INET: (socket.IPPROTO_ICMP, ICMP(type=8, id=7)),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, ICMPv6EchoRequest(id=7)),
}


@BOTH
def test_one_may_ping_from_inside_and_nobody_from_outside(
    opened: Machine, wire: socket.socket, family: socket.AddressFamily
) -> None:
    """An answer would tell the far side that somebody is there; nobody asked for that."""
    here, there = OWN[family], RESOLVERS[family]
    protocol, echo = ECHO[family]
    head = IP(src=here, dst=there) if family == socket.AF_INET else IPv6(src=here, dst=there)
    with opened.socket("vpn", family, socket.SOCK_RAW, protocol) as asking:
        asking.sendto(bytes((head / echo).payload), (there, 0))
        assert there == asking.recvfrom(1500)[1][0]

    head.src, head.dst = there, here
    list(frames(wire))
    send(wire, head / echo)
    assert [] == [each for each in frames(wire) if not from_world(each)]
    without_firewall(opened)
    send(wire, head / echo)
    assert [here] == [each.payload.src for each in frames(wire) if not from_world(each)]


MTU = 1280


def syn_option(packet: Packet) -> int:
    """The segment size that a SYN announces."""
    return int(dict(packet[TCP].options)["MSS"])


@BOTH
def test_segments_are_clamped_to_the_tunnels_mtu(
    opened: Machine, wire: socket.socket, family: socket.AddressFamily
) -> None:
    """In SYN and SYN-ACK, and nothing that leaves is longer, whatever the far side announces."""
    opened.sh(f"ip link set wg0 mtu {MTU} gso_max_segs 1", inside="vpn")  # whole packets
    headers = 40 if family == socket.AF_INET else 60
    with (
        opened.socket("vpn", family, socket.SOCK_STREAM) as listener,
        opened.socket("world", family, socket.SOCK_STREAM) as caller,
    ):
        listener.bind((OWN[family], OPEN))
        listener.listen()
        caller.connect((OWN[family], OPEN))
        served, _ = listener.accept()
        served.sendall(b"a" * 20_000)
        served.close()
    with opened.socket("vpn", family, socket.SOCK_STREAM) as client:
        client.settimeout(0.2)
        assert 0 != client.connect_ex((STRANGERS[family], 4711))
    seen = [each for each in frames(wire) if TCP in each]
    theirs = [syn_option(each) for each in seen if each[TCP].flags == "S" and from_world(each)]
    ours = [each for each in seen if not from_world(each)]
    answers = [syn_option(each) for each in ours if each[TCP].flags == "SA"]
    asked = [syn_option(each) for each in ours if each[TCP].flags == "S"]
    assert [[1500 - headers], [MTU - headers], MTU - headers] == [theirs, answers, min(asked)]
    assert MTU == max(length_of(each) for each in ours)


def from_world(packet: Packet) -> bool:
    return packet.payload.src not in OWN.values()


def length_of(packet: Packet) -> int:
    return int(packet.len if IP in packet else packet.plen + 40)


def test_the_segments_of_a_redirected_query_are_clamped(
    opened: Machine, wire: socket.socket
) -> None:
    """It began on lo, and would announce what fits there: an answer would not fit the tunnel."""
    opened.sh(f"ip link set wg0 mtu {MTU}", inside="vpn")
    assert [MTU - 40] == redirected_syn(opened, wire)
    opened.sh("nft flush chain inet wgconfine segment", inside="vpn")
    assert [65495] == redirected_syn(opened, wire)


def redirected_syn(machine: Machine, wire: socket.socket) -> list[int]:
    with machine.socket("vpn", socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(0.2)
        client.connect_ex(("127.0.0.53", 53))
    return [syn_option(each) for each in frames(wire) if TCP in each and each[TCP].flags == "S"]


@BOTH
@KINDS
def test_a_denied_network_is_rejected_and_its_resolver_asked(
    carried: Machine, family: socket.AddressFamily, kind: int
) -> None:
    """For look-ups and nothing else; who is not denied is reached."""
    assert reached(carried, kind, (STRANGERS[family], 443), OUT) == "reached"
    load(carried, policy(outbound_deny=list(NETWORKS)))
    assert reached(carried, kind, (STRANGERS[family], 443), OUT) in REJECTED
    assert reached(carried, kind, (RESOLVERS[family], 443), OUT) in REJECTED
    for port in (53, 853):
        assert reached(carried, kind, (RESOLVERS[family], port), OUT) == "reached"
    assert 2 <= counted(carried, "outbound-deny")

    load(carried, policy(outbound_deny=["198.18.0.0/15"]))
    assert reached(carried, kind, (STRANGERS[family], 443), OUT) == "reached"


def test_a_denied_network_gets_no_answer_either(opened: Machine, caller: Pair) -> None:
    """Whoever is in already, by a port that stays open."""
    outside, inside = caller
    load(opened, policy(inbound_tcp=[f"{OPEN}"], outbound_deny=["10.66.0.1/32"]))
    with inside:
        inside.send(b"a")
        outside.settimeout(1)
        with pytest.raises(TimeoutError):
            outside.recv(9)


def test_networks_may_overlap_and_hold_everything(carried: Machine) -> None:
    """As their owner writes them: nft(8) merges them."""
    everything = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "fd00::/8", "::/0"]
    load(carried, policy(outbound_deny=everything))
    target = (STRANGERS[socket.AF_INET6], 443)
    assert reached(carried, socket.SOCK_STREAM, target, OUT) in REJECTED


PORTS = (
    f"[inbound]\ntcp = [{OPEN}, '6881-6889']\nudp = [{OPEN}]\n[outbound]\ndeny = ['10.0.0.0/8']\n"
)


def listed(machine: Machine) -> list[str]:
    """The rules inside that concern ports and denied networks, as nft(8) prints them."""
    lines = machine.sh("nft -s list table inet wgconfine", inside="vpn").splitlines()
    return [line.strip() for line in lines if "inbound-" in line or "outbound-deny" in line][3:]


def test_ports_are_open_exactly_while_the_tunnel_is_up(machine: Machine) -> None:
    """What NAME.json says comes into force by `up` and `reload`, and goes with `down`."""
    machine.configure(settings=SETTINGS + PORTS)
    machine.succeed("netns-up")
    machine.start_wireguard()
    assert [] == listed(machine)
    machine.succeed("up")
    reject = 'counter name "outbound-deny" reject with icmpx admin-prohibited'
    assert [
        f'oifname "wg0" ip daddr 10.0.0.0/8 {reject}',
        'tcp dport 6881-6889 counter name "inbound-tcp" accept',
        f'tcp dport {OPEN} counter name "inbound-tcp" accept',
        f'udp dport {OPEN} counter name "inbound-udp" accept',
    ] == listed(machine)
    machine.configure(settings=SETTINGS + "[inbound]\nudp = [7]\n")
    machine.succeed("reload")
    assert ['udp dport 7 counter name "inbound-udp" accept'] == listed(machine)
    machine.succeed("down")
    assert [] == listed(machine)


def test_counters_go_on_over_a_reload_and_begin_anew_with_the_tunnel(tunnel: Machine) -> None:
    """What was counted is not lost by a reload of new settings."""
    with tunnel.socket("vpn", socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _ in range(3):
            with pytest.raises(PermissionError):
                asking.sendto(b"a", ("203.0.113.9", 5353))
    assert 3 == counted(tunnel, "dns-other")
    tunnel.succeed("reload")
    tunnel.succeed("up")
    assert 3 == counted(tunnel, "dns-other")
    tunnel.succeed("down")
    assert 0 == counted(tunnel, "dns-other")


THEIRS = """
table inet theirs {
    counter c { packets 7 bytes 70; }
    chain input { type filter hook input priority 10; counter name c; }
}
table ip nat { chain x { counter packets 5 bytes 50; }; }
"""


def test_tables_of_others_are_left_alone(tunnel: Machine) -> None:
    """Inside and in the host, whatever the runtime does: same handles, and nothing in them."""
    tunnel.write("/run/lab/theirs", THEIRS)
    seen = "nft -a list table inet theirs; nft -a list table ip nat"
    before = {}
    for place in ("", "vpn"):
        tunnel.sh("nft -f /run/lab/theirs", inside=place)
        before[place] = tunnel.sh(seen, inside=place)
    for verb in ("reload", "down"):
        tunnel.succeed(verb)
        assert before == {place: tunnel.sh(seen, inside=place) for place in before}
    assert ["table inet theirs", "table ip nat"] == tunnel.sh("nft list tables").splitlines()


def test_what_others_put_into_our_table_goes_at_a_reload(tunnel: Machine) -> None:
    """A port opened by hand, a chain that drops everything: the table is made anew as a whole."""
    before = tunnel.sh("nft -s list ruleset", inside="vpn")
    tunnel.sh(
        "nft insert rule inet wgconfine input tcp dport 22 accept;"
        "nft add chain inet wgconfine x '{ type filter hook input priority -9; policy drop; }'",
        inside="vpn",
    )
    tunnel.succeed("reload")
    assert before == tunnel.sh("nft -s list ruleset", inside="vpn")


class Flood(threading.Thread):
    """Sends without a pause until it is told to stop, and knows how often."""

    def __init__(self, sender: socket.socket, target: tuple[str, int] | None, data: bytes) -> None:
        super().__init__()
        self.sender, self.target, self.data = sender, target, data
        self.sent = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.0002):
            if self.target is None:
                self.sender.send(self.data)
            else:
                self.sender.sendto(self.data, self.target)
            self.sent += 1


def received(sock: socket.socket) -> int:
    """How many datagrams wait in a socket."""
    sock.settimeout(0.5)
    count = 0
    while True:
        try:
            sock.recv(9)
        except TimeoutError:
            return count
        count += 1


def test_reloads_under_load_let_nothing_in_and_lose_nothing(
    opened: Machine, wire: socket.socket
) -> None:
    """An answer, an open port, a shut one and a forged packet, over 200 reloads."""
    here, family = OWN[socket.AF_INET], socket.AF_INET
    names = {"answers": 4711, "open": OPEN, "shut": SHUT, "forged": 9}
    inside = {name: opened.socket("vpn", family, socket.SOCK_DGRAM) for name in names}
    for name, port in names.items():
        inside[name].bind(("0.0.0.0", port))  # noqa: S104 — of the namespace
        inside[name].setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
    asked = opened.socket("world", family, socket.SOCK_DGRAM)
    asked.bind((RESOLVERS[family], 4712))
    inside["answers"].sendto(b"?", (RESOLVERS[family], 4712))
    assert b"?" == asked.recv(9)
    stranger = opened.socket("world", family, socket.SOCK_DGRAM)
    forged = Ether(src=MAC, dst=MAC) / IP(src="203.0.113.9", dst="127.0.0.1") / UDP(dport=9) / b"a"
    floods = {
        "answers": Flood(asked, (here, 4711), b"a"),
        "open": Flood(stranger, (here, OPEN), b"a"),
        "shut": Flood(stranger, (here, SHUT), b"a"),
        "forged": Flood(wire, None, bytes(forged)),
    }
    for each in floods.values():
        each.start()
    try:
        alternate_rules(opened)
    finally:
        for each in floods.values():
            each.stopped.set()
            each.join()
    got = {name: received(each) for name, each in inside.items()}
    for used in (*inside.values(), asked, stranger):
        used.close()
    sent = {name: each.sent for name, each in floods.items()}
    assert 1000 < min(sent.values())
    assert {**sent, "shut": 0, "forged": 0} == got


def alternate_rules(machine: Machine) -> None:
    """Load two rulesets in turn, a hundred times each; both have the open port."""
    for name, more in (("a", ["1-1000"]), ("b", [])):
        load(machine, policy(inbound_udp=[f"{OPEN}", *more], inbound_tcp=more))
        machine.sh(f"cp /run/lab/rules /run/lab/{name}")
    twice = "nft -f /run/lab/a; nft -f /run/lab/b"
    machine.sh(f"for i in $(seq 100); do {twice}; done", inside="vpn", timeout=600)
