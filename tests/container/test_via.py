"""A tunnel inside a tunnel: what `deep` sends leaves the machine through `vpn`, or not at all."""

import json
import subprocess  # noqa: TID253 — a test may take its time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from lab.internet import INNER, INNER_PORT, WEB
from tests.matrix import EVERYWHERE, first
from tests.scenario import PROBE, refused, silence, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

NAME = "inner.example.net"
"""The endpoint of `deep`, which only the resolver of `vpn` may be asked for."""
INSIDE = {"vpn": "10.66.0.2", "deep": "10.77.0.2"}
FAR = {*WEB, *INNER}
"""Who answers by the tunnels."""
DEEP = 'config = "/etc/wireguard/deep.conf"\nservices = ["deep.service"]\nvia = "vpn"\n'

everywhere = pytest.mark.parametrize("world", EVERYWHERE, indirect=True, scope="module")
on_one = pytest.mark.parametrize("world", first("trixie"), indirect=True, scope="module")
long_everywhere = pytest.mark.parametrize(
    "world",
    [pytest.param(each, marks=pytest.mark.long) for each in EVERYWHERE],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a service in each of two tunnels, both of which send without pause."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", PROBE)
        write_service(world, "deep.service", PROBE)
        write_tunnel(world, ["probe.service"])
        conf = world.internet.inner_conf(f"{NAME}:{INNER_PORT}")
        world.machine.write("/etc/wireguard/deep.conf", conf, mode=0o600)
        world.machine.write("/etc/wgconfine/deep.toml", DEEP)
        with world.capture_uplink() as uplink:
            wgconfine(world, "apply")
            world.machine.systemctl("enable", "--now", "probe.service", "deep.service")
            world.machine.wait_for(lambda: carries(world), "deep carries", 120)
        assert () == uplink.traffic.foreign()  # from the first moment on
        yield world


def inside(world: World, tunnel: str, *argv: str) -> str:
    command = ("nsenter", f"--net=/run/netns/{tunnel}", *argv)
    return world.machine.run(*command, check=False).stdout.strip()


def carries(world: World, tunnel: str = "deep", version: int = 4) -> bool:
    address = WEB[0] if version == 4 else f"[{WEB[1]}]"
    seen = inside(world, tunnel, "curl", "-s", "-m", "2", f"http://{address}/")
    return seen in {INSIDE[tunnel], INSIDE[tunnel].replace("10.66.0.", "fd66::")} or (
        version == 6 and seen == "fd77::2"
    )


def wait_until_it_carries(world: World) -> None:
    world.machine.wait_for(lambda: carries(world), "deep carries again", 120)


def pid(world: World, unit: str) -> str:
    return world.machine.show(unit, "MainPID")


def lookups(world: World) -> set[str]:
    """Give the resolvers that were asked for the endpoint of `deep`, with who asked."""
    return {
        f"{each.resolver} from {each.client}"
        for each in world.internet.dns_queries()
        if each.name == NAME
    }


def namespace_of(world: World, process: str) -> str:
    return world.machine.sh(f"readlink /proc/{process}/ns/net")


def named(world: World, check: str, tunnel: str = "deep") -> dict[str, str]:
    """Give one check of `verify`."""
    done = wgconfine(world, "verify", "--json", tunnel, check=False)
    (found,) = json.loads(done.stdout)["tunnels"]
    (one,) = [each for each in found["checks"] if each["name"] == check]
    return dict(one)


@everywhere
def test_it_leaves_only_through_the_other_tunnel(world: World) -> None:
    """On the uplink there is WireGuard to the first server alone; the name is looked up inside."""
    with world.capture_uplink() as uplink, world.capture_inner() as inner:
        world.machine.run("sleep", "4")
        inner.wait_for_packets(20)

    assert_confined(uplink.traffic, inner.traffic, at_least=20)
    assert {"tunnel from 10.66.0.2"} == lookups(world)
    assert carries(world, version=6)
    assert "deep: up, userspace, via vpn" in wgconfine(world, "status").stdout
    assert "deep.service: confined" == refused(world, "deep.service")


