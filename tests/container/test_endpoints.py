"""Endpoints have their turns: of a list, of the addresses of a name; services run on through it."""

import subprocess  # noqa: TID253 — a server of the world
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import World, boot_container
from lab.internet import LISTENING, WEB, WIREGUARD_PORT, WORLD, client_addresses
from tests.container.test_health import (
    KEPT,
    age,
    source_port,
    tick,
    told,
    wait_until_sent,
    why,
)
from tests.matrix import first
from tests.scenario import (
    PROBE,
    UNVERIFIED,
    seen_by_web,
    silence,
    silence_at,
    wgconfine,
    write_service,
    write_tunnel,
)
from tests.watching import carries, inside, tick_by_hand

pytestmark = pytest.mark.container

NOBODY, SECOND = "198.51.100.6", "198.51.100.7"
OTHER_PORT = 51821
ENDPOINTS = [
    *((address, WIREGUARD_PORT) for address in (*WORLD, NOBODY, SECOND)),
    (WORLD[0], OTHER_PORT),
]
CHOSEN = "/run/wgconfine/tunnel/vpn/turns"


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service, and a second address of the server."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        world.internet.run("ip", "address", "add", f"{SECOND}/24", "dev", "uplink")
        write_service(world, "probe.service", PROBE)
        tick_by_hand(world)
        settings(world, "")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


@pytest.fixture(autouse=True)
def _same_service(world: World) -> Iterator[None]:
    """Whatever has its turn, the service is not touched by it."""
    before = world.machine.show("probe.service", "MainPID")
    yield
    assert before == world.machine.show("probe.service", "MainPID")
    assert "probe.service: confined" in wgconfine(world, "status", check=False).stdout


@contextmanager
def another_server(world: World) -> Iterator[str]:
    """A server with a key of its own, to which the same client is known; gives its public key."""
    run = world.internet.run
    with subprocess.Popen(world.internet.command("wireguard-go", "-f", "other")) as server:
        try:
            world.machine.wait_for(lambda: "/other.sock " in run(*LISTENING), "it listens")
            key = run("wg", "genkey").strip()
            run(
                *("wg", "set", "other", "listen-port", str(OTHER_PORT)),
                *("private-key", "/dev/stdin", "peer", client_key(world)),
                *("allowed-ips", ",".join(client_addresses(2))),
                text=key,
            )
            run("ip", "link", "set", "other", "up")
            for address in client_addresses(2):
                run("ip", "route", "replace", address, "dev", "other")
            yield run("wg", "pubkey", text=key).strip()
        finally:
            server.terminate()


def client_key(world: World) -> str:
    lines = world.internet.provider_conf().splitlines()
    private = next(line.split(" = ")[1] for line in lines if line.startswith("PrivateKey"))
    return world.internet.run("wg", "pubkey", text=private).strip()


def settings(world: World, extra: str) -> None:
    write_tunnel(world, ["probe.service"], extra=f"{extra}\n{UNVERIFIED}")
    wgconfine(world, "apply")


def peers(world: World) -> str:
    link = world.machine.run("wg", "show", "interfaces").stdout.strip() or "wg0"
    return inside(world, "wg", "show", link, "endpoints").strip()


def grow_sick(world: World) -> None:
    """Have two looks without an answer, long apart."""
    for _ in range(2):
        tick(world)
        wait_until_sent(world)


def step(world: World, unit: str) -> None:
    """Have the next step come, and wait until it is done."""
    before = sum(f". Starting {unit}" in line for line in told(world))
    age(world)
    wait_until_sent(world)
    tick(world)

    def done() -> bool:
        active = world.machine.show("wgconfine-reload@vpn.service", "ActiveState")
        now = sum(f". Starting {unit}" in line for line in told(world))
        return now > before and active == "inactive"

    world.machine.wait_for(done, f"{unit} is started")


def chosen(world: World) -> str:
    return world.machine.read(CHOSEN).split(" ")[0]


