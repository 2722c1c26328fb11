"""What answers on the tunnel's address, and what answers to who is inside: whole port scans."""

import json
import shlex
import subprocess  # noqa: TID253 — a test may take its time
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from lab.container import Container
from tests import programs
from tests.matrix import ends, first
from tests.scan import ALL, SERVER, answering, spread
from tests.scenario import (
    HOST,
    PROBE,
    TUNNEL,
    WEB,
    printed,
    wgconfine,
    write_service,
    write_tunnel,
)
from tests.watching import look_away

pytestmark = pytest.mark.container

NFT = "nsenter --net=/run/netns/vpn nft"
PEER = 51413  # transmission's own
OPEN = {4444, 4445, PEER}
SHUT = {2222, 8080}
INBOUND = f"""
[inbound]
tcp = [{PEER}, "4444-4445"]
udp = [{PEER}, "4444-4445"]
[outbound]
deny = ["198.18.0.0/15"]
"""
FEW = "1-600,2222,4444-4450,8080,51000-51500"
HOST_PORTS = {7001, 7002}

CONNECT = """
import errno, socket, sys
seconds, ports, *addresses = sys.argv[1:]
for address in addresses:
    for port in ports.split(","):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, kind) as caller:
                caller.settimeout(float(seconds))
                try:
                    caller.connect((address, int(port)))
                    if kind == socket.SOCK_DGRAM:
                        caller.send(b"?")
                        caller.recv(9)
                except OSError as error:
                    print(address, port, kind.name, error)
                else:
                    print(address, port, kind.name, "ANSWERED")
"""

LAN = """
ip netns add lan
ip link add lan0 type veth peer name eth0 netns lan
ip address add 192.168.77.1/24 dev lan0
ip address add fd77::1/64 dev lan0 nodad
ip link set lan0 up
ip -n lan address add 192.168.77.2/24 dev eth0
ip -n lan address add fd77::2/64 dev eth0 nodad
ip -n lan link set eth0 up
"""
NEIGHBOURS = ("192.168.77.2", "fd77::2")
OURS = (*HOST.values(), "192.168.77.1", "fd77::1")
ATTEMPTS = f"""\
[Service]
Type=oneshot
User=nobody
ExecStart=/usr/bin/python3 -I /srv/connect.py SECONDS {",".join(map(str, HOST_PORTS))} \\
    {" ".join((*OURS, *NEIGHBOURS))}
"""
WAITING = {"inside.service": "0.3", "open.service": "30"}
"""Seconds for each attempt; those in the open are all answered, and wait for that."""
SERVICES = ("wide.service", "probe.service", programs.TRANSMISSION)


def server(*ports: int) -> str:
    words = " ".join(map(str, sorted(ports)))
    return f"[Service]\nExecStart=/usr/bin/python3 -I /srv/server.py {words}\n"


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A tunnel with open ports, services on more of them, a host and a neighbour that listen."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        look_away(world)
        world.machine.write("/srv/server.py", SERVER)
        world.machine.write("/srv/connect.py", CONNECT)
        world.machine.sh(LAN)
        write_service(world, "wide.service", server(*(OPEN - {PEER}), *SHUT) + "DynamicUser=yes\n")
        write_service(world, "host.service", server(*HOST_PORTS))
        neighbour = server(*HOST_PORTS) + "NetworkNamespacePath=/run/netns/lan\n"
        write_service(world, "neighbour.service", neighbour)
        write_service(world, "probe.service", PROBE)
        for unit, seconds in WAITING.items():
            write_service(world, unit, ATTEMPTS.replace("SECONDS", seconds))
        write_tunnel(world, (*SERVICES, "inside.service"), extra=INBOUND)
        wgconfine(world, "apply")
        world.machine.systemctl("start", *SERVICES, "host.service", "neighbour.service")
        yield world


def settle(world: World, extra: str) -> None:
    """Change the settings and apply them: nothing of what runs inside is restarted."""
    before = pids(world)
    write_tunnel(world, (*SERVICES, "inside.service"), extra=extra)
    wgconfine(world, "apply")
    assert before == pids(world)


def pids(world: World) -> list[str]:
    return [world.machine.show(unit, "MainPID") for unit in SERVICES]


def counted(world: World, name: str) -> int:
    text = world.machine.sh(f"{NFT} -j list counters table inet wgconfine")
    counters = [each.get("counter", {}) for each in json.loads(text)["nftables"]]
    return int(next(each["packets"] for each in counters if each.get("name") == name))


def wait_for_answers(world: World, kind: str, target: str, ports: set[int]) -> None:
    """Scan these ports until each has answered: of a machine that is busy a scan misses some."""
    left = set(ports)

    def answered() -> bool:
        if left:
            found = answering(world.internet.run, kind, target, ",".join(map(str, left)))
            left.difference_update(found.get("open", set()))
        return not left

    world.machine.wait_for(answered, f"{sorted(left)} answer")