@on_one
def test_its_socket_is_in_the_other_tunnel_and_verify_knows(world: World) -> None:
    """Nothing is false in either tunnel's findings."""
    assert inside(world, "vpn", "readlink", "/proc/self/ns/net") == namespace_of(
        world, pid(world, "wgconfine-wireguard@deep.service")
    )
    done = wgconfine(world, "verify", check=False)
    assert 0 == done.returncode, done.stdout
    assert "wireguard-go is in the namespace of vpn" == named(world, "outer-socket")["evidence"]


@on_one
def test_a_restart_of_the_other_tunnel_leaves_it_as_it_is(world: World) -> None:
    """Same service, same process of WireGuard; it carries again by itself."""
    units = ("deep.service", "wgconfine-wireguard@deep.service")
    before = [pid(world, unit) for unit in units]
    with world.capture_uplink() as uplink:
        world.machine.systemctl("restart", "wgconfine@vpn.service")
        wait_until_it_carries(world)
    assert () == uplink.traffic.foreign()
    assert before == [pid(world, unit) for unit in units]


@on_one
def test_while_the_other_tunnel_is_down_nothing_leaves(world: World) -> None:
    """It stays, carries nothing and says why; and it carries again when that is back."""
    machine = world.machine
    before = pid(world, "deep.service")
    with world.capture_uplink() as uplink:
        machine.systemctl("stop", "wgconfine@vpn.service")
        with world.capture_inner() as inner:
            machine.systemctl("restart", "wgconfine-reload@deep.service")  # and its look-up
            machine.run("sleep", "4")
    assert () == uplink.traffic.foreign()
    # The far side may still send what it has, again and again.
    assert () == tuple(each for each in inner.traffic.packets if each.source not in FAR)
    assert before == pid(world, "deep.service")
    # It would be its owner's stop undone.
    machine.systemctl("start", "deep.service")
    assert "inactive" == machine.show("wgconfine@vpn.service", "ActiveState")
    said = wgconfine(world, "status", check=False).stdout
    assert "the tunnel that it goes through is not up: wgconfine@vpn.service" in said
    assert "does not work" == named(world, "via")["verdict"]
    with world.capture_uplink() as uplink:
        machine.systemctl("start", "wgconfine@vpn.service", "probe.service")
        wait_until_it_carries(world)
    assert () == uplink.traffic.foreign()
    assert before == pid(world, "deep.service")
    assert {"tunnel from 10.66.0.2"} == lookups(world)


@on_one
def test_a_start_that_is_tried_again_starts_the_other_one_no_more(world: World) -> None:
    """What its owner stopped meanwhile stays stopped; a start by hand brings both."""
    machine, tunnel = world.machine, "wgconfine@deep.service"
    machine.sh("mv /etc/wireguard/deep.conf /etc/wireguard/away")
    machine.systemctl("restart", "--no-block", tunnel)
    machine.wait_for(lambda: machine.show(tunnel, "NRestarts") != "0", "it is tried again", 120)
    machine.systemctl("stop", "wgconfine@vpn.service")
    tries = int(machine.show(tunnel, "NRestarts"))
    machine.wait_for(lambda: int(machine.show(tunnel, "NRestarts")) > tries + 1, "and again", 120)
    assert "inactive" == machine.show("wgconfine@vpn.service", "ActiveState")

    machine.sh("mv /etc/wireguard/away /etc/wireguard/deep.conf")
    machine.wait_for(lambda: machine.is_active(tunnel), "it is up")
    assert "inactive" == machine.show("wgconfine@vpn.service", "ActiveState")
    machine.systemctl("stop", tunnel)
    machine.systemctl("start", tunnel)
    wait_until_it_carries(world)
    machine.systemctl("start", "deep.service", "probe.service")