def test_the_next_endpoint_has_its_turn(world: World) -> None:
    """Nobody is at the first; the second is another server, and it is kept through reloads."""
    world.machine.wait_for(lambda: carries(world), "it carries")
    tick(world)  # or it would go on being sick from before
    with another_server(world) as key, world.capture_uplink(endpoints=ENDPOINTS) as uplink:
        other = f"{WORLD[0]}:{OTHER_PORT}"
        with silence(world):
            settings(
                world,
                f'endpoints = ["{NOBODY}:51820", {{ endpoint = "{other}", public-key = "{key}" }}]',
            )
            assert f"{NOBODY}:51820" == chosen(world)
            port = source_port(world)
            grow_sick(world)
            for unit in ("reload", "rebind"):
                step(world, f"wgconfine-{unit}@vpn")
            world.machine.wait_for(lambda: source_port(world) != port, "another source port")
            moved = source_port(world)
            step(world, "wgconfine-next@vpn")
            world.machine.wait_for(lambda: carries(world), "the other server answers")
        assert f"{key}\t{other}" == peers(world)
        assert moved == source_port(world)
        assert f"endpoint {other} has its turn, then {NOBODY}:51820" in status(world)
        world.machine.systemctl("reload", "wgconfine@vpn.service")
        assert f"{key}\t{other}" == peers(world)
        tick(world)
        assert "" == why(world)
        world.machine.wait_for(lambda: said(world, "well again after"), "it is told")
        wgconfine(world, "verify", "vpn")
        settings(world, "")
    assert () == uplink.traffic.foreign()
    assert f"{WORLD[0]}:51820" == peers(world).split("\t")[1]
    assert "has its turn" not in status(world)


def said(world: World, words: str) -> bool:
    return any(words in line for line in told(world))


def status(world: World) -> str:
    return wgconfine(world, "status", check=False).stdout


def name(world: World, *addresses: str) -> None:
    """Have the machine's owner say what moving.example.net is."""
    lines = "".join(f"{address} moving.example.net\n" for address in addresses)
    # In one step: whoever looked a name up in between would be told another address of it.
    world.machine.write("/etc/hosts.new", f"127.0.0.1 localhost\n{lines}")
    world.machine.run("mv", "-T", "/etc/hosts.new", "/etc/hosts")


def wait_for_endpoint(world: World, address: str, seconds: float = 20) -> None:
    def there() -> bool:
        return f"\t{address}:51820" in peers(world)

    world.machine.wait_for(there, f"the endpoint is {address}", seconds)


def move(world: World, address: str, seconds: float = 20) -> None:
    """Have the name be at another address of the same server's from a reload on."""
    name(world, address)
    world.machine.systemctl("reload", "wgconfine@vpn.service")
    wait_for_endpoint(world, address, seconds)


