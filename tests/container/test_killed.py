"""SIGKILL at every step of `apply`, `remove` and `release`; then the same again: the same state.

The steps are real ones, of wgconfine and of every program that it runs: before and after each
execve, rename, mkdir, unlink and sendmsg. The end of a clean run is compared in files, units,
namespaces, firewall, addresses, routes, resolver files and leftovers.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.container.swing import KILL_AT, LOG, WHERE, Swing, Way, look, rest, settled
from tests.faults import EXTENT
from tests.scenario import PROBE, wgconfine, write_service, write_tunnel
from tests.watching import tick_by_hand

pytestmark = pytest.mark.container

Property = Callable[[str, object], None]

APPLY = ("apply",)
WRITTEN, REMOVING = "after renameat of wgconfine", "before unlinkat of wgconfine"
ONLY = pytest.mark.parametrize("most", [pytest.param(None, marks=pytest.mark.long)], ids=["every"])


@pytest.fixture
def world(wheelhouse: Path) -> Iterator[World]:
    """A machine with a service that runs in the open, and one that is confined all the time."""
    with boot_container("trixie", wheelhouse=wheelhouse) as world:
        tick_by_hand(world)  # which fails where it meets what was cut off, and keeps files
        for unit in ("probe.service", "steady.service"):
            write_service(world, unit, f"[Unit]\nStartLimitIntervalSec=0\n{PROBE}")
        write_tunnel(world, ["steady.service"])
        wgconfine(world, "apply")
        world.machine.systemctl("start", "steady.service")
        world.machine.systemctl("start", "probe.service")
        yield world


def vpn(*services: str, extra: str = "") -> Callable[[World], None]:
    """The settings of the tunnel vpn; the steady service is always in it."""
    return lambda world: write_tunnel(world, ["steady.service", *services], extra=extra)


def nothing(_: World) -> None:
    """The command itself is all."""


def swing(world: World, there: Way, back: Way, most: int | None) -> Swing:
    made = Swing(world, there, back)
    made.learn(most)
    return made


@EXTENT
def test_confined_for_the_first_time_and_released(
    world: World, most: int | None, record_property: Property
) -> None:
    """It runs, so it runs again: inside, and then in the open."""
    there = Way(prepare=vpn("probe.service"), command=APPLY)
    back = Way(prepare=nothing, command=("release", "--yes", "probe.service"), opens=True)
    table = swing(world, there, back, most)
    assert "probe is in vpn" in table.clean[0]
    assert "probe is in the open" in table.clean[1]
    table.kill()
    record_property("table", table.describe())


@ONLY
def test_a_tunnel_is_made_and_removed_with_release(
    world: World, most: int | None, record_property: Property
) -> None:
    """With its namespace and all of its files."""

    def made(world: World) -> None:
        write_tunnel(world, ["probe.service"], name="two", client=3)

    there = Way(prepare=made, command=APPLY)
    back = Way(prepare=nothing, command=("remove", "two", "--release", "--yes"), opens=True)
    table = swing(world, there, back, most)
    assert "probe is in two" in table.clean[0]
    assert "probe is in the open" in table.clean[1]
    table.kill()
    record_property("table", table.describe())


def confined(world: World) -> None:
    """The probe runs inside."""
    vpn("probe.service")(world)
    wgconfine(world, "apply")
    world.machine.systemctl("start", "probe.service")


def kill_without_a_leak(
    world: World, there: Way, back: Way, most: int | None, record_property: Property
) -> Swing:
    """Nothing of these may run in the open at any time: no packet but the tunnel's leaves."""
    with world.capture_uplink() as uplink:
        table = swing(world, there, back, most)
        table.kill()
    assert () == uplink.traffic.foreign()
    record_property("table", table.describe())
    return table


@ONLY
def test_changed_settings(world: World, most: int | None, record_property: Property) -> None:
    """Of the tunnel, which is reloaded, and of the unit, whose drop-in is another then."""

    def changed(world: World) -> None:
        own = "[Service]\nExecReload=/bin/true\n"
        write_service(world, "probe.service.d/own.conf", own)
        vpn("probe.service", extra='mtu = 1300\ndns = ["10.66.0.1"]\n')(world)

    def as_before(world: World) -> None:
        write_service(world, "probe.service.d/own.conf", "[Service]\n")
        vpn("probe.service")(world)

    confined(world)
    there, back = (Way(prepare=each, command=APPLY) for each in (changed, as_before))
    table = kill_without_a_leak(world, there, back, most, record_property)
    assert "mtu 1300" in table.clean[0]
    assert "probe is in vpn" in table.clean[1]


@ONLY
def test_a_service_moves_to_another_tunnel(
    world: World, most: int | None, record_property: Property
) -> None:
    """It is in the open at no moment."""

    def two(*services: str) -> Callable[[World], None]:
        return lambda world: write_tunnel(world, services, name="two", client=3)

    def moved(world: World) -> None:
        vpn()(world)
        two("probe.service")(world)

    def back_home(world: World) -> None:
        two()(world)
        vpn("probe.service")(world)

    confined(world)
    there, back = (Way(prepare=each, command=APPLY) for each in (moved, back_home))
    table = kill_without_a_leak(world, there, back, most, record_property)
    assert "probe is in two" in table.clean[0]
    assert "probe is in vpn" in table.clean[1]


@ONLY
def test_one_command_moves_a_service_to_another_tunnel(
    world: World, most: int | None, record_property: Property
) -> None:
    """Between the two settings files, too, it is in the open at no moment."""
    write_tunnel(world, [], name="two", client=3)
    confined(world)
    there, back = (
        Way(prepare=nothing, command=("confine", name, "probe", "--yes")) for name in ("two", "vpn")
    )
    table = kill_without_a_leak(world, there, back, most, record_property)
    assert "probe is in two" in table.clean[0]
    assert "probe is in vpn" in table.clean[1]