@on_one
def test_it_is_made_anew_with_the_namespace_that_its_socket_is_in(world: World) -> None:
    """A socket in a namespace that is gone is dead: the tunnel restarts, and its services."""
    machine = world.machine
    before = pid(world, "wgconfine-wireguard@deep.service")
    with world.capture_uplink() as uplink:
        machine.systemctl("restart", "wgconfine-netns@vpn.service")
        wait_until_it_carries(world)
    assert () == uplink.traffic.foreign()
    assert before != pid(world, "wgconfine-wireguard@deep.service")
    machine.wait_for(lambda: machine.is_active("deep.service"), "its service is back")
    machine.wait_for(lambda: machine.is_active("probe.service"), "and the other one's")


@long_everywhere
@pytest.mark.parametrize("tunnel", ["deep", "vpn"])
def test_a_crash_of_either_process_is_mended(world: World, tunnel: str) -> None:
    """wireguard-go is killed: the same service carries again."""
    before = pid(world, "deep.service")
    with world.capture_uplink() as uplink:
        world.machine.systemctl("kill", "--signal=KILL", f"wgconfine-wireguard@{tunnel}.service")
        wait_until_it_carries(world)
    assert () == uplink.traffic.foreign()
    assert before == pid(world, "deep.service")


@long_everywhere
def test_neither_tunnel_s_services_reach_the_other_s(world: World) -> None:
    """A port that answers inside `deep` does not from inside `vpn`, nor the other way round."""
    script = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=99, bind='::')"
    for tunnel, other in (("deep", "vpn"), ("vpn", "deep")):
        unit = f"--unit=answers-{tunnel}"
        place = f"--property=NetworkNamespacePath=/run/netns/{tunnel}"
        world.machine.run("systemd-run", unit, place, "python3", "-c", script)
        ask = ("curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}")
        url = f"http://{INSIDE[tunnel]}:99/"
        try:
            world.machine.wait_for(lambda: inside(world, tunnel, *ask, url) == "200", "it answers")  # noqa: B023 — within the loop
            assert "000" == inside(world, other, *ask, url)
        finally:
            world.machine.systemctl("stop", f"answers-{tunnel}.service")


def fragments(world: World) -> list[str]:
    """Give what was sent in pieces so far, in the host and in both tunnels."""
    count = "nstat -asz IpFragCreates Ip6FragCreates | awk '/Frag/ {print $2}'"
    counts = [inside(world, tunnel, "sh", "-c", count) for tunnel in INSIDE]
    return " ".join([world.machine.sh(count), *counts]).split()


@contextmanager
def sink(world: World) -> Iterator[int]:
    """A port of the web server's address that takes all it is sent and gives as much back."""
    script = (
        "import socket\nserver = socket.create_server(('::', 9), family=socket.AF_INET6,"
        " dualstack_ipv6=True)\nwhile True:\n end, _ = server.accept()\n"
        " size = 0\n while data := end.recv(65536):\n  size += len(data)\n"
        " end.sendall(bytes(size))\n end.close()\n"
    )
    process = subprocess.Popen(world.internet.command("python3", "-c", script))
    try:
        world.machine.wait_for(lambda: ":9 " in world.internet.run("ss", "-Hltn"), "it listens")
        yield 9
    finally:
        process.kill()
        process.wait()


BIG = 4_000_000
SEND = f"""\
import socket, sys
with socket.create_connection((sys.argv[1], 9), timeout=20) as end:
    end.sendall(bytes({BIG}))
    end.shutdown(socket.SHUT_WR)
    size = 0
    while data := end.recv(65536):
        size += len(data)
print(size)
"""


@on_one
def test_big_transfers_are_not_sent_in_fragments(world: World) -> None:
    """The MTU is that of the other tunnel's link less 80, whatever that has learnt since."""
    machine = world.machine

    def mtu(tunnel: str) -> int:
        (found,) = json.loads(machine.sh(f"ip -j -n {tunnel} link show wg0"))
        return int(found["mtu"])

    assert (1420, 1340) == (mtu("vpn"), mtu("deep"))
    before = fragments(world)
    with sink(world):
        for address in WEB:
            assert str(BIG) == inside(world, "deep", "python3", "-c", SEND, address)
    assert before == fragments(world)
    assert ["0"] * 6 == before

    machine.sh("sed -i 's/^DNS.*/&\\nMTU = 1400/' /etc/wireguard/vpn.conf")
    machine.systemctl("reload", "wgconfine@vpn.service")
    assert (1400, 1320) == (mtu("vpn"), mtu("deep"))
    machine.sh("sed -i '/^MTU/d' /etc/wireguard/vpn.conf")
    machine.systemctl("reload", "wgconfine@vpn.service")
    assert (1420, 1340) == (mtu("vpn"), mtu("deep"))


