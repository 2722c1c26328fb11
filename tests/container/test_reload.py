"""A changed `.conf` comes into a running tunnel: by `systemctl reload`, or by itself.

No service restarts, the source port stays, and nothing leaves outside. A reload that changes
nothing sends nothing.
"""

import json
import subprocess  # noqa: TID253 — a server of the world
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import World, boot_container
from lab.capture import Packet
from lab.internet import WEB, WIREGUARD_PORT, WORLD
from tests.matrix import first
from tests.scenario import PROBE, refused, wgconfine, write_service, write_tunnel
from tests.watching import tick_by_hand

pytestmark = pytest.mark.container

CONF = "/etc/wireguard/vpn.conf"
LATE = "/run/secrets/late.conf"
BOTH = ((WORLD[0], WIREGUARD_PORT), (WEB[0], WIREGUARD_PORT))
"""Endpoints of the same server. Not of two families: wireguard-go sends the first packets after
such a change to an address of which it has replaced the first four bytes alone."""
FLOOD = """\
import socket, time
with socket.socket(type=socket.SOCK_DGRAM) as out:
    while True:
        out.sendto(bytes(1000), ("10.66.0.2", 9))
        time.sleep(0.001)
"""
IDLE = 12
"""Seconds after the last packet, when WireGuard has no more to acknowledge: KEEPALIVE_TIMEOUT."""


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a service that sends without pause, and tunnels whose files are watched."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        machine = world.machine
        tick_by_hand(world)
        for unit in ("probe.service", "late.service"):
            write_service(world, unit, PROBE)
        write_tunnel(world, ["probe.service"], extra="reload-on-change = true\n")
        write_tunnel(world, name="quiet", client=3)
        write_tunnel(world, ["late.service"], name="late", client=4)
        machine.sh(f"""
            sed -i 's,/etc/wireguard/late.conf,{LATE},; $ a reload-on-change = true' \
                /etc/wgconfine/late.toml
            install -d -m 751 /root/secrets; mv /etc/wireguard/late.conf /root/secrets
        """)
        wgconfine(world, "apply", check=False)  # the file of one is not there yet
        machine.systemctl("start", "probe.service")
        machine.systemctl("start", "--no-block", "late.service")
        yield world


class Seen(NamedTuple):
    """What no reload changes."""

    process: str
    port: str


def seen(world: World, name: str = "vpn", unit: str = "probe.service") -> Seen:
    port = world.machine.sh(f"wg show {link_of(world, name)} listen-port")
    return Seen(process=world.machine.show(unit, "MainPID"), port=port)


def link_of(world: World, name: str) -> str:
    return str(json.loads(world.machine.read(f"/etc/wgconfine/{name}.json"))["link"])


def inside(world: World, *argv: str, name: str = "vpn") -> str:
    return world.machine.run("nsenter", f"--net=/run/netns/{name}", *argv).stdout


def carries(world: World, name: str = "vpn") -> str:
    """Give the address that the web server sees; nothing where it does not answer."""
    command = ("curl", "-s", "-m", "2", f"http://{WEB[0]}/")
    namespace = f"--net=/run/netns/{name}"
    return world.machine.run("nsenter", namespace, *command, check=False).stdout.strip()


def rewrite(world: World, text: str, path: str = CONF) -> None:
    """Write a file in place, as an editor does that keeps its inode."""
    world.machine.run("sh", "-c", f"cat >{path}", input=text)


def keepalive(world: World, seconds: int, text: str = "") -> str:
    """Give a .conf that differs by what can be seen from outside."""
    text = text or world.internet.provider_conf()
    return f"{text}PersistentKeepalive = {seconds}\n"


def has_keepalive(world: World, seconds: int) -> Callable[[], bool]:
    shown = "wg show all persistent-keepalive | cut -f 3"
    return lambda: str(seconds) in world.machine.sh(shown).split()


