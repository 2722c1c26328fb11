"""What mends a tunnel costs little, comes to an end, and disturbs nobody who acts on purpose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import PROBE, confine, seen_by_web, write_service
from tests.watching import (
    FAULTS,
    INSIDE,
    LISTEN,
    LISTEN_OUTSIDE,
    LOOK,
    LOOK_OUTSIDE,
    NAMED,
    NETNS,
    OUTSIDE,
    QUIET,
    RECORD,
    TUNNEL,
    carries,
    holds,
    inside,
    mends,
    strike,
    tick_by_hand,
    wait_until_quiet,
)  # fmt: skip

pytestmark = pytest.mark.container


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service that sends without pause, and without the tick."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        write_service(world, "probe.service", PROBE)
        confine(world, "probe.service")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


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
    strike(world, *FAULTS["a route"])
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
        machine.sh(FAULTS["an IPv6 route"][0])
        machine.run("sleep", "10")
        tries = mends(world) - before
        machine.wait_for(lambda: mends(world) - before >= 2, "it is tried again")
    finally:
        machine.run("rm", "-r", "/run/systemd/system/wgconfine-reload@vpn.service.d")
        machine.systemctl("daemon-reload")
    assert tries <= 5
    machine.systemctl("start", "wgconfine-reload@vpn.service")
    machine.wait_for(lambda: holds(world, FAULTS["an IPv6 route"][1]), "the route is back")


@pytest.mark.long
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
        strike(world, "nft delete table inet wgconfine-vpn", OUTSIDE["all rules"][1])
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
    lines = "for i in $(seq 100); do for j in $(seq 40); do echo address add 10.$j.$i.1/32 dev lo; "
    machine.sh(f"{{ {lines} done; done; }} | {INSIDE} ip -batch -; {INSIDE} ip a flush dev lo")
    machine.sh(
        f"{INSIDE} ip address add 127.0.0.1/8 dev lo; {INSIDE} ip address add ::1/128 dev lo"
    )
    wait_until_quiet(world)

    assert machine.is_active(LISTEN)
    strike(world, *FAULTS["a route"])


def test_what_was_stopped_stays_stopped(world: World) -> None:
    """Nothing brings the link back, and nobody listens for a namespace that is gone."""
    machine = world.machine
    machine.sh(f"{FAULTS['a route'][0]}; systemctl stop {TUNNEL}")
    machine.run("sleep", str(QUIET))
    assert "wg0" not in inside(world, "ip", "link")
    assert "inactive" == machine.show(TUNNEL, "ActiveState")
    machine.systemctl("stop", NETNS)
    machine.wait_for(lambda: not machine.is_active(LISTEN), "nobody listens")
    assert "inactive" == machine.show(LISTEN_OUTSIDE, "ActiveState")
    assert "" == machine.sh("ls /run/netns /run/wgconfine/namespace | grep vpn || true")
    # Nobody is in one any more, once who was there is dead.
    machine.wait_for(lambda: len(machine.sh("lsns -nt net -o NS").split()) == 1, "one is left")
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