@on_one
@pytest.mark.parametrize(
    "where",
    ["/proc/1/ns/net", pytest.param("/run/netns/foreign", marks=pytest.mark.long)],
    ids=["the host", "a foreign one"],
)
def test_outside_of_the_other_tunnel_neither_part_of_it_runs(world: World, where: str) -> None:
    """Where they would be in the host's namespace (as when systemd may not join) or another one."""
    machine = world.machine
    machine.sh(f"ip netns add foreign; mount --bind {where} /run/netns/vpn")
    try:
        with world.capture_uplink() as uplink:
            machine.systemctl("kill", "--signal=KILL", "wgconfine-wireguard@deep.service")
            machine.systemctl("restart", "wgconfine-endpoint@deep.service", check=False)
            machine.run("sleep", "3")
        assert () == uplink.traffic.foreign()
        assert "0" == pid(world, "wgconfine-wireguard@deep.service")
        assert "wgc-" not in machine.sh("ip link")
        for unit in ("wireguard", "endpoint"):
            said = machine.journal(f"wgconfine-{unit}@deep.service")
            assert "this is not the namespace of tunnel vpn" in said
    finally:
        # Lazily: PID 1 may hold it open for the unit that tries again and again.
        machine.sh("umount -l /run/netns/vpn; ip netns del foreign")
    wait_until_it_carries(world)
    assert {"tunnel from 10.66.0.2"} == lookups(world)


@long_everywhere
def test_a_link_that_was_made_in_the_host_is_named_and_mended(world: World) -> None:
    """By hand: `verify` sees where wireguard-go is, and its command mends that."""
    machine = world.machine
    link = machine.sh("systemctl show -P Environment wgconfine-wireguard@deep | sed s/LINK=//")
    process, names = "wgconfine-wireguard@deep.service", "wgconfine-endpoint@deep.service"
    dropin = "/run/systemd/system/wgconfine-wireguard@deep.service.d/zz.conf"
    machine.sh(
        f"install -D /dev/null {dropin};"
        f"printf '[Service]\\nNetworkNamespacePath=\\nExecStartPre=\\n' >{dropin};"
        f"systemctl daemon-reload; systemctl stop {process} {names}; systemctl start {process};"
        f"until wg show {link}; do sleep 0.1; done; ip link set {link} netns deep name wg0;"
        # One is under way already, and waits for a link in the other tunnel.
        "systemctl restart wgconfine-reload@deep"
    )
    machine.wait_for(lambda: carries(world), "it carries, in the open")
    with world.capture_uplink() as control:
        assert carries(world)
    assert () != control.traffic.foreign()

    found = named(world, "outer-socket")
    assert "not confined" == found["verdict"]
    assert "wireguard-go is in the host's namespace, not in that of vpn" == found["evidence"]
    machine.sh(f"rm {dropin}; systemctl daemon-reload; {found['mend']}")
    machine.systemctl("start", "deep.service")
    wait_until_it_carries(world)
    assert "ok" == named(world, "outer-socket")["verdict"]