# Through wireguard-go a scan of all ports takes a minute; tests/netns has it without.
@pytest.mark.parametrize(
    "ports", [FEW, pytest.param(ALL, marks=pytest.mark.long)], ids=["few", "all"]
)
@pytest.mark.parametrize("target", TUNNEL.values(), ids=TUNNEL)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_only_inbound_answers(world: World, kind: str, target: str, ports: str) -> None:
    """Scanned from the server's side; the firewall itself has seen the probe of every other."""
    before = counted(world, "dropped")
    with world.capture_uplink() as uplink:
        found = answering(world.internet.run, kind, target, ports)
    # To a datagram that is none of its protocols transmission may say nothing, and on IPv6 nobody.
    certain = OPEN if kind == "tcp" else OPEN - {PEER}
    wait_for_answers(world, kind, target, certain - found.get("open", set()))
    assert set().union(*found.values()) <= OPEN
    assert len({*spread(ports)} - OPEN) <= counted(world, "dropped") - before
    assert () == uplink.traffic.foreign()


@pytest.mark.parametrize("target", TUNNEL.values(), ids=TUNNEL)
def test_without_the_firewall_more_answers(world: World, target: str) -> None:
    """The control: every service that listens, and every port where none does, as closed."""
    world.machine.sh(f"{NFT} flush ruleset")
    try:
        found = answering(world.internet.run, "tcp", target, FEW)
        wait_for_answers(world, "tcp", target, (OPEN | SHUT) - found.get("open", set()))
        wait_for_answers(world, "udp", target, {4444, *SHUT})
    finally:
        world.machine.systemctl("reload", "wgconfine@vpn.service")
    assert 1000 < len(found["closed"])


def test_before_it_is_up_and_after_it_is_down_no_port_is_open(world: World) -> None:
    """The rules of the ports come and go with the tunnel."""
    machine = world.machine

    def opened() -> list[str]:
        rules = machine.sh(f"{NFT} list chain inet wgconfine input")
        return [line.strip() for line in rules.splitlines() if "dport" in line]

    assert 4 == len(opened())
    machine.systemctl("stop", "wgconfine@vpn.service")
    assert [] == opened()
    machine.systemctl("restart", "wgconfine-netns@vpn.service")
    machine.systemctl("stop", "wgconfine@vpn.service")
    assert [] == opened()
    machine.systemctl("start", "wgconfine@vpn.service")
    assert 4 == len(opened())
    machine.systemctl("start", *SERVICES)


def from_inside(world: World, *argv: str) -> str:
    """Run a program of this machine in the tunnel's namespace, with root's rights."""
    assert isinstance(world.machine, Container)
    place = f"--net=/proc/{world.machine.pid}/root/run/netns/vpn"
    command = ["nsenter", place, *argv]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_nothing_of_the_host_or_its_network_answers(world: World, kind: str) -> None:
    """Scanned from inside by root: every packet goes into the tunnel."""
    with world.capture_uplink() as uplink:
        for target in (*OURS, *NEIGHBOURS):
            assert {} == answering(
                lambda *argv: from_inside(world, *argv), kind, target, "1-100,7000-7099"
            )
    assert () == uplink.traffic.foreign()


def test_a_confined_service_reaches_neither_the_host_nor_its_network(world: World) -> None:
    """The same attempts by a service in the open are all answered."""
    said = {}
    for unit in WAITING:
        world.machine.systemctl("start", unit)
        said[unit] = printed(world, unit).splitlines()
    count = len(HOST_PORTS) * 2 * len((*OURS, *NEIGHBOURS))
    assert dict.fromkeys(said, count) == {unit: len(lines) for unit, lines in said.items()}
    answered = {unit: sum("ANSWERED" in each for each in lines) for unit, lines in said.items()}
    assert {"inside.service": 0, "open.service": count} == answered


HANDSHAKE = """
import socket, sys
protocol = b"\\x13BitTorrent protocol" + bytes(8)
info = bytes.fromhex(sys.argv[2])
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as peer:
    peer.settimeout(float(sys.argv[3]))
    try:
        peer.connect((sys.argv[1], 51413))
        peer.sendall(protocol + info + b"-XX0001-" + bytes(range(12)))
        answer = peer.recv(68, socket.MSG_WAITALL)
    except TimeoutError:
        print("silence")
    else:
        print(answer[1:20].decode(), answer[28:48] == info)
"""
UTP = """
import socket, struct, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as peer:
    syn = struct.pack("!BBHIIIHH", 4 << 4 | 1, 0, 4711, 1, 0, 1 << 20, 1, 0)
    said = "silence"
    for _ in range(int(sys.argv[3])):  # sent again, as what gets no answer is
        peer.settimeout(1)
        peer.sendto(syn, (sys.argv[1], 51413))
        try:
            said = f"type {peer.recv(99)[0] >> 4}"
            break
        except TimeoutError:
            pass
    print(said)
"""
"""BEP 29: whoever takes an ST_SYN (4) answers with an ST_STATE (2)."""