def place(world: World, generation: int, seconds: int, *, keep: bool) -> None:
    """Have a new generation of secrets as sops-nix does: a link in /run leads to it from now on."""
    text = keepalive(world, seconds, world.internet.provider_conf(client=4))
    folder = f"/run/secrets.d/{generation}"
    world.machine.sh(f"install -d -m 751 {folder}")
    world.machine.write(f"{folder}/late.conf", text, 0o400)
    world.machine.sh(f"ln -sfnT {folder} /run/secrets.new; mv -T /run/secrets.new /run/secrets")
    if not keep:
        world.machine.sh(f"rm -rf /run/secrets.d/{generation - 1}")


def wait_until_tried_again(world: World) -> None:
    """It is deactivating for a moment of each try."""
    world.machine.wait_for(
        lambda: world.machine.show("wgconfine@late.service", "ActiveState") == "activating",
        "it is tried again",
    )


def test_a_conf_that_comes_late(world: World) -> None:
    """The tunnel is tried again and again; then it is up, and who wants to run inside does."""
    machine = world.machine
    wait_until_tried_again(world)
    assert not machine.is_active("late.service")
    place(world, 1, 101, keep=True)
    machine.wait_for(lambda: machine.is_active("late.service"), "it runs")
    assert "late.service: confined" == refused(world, "late.service")
    machine.wait_for(lambda: carries(world, "late") == "10.66.0.4", "it carries")


@pytest.mark.parametrize("generation", [2, 3])
def test_another_generation_of_secrets(world: World, generation: int) -> None:
    """The link in /run leads elsewhere: whether or not the old one is deleted."""
    before = seen(world, "late", "late.service")
    place(world, generation, 110 + generation, keep=generation == 2)
    world.machine.wait_for(has_keepalive(world, 110 + generation), "it is in force")
    assert before == seen(world, "late", "late.service")


def test_a_reload_that_changes_nothing_sends_nothing(world: World) -> None:
    """No packet on the wire, no handshake, no byte counted, and the same socket."""
    machine = world.machine
    machine.wait_for(lambda: carries(world, "quiet") == "10.66.0.3", "it carries")
    time.sleep(IDLE)
    link = link_of(world, "quiet")
    shows = [f"wg show {link} {each}" for each in ("latest-handshakes", "transfer")]
    show = "; ".join([*shows, "ss -Huane | grep -o 'ino:[0-9]*'"])
    port = int(machine.sh(f"wg show {link} listen-port"))
    before = machine.sh(show)
    with world.capture_uplink() as uplink:
        for _ in range(3):
            machine.systemctl("reload", "wgconfine@quiet.service")
    assert [] == [each for each in uplink.traffic.packets if port in ports(each)]
    assert before == machine.sh(show)


def ports(packet: Packet) -> set[int | None]:
    return {packet.source_port, packet.target_port}


def move(world: World, text: str) -> None:
    world.machine.write(f"{CONF}.new", text, 0o600)
    world.machine.run("mv", f"{CONF}.new", CONF)


def link(world: World, text: str) -> None:
    world.machine.write("/etc/wireguard/other.conf", text, 0o600)
    world.machine.run("ln", "-sfnT", "other.conf", CONF)


def link_elsewhere(world: World, text: str) -> None:
    world.machine.write("/etc/wireguard/third.conf", text, 0o600)
    world.machine.run("ln", "-sT", "third.conf", f"{CONF}.new")
    world.machine.run("mv", "-T", f"{CONF}.new", CONF)


def rewrite_target(world: World, text: str) -> None:
    rewrite(world, text, "/etc/wireguard/third.conf")


def remove_and_write(world: World, text: str) -> None:
    world.machine.run("rm", CONF)
    time.sleep(0.5)
    world.machine.write(CONF, text, 0o600)


