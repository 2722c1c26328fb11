"""What a tunnel is made of comes back in seconds when somebody takes it away, and nothing restarts.

Without the tick, which is stopped: systemd listens to the kernel. Whoever sends goes on sending.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import RELEASES, World, boot_container
from lab.internet import WEB
from tests.scenario import PROBE, confine, seen_by_web, wgconfine, write_service

pytestmark = pytest.mark.container

NETNS, TUNNEL = "wgconfine-netns@vpn.service", "wgconfine@vpn.service"
LOOK, LISTEN = "wgconfine-look@vpn.service", "wgconfine-look@vpn.socket"
LOOK_OUTSIDE, LISTEN_OUTSIDE = "wgconfine-look.service", "wgconfine-look.socket"
NAMED, RECORD = "/run/netns/vpn", "/run/wgconfine/netns/vpn"
INSIDE = f"nsenter --net={RECORD}"
IN_TIME = 5.0
"""Seconds after which a fault of this machine must be mended."""
QUIET = 6
"""Seconds after which a look has ended."""


@pytest.fixture(scope="module", params=sorted(RELEASES))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service that sends without pause, and without the tick."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", PROBE)
        confine(world, "probe.service")
        world.machine.systemctl("stop", "wgconfine-tick.timer")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


@pytest.fixture
def same_service(world: World) -> Iterator[None]:
    """Whatever is mended, the service is not touched by it and nothing leaves but by WireGuard."""
    before = world.machine.show("probe.service", "MainPID")
    with world.capture_uplink() as uplink:
        yield
    assert before == world.machine.show("probe.service", "MainPID")
    assert () == uplink.traffic.foreign()
    assert "probe.service: confined" in wgconfine(world, "status", check=False).stdout


def inside(world: World, *argv: str) -> str:
    return world.machine.run(*INSIDE.split(), *argv).stdout


def carries(world: World) -> bool:
    return holds(world, f"{INSIDE} curl -s -m 1 http://{WEB[0]}/")


def holds(world: World, script: str) -> bool:
    return world.machine.run("sh", "-c", script, check=False).returncode == 0


def wait_in_time(world: World, script: str) -> None:
    """Wait until a command succeeds that fails now. Once it does so, the tunnel carries."""
    began = time.monotonic()
    assert not holds(world, script), "the fault was not seen"
    world.machine.wait_for(lambda: holds(world, script), script, IN_TIME)
    world.machine.wait_for(lambda: carries(world), "it carries", IN_TIME)
    assert time.monotonic() - began < IN_TIME


def mends(world: World) -> int:
    """How often something was mended, as the journal has it."""
    journal = ("journalctl", "-b", "-o", "json", "--no-pager", "WGCONFINE_TUNNEL=vpn")
    lines = world.machine.run(*journal).stdout.splitlines()
    said = [str(json.loads(line)["MESSAGE"]) for line in lines]
    return sum("missing. Starting" in each or "loaded again" in each for each in said)


def wait_until_quiet(world: World) -> None:
    def quiet() -> bool:
        units = (LOOK, LOOK_OUTSIDE, "wgconfine-reload@vpn.service")
        return not any(
            world.machine.show(unit, "ActiveState") in {"active", "activating"} for unit in units
        )

    world.machine.wait_for(quiet, "nobody looks any more")


FAULTS = {
    "the link": ("ip link del wg0", f"{INSIDE} ip route | grep -q default"),
    "an address": (
        "ip address del 10.66.0.2/32 dev wg0",
        f"{INSIDE} ip address | grep -q 10.66.0.2",
    ),
    "an IPv6 address": (
        "ip -6 address flush dev wg0 scope global",
        f"{INSIDE} ip address | grep -q fd66::2",
    ),
    "a route": ("ip route del default dev wg0", f"{INSIDE} ip route | grep -q default"),
    "an IPv6 route": (
        "ip -6 route del default dev wg0",
        f"{INSIDE} ip -6 route | grep -q default",
    ),
    "the link, down": ("ip link set wg0 down", f"{INSIDE} ip -6 route | grep -q default"),
    "the firewall": ("nft flush ruleset", f"{INSIDE} nft list table inet wgconfine"),
    "its rules": (
        "nft flush table inet wgconfine",
        f"{INSIDE} nft list table inet wgconfine | grep -q dport",
    ),
}


@pytest.mark.usefixtures("same_service")
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_taken_away_inside_comes_back(world: World, fault: str) -> None:
    """Whatever it is, one after the other without a pause."""
    command, there = FAULTS[fault]
    inside(world, *command.split())
    wait_in_time(world, there)


OUTSIDE = {
    "all rules": ("nft flush ruleset", "nft list table inet wgconfine-vpn"),
    "a chain": (
        "nft delete chain inet wgconfine-vpn input",
        "nft list chain inet wgconfine-vpn input",
    ),
    "its rule": (
        "nft flush chain inet wgconfine-vpn output",
        "nft list chain inet wgconfine-vpn output | grep -q cgroupv2",
    ),
}


@pytest.mark.usefixtures("same_service")
@pytest.mark.parametrize("fault", OUTSIDE)
def test_the_second_switch_comes_back(world: World, fault: str) -> None:
    """Also after a flush by hand, of which no unit is told."""
    command, there = OUTSIDE[fault]
    world.machine.run(*command.split())
    wait_in_time(world, there)


BOTH_NAMES = f"[ {NAMED} -ef {RECORD} ] && ip netns exec vpn true"


@pytest.mark.usefixtures("same_service")
@pytest.mark.parametrize(
    "command", [f"umount -l {NAMED}", "ip netns del vpn", f"umount -l {RECORD}"]
)
def test_a_name_comes_back(world: World, command: str) -> None:
    """The one that systemd joins by, and our record: the same namespace, and new starts join it."""
    before = world.machine.sh(f"stat -Lc %i {RECORD}")
    world.machine.run(*command.split())
    world.machine.wait_for(lambda: holds(world, BOTH_NAMES), "both names are there", IN_TIME)

    assert before == world.machine.sh(f"stat -Lc %i {NAMED}")


def test_a_foreign_namespace_that_takes_the_name_is_left_alone(world: World) -> None:
    """Nothing is mounted over it, and our record is never made from it."""
    machine = world.machine
    machine.systemctl("mask", "--runtime", "wgconfine-name@vpn.service")
    machine.sh("ip netns del vpn; ip netns add vpn")
    machine.systemctl("unmask", "--runtime", "wgconfine-name@vpn.service")
    foreign = machine.sh(f"stat -Lc %i {NAMED}")
    record = machine.sh(f"stat -Lc %i {RECORD}")
    try:
        machine.systemctl("start", "wgconfine-name@vpn.service")
        assert foreign == machine.sh(f"stat -Lc %i {NAMED}")
        # Then without our record, with nothing left that could be believed.
        copy = machine.sh(f"umount -l {RECORD}; sleep 1; stat -fc %T {RECORD}")
        assert copy != "nsfs"
        refused = machine.systemctl("start", "wgconfine-name@vpn.service", check=False)
        assert refused.returncode != 0
        assert "no name is left" in machine.journal("wgconfine-name@vpn.service")
    finally:
        machine.sh(f"umount -l {NAMED}; rm -f {NAMED}; true")
        machine.systemctl("restart", NETNS)
    machine.wait_for(lambda: machine.is_active("probe.service"), "the service is back")
    assert record != foreign
    machine.wait_for(lambda: carries(world), "it carries")


def test_after_a_mend_there_is_silence(world: World) -> None:
    """What it causes itself is one more look, and no process stays."""
    wait_until_quiet(world)
    before = mends(world)
    inside(world, "ip", "route", "del", "default", "dev", "wg0")
    wait_in_time(world, FAULTS["a route"][1])
    wait_until_quiet(world)
    world.machine.run("sleep", "2")

    assert before + 1 == mends(world)
    assert "inactive" == world.machine.show(LOOK, "ActiveState")
    assert world.machine.is_active(LISTEN)
    assert world.machine.is_active(LISTEN_OUTSIDE)


def test_a_mend_that_does_not_help_is_tried_a_few_times(world: World) -> None:
    """With growing pauses; the service runs on without it."""
    machine = world.machine
    wait_until_quiet(world)
    before = mends(world)
    wrong = "[Service]\nExecStart=\nExecStart=true\n"
    machine.write("/run/systemd/system/wgconfine-reload@vpn.service.d/x.conf", wrong)
    machine.systemctl("daemon-reload")
    try:
        inside(world, "ip", "-6", "route", "del", "default", "dev", "wg0")
        machine.run("sleep", "10")
        tries = mends(world) - before
    finally:
        machine.run("rm", "-r", "/run/systemd/system/wgconfine-reload@vpn.service.d")
        machine.systemctl("daemon-reload")
    assert 2 <= tries <= 4
    machine.systemctl("start", "wgconfine-reload@vpn.service")
    machine.wait_for(lambda: holds(world, FAULTS["an IPv6 route"][1]), "the route is back")


def test_rules_that_change_without_pause_cost_little(world: World) -> None:
    """On the host, as a program does that bans addresses; a fault is seen in time all the same."""
    machine = world.machine
    wait_until_quiet(world)
    machine.sh(
        "systemd-run -q --unit=storm bash -c 'while :; do for i in 1 2 3 4 5 6 7 8; do "
        'echo "add table inet s$i"; echo "delete table inet s$i"; done | nft -f -; '
        "sleep 0.01; done'"
    )
    try:
        machine.wait_for(lambda: machine.is_active(LOOK_OUTSIDE), "it looks")
        machine.run("sleep", "8")
        began = int(machine.show(LOOK_OUTSIDE, "CPUUsageNSec"))
        machine.run("sleep", "8")
        share = (int(machine.show(LOOK_OUTSIDE, "CPUUsageNSec")) - began) / 8e9
        machine.run("nft", "delete", "table", "inet", "wgconfine-vpn")
        wait_in_time(world, OUTSIDE["all rules"][1])
    finally:
        machine.systemctl("stop", "storm.service")
    assert 0 < share < 0.05
    assert machine.is_active(LISTEN_OUTSIDE)


def test_more_words_than_the_socket_takes(world: World) -> None:
    """Thousands of addresses at once: the rest is dropped, and it hears on."""
    machine = world.machine
    wait_until_quiet(world)
    inside(world, "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    machine.wait_for(lambda: machine.is_active(LOOK), "it looks")
    lines = "for i in $(seq 250); do for j in $(seq 40); do echo address add 10.$j.$i.1/32 dev lo; "
    machine.sh(f"{{ {lines} done; done; }} | {INSIDE} ip -batch -; {INSIDE} ip a flush dev lo")
    machine.sh(
        f"{INSIDE} ip address add 127.0.0.1/8 dev lo; {INSIDE} ip address add ::1/128 dev lo"
    )
    wait_until_quiet(world)

    assert machine.is_active(LISTEN)
    inside(world, "ip", "route", "del", "default", "dev", "wg0")
    wait_in_time(world, FAULTS["a route"][1])


def test_what_was_stopped_stays_stopped(world: World) -> None:
    """Nothing brings the link back, and nobody listens for a namespace that is gone."""
    machine = world.machine
    inside(world, "ip", "route", "del", "default", "dev", "wg0")
    machine.systemctl("stop", TUNNEL)
    machine.run("sleep", str(QUIET))
    assert "wg0" not in inside(world, "ip", "link")
    assert "inactive" == machine.show(TUNNEL, "ActiveState")
    machine.systemctl("stop", NETNS)
    machine.wait_for(lambda: not machine.is_active(LISTEN), "nobody listens")
    assert "inactive" == machine.show(LISTEN_OUTSIDE, "ActiveState")
    assert "" == machine.sh("ls /run/netns /run/wgconfine/namespace | grep vpn || true")
    assert [] == [line for line in machine.sh("lsns -nt net -o NS").split() if line][1:]
    machine.systemctl("start", "probe.service")
    machine.wait_for(lambda: carries(world), "it carries")
    assert machine.is_active(LISTEN)


def test_a_restart_and_a_reload_are_not_disturbed(world: World) -> None:
    """Of tunnel and namespace, with a look under way."""
    machine = world.machine
    before = mends(world)
    for order in ("restart", "reload", "restart"):
        for unit in (TUNNEL, NETNS):
            if (order, unit) != ("reload", NETNS):
                inside(world, "ip", "address", "add", "192.0.2.9/32", "dev", "lo")
                machine.systemctl(order, unit)
                inside(world, "ip", "address", "flush", "dev", "lo", "to", "192.0.2.9")
    machine.wait_for(lambda: machine.is_active("probe.service"), "the service is back")
    wait_until_quiet(world)
    assert before == mends(world)
    assert machine.is_active(LISTEN)
    machine.wait_for(lambda: carries(world), "it carries")