@ONLY
def test_a_tunnel_is_made_by_one_command(
    world: World, most: int | None, record_property: Property
) -> None:
    """The same words again finish it, wherever it was cut off."""
    world.machine.write("/root/two.conf", world.internet.provider_conf(client=3))
    init = ("init", "/root/two.conf", "--name", "two", "--service", "probe", "--yes")
    undo = ("remove", "two", "--release", "--purge", "--yes")
    there = Way(prepare=nothing, command=init)
    table = swing(world, there, Way(prepare=nothing, command=undo, opens=True), most)
    assert "probe is in two" in table.clean[0]
    assert "probe is in the open" in table.clean[1]
    for number in table.tables[0].numbers():
        table.kill_once(there, number, table.clean[0], f"{number}")
        wgconfine(world, *undo)
    record_property("table", table.describe())


def test_a_move_that_is_cut_off_between_the_settings_opens_nothing(world: World) -> None:
    """In neither's settings it runs on where it was; `apply` closes it, the word moves it."""
    machine = world.machine
    write_tunnel(world, [], name="two", client=3)
    confined(world)
    move = ("/usr/local/bin/wgconfine", "confine", "two", "probe")
    for name in ("two", "vpn"):  # what Python keeps of modules is no step any more then
        wgconfine(world, "confine", name, "probe")
    with world.capture_uplink() as uplink:
        # Written are what it is about, the settings that it leaves, and those that it comes to.
        killed = machine.run(*KILL_AT, f"{WRITTEN}#2", LOG, *move, check=False, timeout=600)
        assert 137 == killed.returncode
        assert "probe" not in machine.sh("cat /etc/wgconfine/vpn.toml /etc/wgconfine/two.toml")
        assert "inside" == machine.sh(WHERE)
        wgconfine(world, "apply")
        assert 0 != machine.systemctl("start", "probe.service", check=False).returncode
        wgconfine(world, "confine", "two", "probe")
        machine.systemctl("start", "probe.service")
        machine.wait_for(lambda: "probe is in two" in look(world), "it is in the other one")
    assert () == uplink.traffic.foreign()


@ONLY
@pytest.mark.parametrize("command", [("remove", "two"), APPLY], ids=["remove", "apply"])
def test_a_tunnel_is_removed_and_its_service_stays_closed(
    world: World, command: tuple[str, ...], most: int | None, record_property: Property
) -> None:
    """By its own command, or because the settings are gone."""
    machine = world.machine

    def running(_: World) -> None:
        machine.systemctl("start", "probe.service")
        if command == APPLY:
            machine.run("rm", "/etc/wgconfine/two.toml")

    def made(world: World) -> None:
        write_tunnel(world, ["probe.service"], name="two", client=3)

    machine.systemctl("stop", "probe.service")
    made(world)
    wgconfine(world, "apply")
    there, back = Way(prepare=running, command=command), Way(prepare=made, command=APPLY)
    table = kill_without_a_leak(world, there, back, most, record_property)
    assert "wgconfine-netns@two.service\nActiveState=active" not in table.clean[0]


def started(world: World) -> int:
    """Give when the probe was started last, in microseconds."""
    return int(world.machine.show("probe.service", "InactiveExitTimestampMonotonic"))


def test_a_tunnel_whose_start_is_killed_comes_back_by_itself(world: World) -> None:
    """PID 1 starts it again, and the services that somebody wants."""
    machine = world.machine
    confined(world)
    write_service(world, "wgconfine@vpn.service.d/soon.conf", "[Service]\nRestartSec=200ms\n")
    clean = rest(world)
    assert "probe is in vpn" in clean
    for moment in (0, 0.02, 0.05, 0.08, 0.12, 0.2):
        before = started(world)
        machine.sh(f"""
            systemctl restart --no-block wgconfine@vpn.service
            sleep {moment}
            systemctl kill --signal=KILL wgconfine@vpn.service || true
        """)
        # The restart is not waited for: until it begins all is as it was.
        machine.wait_for(
            lambda: before < started(world) and machine.is_active("probe.service"),  # noqa: B023 — is called at once
            f"it is back: {moment}",
        )
        settled(world, clean, f"killed after {moment} s")


def test_a_release_that_was_cut_off_is_no_release_for_another_command(world: World) -> None:
    """`apply` closes it again, says which release is unfinished, and the word alone finishes it."""
    machine = world.machine
    confined(world)
    release = ("/usr/local/bin/wgconfine", "release", "--yes", "probe.service")
    machine.run(*KILL_AT, "0", LOG, *release, timeout=600)
    steps = machine.read(LOG).splitlines()
    confined(world)
    # Written are what it is about, the settings, and once more what it is about.
    written = [at for at, step in enumerate(steps) if step == WRITTEN][2]
    removal = 1 + steps[:written].count(REMOVING)
    words = (*KILL_AT, f"{REMOVING}#{removal}", LOG, *release)
    killed = machine.run(*words, check=False, timeout=600)
    assert 137 == killed.returncode
    assert "probe" not in machine.read("/etc/wgconfine/vpn.toml")

    applied = wgconfine(world, "apply")
    assert "probe.service: its release was cut off" in applied.stderr
    assert 0 != machine.systemctl("start", "probe.service", check=False).returncode
    planned = wgconfine(world, "plan")
    assert "probe.service: its release was cut off" in planned.stderr
    assert "Nothing to do: the machine is as the settings say.\n" == planned.stdout

    wgconfine(world, "release", "--yes", "probe.service")
    assert machine.is_active("probe.service")
    assert "" == wgconfine(world, "plan").stderr