def test_the_addresses_of_a_name_have_their_turns(world: World) -> None:
    """No false one, and none that the machine has no way to; and a move is seen at the reload."""
    name(world, NOBODY, SECOND, "127.0.0.1", "2001:db8:dead::1", "224.0.0.1")
    world.machine.run("ip", "-6", "route", "add", "unreachable", "2001:db8:dead::/48")
    with world.capture_uplink(endpoints=ENDPOINTS) as uplink:
        with silence(world, silence_at(WORLD[0])):
            settings(world, 'endpoints = ["moving.example.net:51820"]')
            wait_for_endpoint(world, NOBODY)
            grow_sick(world)
            age(world)
            kept = world.machine.read(KEPT).splitlines()
            since, acted = kept[0].split()[1:3]
            world.machine.write(KEPT, "\n".join([f"sick {since} {acted} 2", *kept[1:]]) + "\n")
            wait_until_sent(world)
            tick(world)
            wait_for_endpoint(world, SECOND)
            world.machine.wait_for(lambda: carries(world), "the second address answers")
            world.machine.systemctl("reload", "wgconfine@vpn.service")
            world.machine.run("sleep", "2")
            wait_for_endpoint(world, SECOND)
        log = ("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "wgconfine-endpoint@vpn")
        text = world.machine.run(*log).stdout
        assert f"moving.example.net is {NOBODY}, then {SECOND}" in text
        assert "127.0.0.1, 224.0.0.1 can't be an endpoint: it is no server's address." in text
        assert "2001:db8:dead::1" not in world.machine.read("/run/wgconfine/tunnel/vpn/answers")
        move(world, WORLD[0])
        world.machine.wait_for(lambda: carries(world), "the first address answers")
        settings(world, "")
    assert () == uplink.traffic.foreign()


def test_a_name_without_an_answer_keeps_no_other_waiting(world: World) -> None:
    """Its look-up goes on in growing pauses, and a reload ends the one that is under way."""
    conf = world.internet.provider_conf("moving.example.net:51820")
    nobody = world.internet.run("wg", "genkey").strip()
    key = world.internet.run("wg", "pubkey", text=nobody).strip()
    other = f"[Peer]\nPublicKey = {key}\nAllowedIPs = 192.0.2.0/24\nEndpoint = nowhere.invalid:1\n"
    world.machine.write("/etc/wireguard/vpn.conf", f"{conf}\n{other}", mode=0o600)
    move(world, SECOND)
    world.machine.wait_for(lambda: tries(world) > 6, "the pause is 11 s long", timeout=120)
    move(world, WORLD[0], 8)
    world.machine.wait_for(lambda: carries(world), "it carries")
    tick(world)
    assert "" == why(world)
    settings(world, "")
    world.machine.systemctl("reload", "wgconfine@vpn.service")
    assert "nowhere" not in world.machine.read("/run/wgconfine/tunnel/vpn/declared")


def tries(world: World) -> int:
    log = ("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "wgconfine-endpoint@vpn")
    return world.machine.run(*log).stdout.count("nowhere.invalid: ")


def test_the_vpn_of_the_host_carries_it(world: World) -> None:
    """It is said, and the packets of the tunnel are as short as that takes."""
    machine = world.machine
    conf = world.internet.provider_conf(client=3)
    lines = dict(line.split(" = ", 1) for line in conf.splitlines() if " = " in line)
    machine.run("systemd-run", "--unit=hostvpn", "wireguard-go", "-f", "hostvpn")
    machine.wait_for(lambda: "/hostvpn.sock " in machine.run(*LISTENING).stdout, "it listens")
    machine.write("/root/hostvpn", lines["PrivateKey"], mode=0o600)
    machine.run(
        *("wg", "set", "hostvpn", "private-key", "/root/hostvpn", "peer", lines["PublicKey"]),
        *("endpoint", f"{WORLD[0]}:51820", "allowed-ips", WEB[0]),
    )
    machine.run("ip", "address", "add", "10.66.0.3/32", "dev", "hostvpn")
    machine.run("ip", "link", "set", "hostvpn", "mtu", "1400", "up")
    machine.run("ip", "route", "add", WEB[0], "dev", "hostvpn")
    try:
        with world.capture_uplink(endpoints=ENDPOINTS) as uplink:
            settings(world, f'endpoints = ["{WEB[0]}:51820"]')
            machine.wait_for(lambda: carries(world), "through two tunnels")
            said = status(world)
            assert f"to {WEB[0]}:51820 by hostvpn (tun): through the host's own VPN" in said
            assert " mtu 1320 " in inside(world, "ip", "link", "show", "dev", "wg0")
            machine.run("ip", "link", "set", "hostvpn", "mtu", "1390")
            assert "an MTU of 1320 is more than hostvpn (1390) carries" in status(world)
            machine.systemctl("reload", "wgconfine@vpn.service")
            assert "an MTU of" not in status(world)
            settings(world, "")
        assert () == uplink.traffic.foreign()
    finally:
        machine.systemctl("stop", "hostvpn.service")
    assert "the host's own VPN" not in status(world)