@long_everywhere
def test_the_tick_blames_the_other_tunnel_and_leaves_this_one_alone(world: World) -> None:
    """Silent because the other one is: it is said by name, and no step is taken."""
    machine = world.machine
    with silence(world):
        for _ in range(2):
            machine.systemctl("start", "wgconfine-tick.service")
            machine.run("sleep", "6")
        for tunnel in INSIDE:
            kept = f"/run/wgconfine/health/{tunnel}"
            lines = [
                f"peer {words[1]} {words[2]} {words[3]} {words[4]} {int(words[5]) - 1000} 1"
                if (words := line.split())[0] == "peer"
                else line
                for line in machine.read(kept).splitlines()
            ]
            machine.write(kept, "\n".join(lines) + "\n")
        machine.systemctl("start", "wgconfine-tick.service")
        sick, why, *_ = machine.read("/run/wgconfine/health/deep").splitlines()
    assert why.startswith("why tunnel vpn, which it goes through: no answer from peer")
    assert "0" == sick.split()[-1]
    wait_until_it_carries(world)


@on_one
def test_what_it_goes_through_can_not_be_removed(world: World) -> None:
    """`remove` and `check` name the line that is in the way; nothing has changed."""
    machine = world.machine
    done = wgconfine(world, "remove", "vpn", "--yes", check=False)
    assert 78 == done.returncode
    line = "/etc/wgconfine/deep.toml: via: 'vpn' is disabled, in /etc/wgconfine/vpn.toml."
    assert line in done.stderr
    assert "no problem found" in wgconfine(world, "check").stdout
    assert machine.is_active("wgconfine@vpn.service")


@on_one
def test_without_via_it_is_in_the_open_and_with_it_inside_again(world: World) -> None:
    """The control: the same tunnel by itself is seen on the uplink, and its name by the ISP."""
    machine = world.machine
    machine.sh("sed -i /^via/d /etc/wgconfine/deep.toml")
    with world.capture_uplink() as control:
        wgconfine(world, "apply")
        wait_until_it_carries(world)
    assert INNER_PORT in {each.target_port for each in control.traffic.foreign()}
    assert "isp from 198.51.100.2" in lookups(world) or "isp from 2001:db8:51::2" in lookups(world)

    machine.write("/etc/wgconfine/deep.toml", DEEP)
    wgconfine(world, "apply")
    before = len(world.internet.dns_queries())
    with world.capture_uplink() as uplink:
        machine.systemctl("restart", "wgconfine@deep.service", "deep.service")
        wait_until_it_carries(world)
    assert () == uplink.traffic.foreign()
    asked = [each for each in world.internet.dns_queries()[before:] if each.name == NAME]
    assert "isp" not in {each.resolver for each in asked}


@long_everywhere
def test_a_third_tunnel_goes_through_both(world: World) -> None:
    """Its packets have two more around them; with IPv6 its MTU is what that takes at least."""
    machine = world.machine
    conf = world.internet.provider_conf(client=3)  # the first server, by way of the second
    machine.write("/etc/wireguard/third.conf", conf, mode=0o600)
    third = 'config = "/etc/wireguard/third.conf"\nvia = "deep"\n'
    machine.write("/etc/wgconfine/third.toml", third)
    try:
        with world.capture_uplink() as uplink:
            wgconfine(world, "apply")
            get = ("curl", "-s", "-m", "5", f"http://{WEB[0]}/")
            machine.wait_for(lambda: inside(world, "third", *get) == "10.66.0.3", "it carries")
        assert () == uplink.traffic.foreign()
        assert "mtu 1280" in machine.sh("ip -n third link show wg0")
        assert 0 == wgconfine(world, "verify", check=False).returncode
    finally:
        wgconfine(world, "remove", "third", "--purge", "--yes")


@long_everywhere
def test_both_come_back_with_the_machine(world: World) -> None:
    """After a reboot everything is up and inside, and no unit of ours makes a cycle."""
    machine = world.machine
    with world.capture_uplink(beacons="world") as uplink:
        machine.reboot()
        machine.wait_for(lambda: carries(world), "it is back", 60)
        machine.wait_for(lambda: machine.is_active("deep.service"), "its service is back", 60)
    assert INNER_PORT not in {each.target_port for each in uplink.traffic.foreign()}
    assert "" == machine.sh("journalctl -b --no-pager | grep -i 'ordering cycle' || true")
    assert 0 == wgconfine(world, "verify", check=False).returncode