WAYS: dict[str, Callable[[World, str], None]] = {
    "in place": rewrite,
    "by rename": move,
    "by a link": link,
    "by another link": link_elsewhere,
    "where a link leads": rewrite_target,
    "removed and written": remove_and_write,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_conf_is_read_by_itself(world: World, way: str) -> None:
    """However it is changed, and without any tick."""
    before = seen(world)
    seconds = 100 + list(WAYS).index(way)
    WAYS[way](world, keepalive(world, seconds))
    world.machine.wait_for(has_keepalive(world, seconds), "it is in force")
    assert before == seen(world)


def test_changes_in_quick_succession(world: World) -> None:
    """The last one counts, whatever was being read when it came."""
    before = seen(world)
    text = keepalive(world, 0).removesuffix("0\n")
    world.machine.write("/srv/text", text, 0o600)
    world.machine.sh(f"for i in $(seq 201 240); do (cat /srv/text; echo $i) >{CONF}; done")
    world.machine.wait_for(has_keepalive(world, 240), "the last is in force")
    assert before == seen(world)


def test_half_of_a_file_changes_nothing(world: World) -> None:
    """The reload fails and says so; the tunnel carries on, and what comes next is read."""
    machine = world.machine
    before = seen(world)
    rewrite(world, world.internet.provider_conf().partition("Endpoint")[0] + "Endp")
    machine.wait_for(
        lambda: machine.show("wgconfine-reload@vpn.service", "Result") != "success", "it fails"
    )
    assert "10.66.0.2" == carries(world)
    rewrite(world, keepalive(world, 250))
    machine.wait_for(has_keepalive(world, 250), "it is in force")
    assert before == seen(world)


def test_what_no_watch_sees_the_tick_does(world: World) -> None:
    """A link that the settings do not name leads elsewhere, and nothing else happens."""
    machine = world.machine
    machine.sh("install -d -m 700 /etc/keys/1 /etc/keys/2; ln -sfnT 1 /etc/keys/now")
    machine.write("/etc/keys/1/vpn.conf", keepalive(world, 121), 0o600)
    machine.write("/etc/keys/2/vpn.conf", keepalive(world, 122), 0o600)
    machine.sh(f"ln -sfnT /etc/keys/now/vpn.conf {CONF}")
    machine.wait_for(has_keepalive(world, 121), "it is in force")
    time.sleep(3)
    machine.sh("ln -sfnT 2 /etc/keys/now")
    machine.systemctl("start", "wgconfine-tick.service")
    machine.wait_for(has_keepalive(world, 122), "it is in force")


def test_settings_that_watch_no_more(world: World) -> None:
    """No watch is left; the service is not touched. All that follows is of reloads by hand."""
    before = seen(world)
    world.machine.sh("sed -i s/reload-on-change/#reload-on-change/ /etc/wgconfine/vpn.toml")
    wgconfine(world, "apply")
    loaded = "systemctl list-units --all --plain --no-legend 'wgconfine-watch@vpn.*'"
    assert "" == world.machine.sh(loaded)
    assert before == seen(world)


class Change(NamedTuple):
    """A change of a .conf, and how it shows: a command, and what it says afterwards."""

    old: str
    new: str
    command: str
    says: str


SECOND_PEER = """\
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 192.0.2.0/24
Endpoint = 198.51.100.1:51821
"""
RESOLVERS = "nsenter -t $(systemctl show -P MainPID probe) -m cat /etc/resolv.conf"
CHANGES = {
    "endpoint": Change("198.51.100.1:51820", "203.0.113.80:51820", "wg show all endpoints",
                       "203.0.113.80:51820"),
    "address": Change("Address = ", "Address = 10.66.0.99/32, ", "ip -n vpn address show wg0",
                      "10.66.0.99/32"),
    "mtu": Change("[Peer]", "MTU = 1300\n[Peer]", "ip -n vpn link show wg0", "mtu 1300"),
    "dns": Change("DNS = 10.66.0.1", "DNS = 10.66.0.1, lan.example", RESOLVERS, "lan.example"),
    "peer": Change("[Peer]", f"{SECOND_PEER}[Peer]", "ip -n vpn route", "192.0.2.0/24"),
    "keepalive": Change("[Peer]", "[Peer]\nPersistentKeepalive = 19",
                        "wg show all persistent-keepalive", "\t19"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_reload_brings_a_change_in_and_takes_it_back(world: World, change: Change) -> None:
    """Same process, same source port, and it carries."""
    before = seen(world)
    text = world.internet.provider_conf()
    assert change.old in text
    with world.capture_uplink(endpoints=BOTH) as uplink:
        for each, expected in ((text.replace(change.old, change.new, 1), True), (text, False)):
            rewrite(world, each)
            world.machine.systemctl("reload", "wgconfine@vpn.service")
            assert expected == (change.says in world.machine.sh(change.command))
            world.machine.wait_for(lambda: carries(world) == "10.66.0.2", "it carries")
    assert () == uplink.traffic.foreign()
    assert before == seen(world)


def test_an_endpoint_moves_while_the_server_sends(world: World) -> None:
    """WireGuard follows any packet that it can read, and the last of them come late."""
    before = seen(world)
    server = world.internet.command("python3", "-c", FLOOD)
    with world.capture_uplink(endpoints=BOTH) as uplink, subprocess.Popen(server) as flood:
        try:
            for address in (WEB[0], WORLD[0]):
                rewrite(world, world.internet.provider_conf(f"{address}:{WIREGUARD_PORT}"))
                world.machine.systemctl("reload", "wgconfine@vpn.service")
                world.machine.wait_for(lambda: carries(world) == "10.66.0.2", "it carries")
                assert f"\t{address}:51820\n" in world.machine.sh("wg show all endpoints")
        finally:
            flood.kill()
    assert () == uplink.traffic.foreign()
    assert before == seen(world)


def test_a_reload_brings_another_key_in(world: World) -> None:
    """With the addresses that go with it, by which it is seen, and with another endpoint."""
    before = seen(world)
    with world.capture_uplink(endpoints=BOTH) as uplink:
        for client, server in ((7, WEB[0]), (2, WORLD[0])):
            endpoint = f"{server}:{WIREGUARD_PORT}"
            rewrite(world, world.internet.provider_conf(endpoint, client=client))
            world.machine.systemctl("reload", "wgconfine@vpn.service")
            address = f"10.66.0.{client}"
            world.machine.wait_for(lambda: carries(world) == address, "it carries")  # noqa: B023 — is called at once
    assert () == uplink.traffic.foreign()
    assert before == seen(world)


def test_a_reload_that_comes_after_a_stop_makes_nothing(world: World) -> None:
    """As one whose condition was looked at when that stop had just begun."""
    machine = world.machine
    unit = "/etc/systemd/system/wgconfine-reload@.service"
    machine.systemctl("stop", "wgconfine@quiet.service")
    machine.sh(f"eval \"$(sed -n 's/%i/quiet/; s/^ExecStart=//p' {unit})\"")
    assert "" == machine.sh("ls /run/wgconfine/tunnel/quiet")
    machine.systemctl("start", "wgconfine@quiet.service")


def test_secrets_that_come_after_the_boot(world: World) -> None:
    """Until then the tunnel is tried and its service is closed; nobody has to do anything after."""
    machine = world.machine
    machine.systemctl("enable", "late.service")
    with world.capture_uplink(endpoints=BOTH, beacons="world") as uplink:
        machine.reboot()
        assert not machine.is_active("late.service")
        wait_until_tried_again(world)
        place(world, 1, 131, keep=True)
        machine.wait_for(lambda: machine.is_active("late.service"), "it runs")
        machine.wait_for(lambda: carries(world, "late") == "10.66.0.4", "it carries")
    assert () == uplink.traffic.foreign()
    assert "late.service: confined" == refused(world, "late.service")