def peer(world: World, program: str, target: str, *, seconds: int = 30) -> str:
    words = (sys.executable, "-I", "-c", program, target, programs.HASH, str(seconds))
    return world.internet.run(*words).strip()


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_a_peer_of_the_far_side_reaches_transmission(world: World) -> None:
    """On the port that is inbound, by TCP and UDP; and not when that is taken back."""
    machine = world.machine
    machine.wait_for(
        lambda: programs.takes_order(world, programs.TRANSMISSION),
        "transmission takes a torrent",
        programs.PATIENCE,
    )
    everywhere = TUNNEL.values()
    with world.capture_uplink() as uplink:
        reached = [peer(world, HANDSHAKE, target) for target in everywhere]
        settle(world, '[inbound]\ntcp = ["4444-4445"]\n')
        shut = [peer(world, each, TUNNEL["v4"], seconds=3) for each in (HANDSHAKE, UTP)]
        settle(world, INBOUND)
        reached += [peer(world, HANDSHAKE, target) for target in everywhere]
        # Last, as transmission then waits for more, and takes no second peer of that address.
        by_utp = peer(world, UTP, TUNNEL["v4"])
    assert ["BitTorrent protocol True"] * 4 == reached
    assert ["silence", "silence"] == shut
    assert "type 2" == by_utp
    assert () == uplink.traffic.foreign()


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_a_denied_network_is_refused_and_its_resolver_asked(world: World) -> None:
    """The web of IPv4 is in one, and the resolver in another: look-ups go on, and IPv6 does."""
    inside = "nsenter --net=/run/netns/vpn"
    ask = f"{inside} curl -s -o /dev/null -m 30 -w '%{{http_code}}' {WEB}"
    assert "200" == world.machine.sh(f"{ask} -4")
    settle(world, '[outbound]\ndeny = ["203.0.113.0/24", "10.0.0.0/8"]\n')
    refused = world.machine.run(*shlex.split(ask), "-4", check=False)
    assert 7 == refused.returncode, "curl could not connect, and did not wait"
    assert "200" == world.machine.sh(f"{ask} -6")
    assert 0 < counted(world, "outbound-deny")
    settle(world, INBOUND)
    assert "200" == world.machine.sh(f"{ask} -4")


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_verify_finds_it_as_declared_and_names_what_is_not(world: World) -> None:
    """A port opened by hand and a denial taken away; the printed command mends both."""
    world.machine.sh(f"{NFT} insert rule inet wgconfine input tcp dport 2222 accept")
    listed = world.machine.sh(f"{NFT} -a list chain inet wgconfine output")
    handle = next(line.split()[-1] for line in listed.splitlines() if "198.18.0.0/15" in line)
    world.machine.sh(f"{NFT} delete rule inet wgconfine output handle {handle}")
    evidence, mend = wrong(world)["firewall"]
    assert (
        "table inet wgconfine: 'tcp dport 2222 accept' in input is not ours; "
        "'oifname wg0 ip daddr 198.18.0.0/15 reject' in output is missing"
    ) == evidence
    world.machine.run(*mend.split())
    assert "firewall" not in wrong(world)


def wrong(world: World) -> dict[str, tuple[str, str]]:
    """What `verify` says of each check of the structure that is not as it should be."""
    done = wgconfine(world, "verify", "vpn", "--json", check=False)
    checks = json.loads(done.stdout)["tunnels"][0]["checks"]
    return {
        each["name"]: (each["evidence"], each["mend"])
        for each in checks
        if each["area"] == "structure" and each["verdict"] != "ok"
    }


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
def test_reloads_restart_nothing_and_let_nothing_in(world: World, count: int) -> None:
    """A scan of shut ports and a running service, while the tunnel is reloaded again and again."""
    before = pids(world)
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        # So often, and until it was scanned often enough meanwhile.
        reload = (
            f"for ((i = 0; i < {count} || $(wc -l </srv/rounds) < 4; i++));"
            " do systemctl reload wgconfine@vpn || true; done; echo done"
        )
        world.machine.sh("echo -n | tee /srv/rounds >/srv/reloaded")
        world.machine.sh(f"(({reload}) >/srv/reloaded 2>&1 &)")
        while "done" not in world.machine.read("/srv/reloaded"):
            found = answering(world.internet.run, "tcp", TUNNEL["v4"], "2222,4444,8080,8081")
            assert {"open": {4444}} == found
            world.machine.sh("echo >>/srv/rounds")
    assert "done" == world.machine.read("/srv/reloaded").strip()
    assert before == pids(world)
    assert () == uplink.traffic.foreign()
    assert 50 < len(tunnel.traffic.packets)
