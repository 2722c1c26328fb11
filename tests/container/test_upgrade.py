"""wgconfine itself changes, or goes away, under services that run: they stay inside, or closed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import PROBE, TUNNEL, confine, seen_by_web, wgconfine, write_service
from tests.watching import (
    FAULTS,
    LISTEN,
    LISTEN_OUTSIDE,
    LOOK,
    carries,
    inside,
    strike,
    tick_by_hand,
    wait_until_quiet,
)

pytestmark = pytest.mark.container

TICK = "wgconfine-tick.service"
UNITS = "/etc/systemd/system"
GONE = "/var/tmp/wgconfine-gone"  # noqa: S108 — of the machine of the test


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one service that sends without pause."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        write_service(world, "probe.service", PROBE)
        confine(world, "probe.service")
        world.machine.systemctl("start", "probe.service")
        world.machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it went out")
        yield world


def pid(world: World) -> str:
    return world.machine.show("probe.service", "MainPID")


def said_by_tick(world: World) -> list[str]:
    invocation = world.machine.show(TICK, "InvocationID")
    journal = (
        "journalctl",
        "-b",
        "-o",
        "cat",
        "--no-pager",
        f"_SYSTEMD_INVOCATION_ID={invocation}",
    )
    return world.machine.run(*journal).stdout.splitlines()


def test_an_upgrade_that_is_not_applied_yet(world: World) -> None:
    """The tick says so in one line and does what it can, status says so, and `apply` mends it.

    The older units lack a capability that the tick needs now, and everything that listens.
    """
    machine = world.machine
    before = pid(world)
    machine.sh(
        f"cd {UNITS}; rm -r wgconfine-look* wgconfine-name@* run-*netns-vpn.mount.d; "
        "sed -i '/look/d; /hears of all/d' wgconfine@.service; "
        "sed -i 's/^\\(Environment=WGCONFINE_VERSION=\\).*/\\10.0.1/; s/=CAP_SYS_ADMIN /=/' "
        f"{TICK}; systemctl daemon-reload; systemctl stop {LISTEN} {LISTEN_OUTSIDE}; "
        f"systemctl stop {LOOK} || true; "
        "rm -f /run/wgconfine/verify/vpn.stamp"
    )
    word = "the units are of another version of wgconfine. Run wgconfine apply."
    failed = machine.systemctl("start", TICK, check=False)
    assert failed.returncode != 0
    assert [word] == [line for line in said_by_tick(world) if not line.startswith("[#]")]
    assert "" != machine.read("/run/wgconfine/verify/vpn.stamp")
    shown = wgconfine(world, "status", check=False).stdout
    assert "the units are edited, or of another version of wgconfine: wgconfine apply" in shown
    assert "probe.service: confined" in shown

    wgconfine(world, "apply")

    assert before == pid(world)
    machine.systemctl("start", TICK)
    assert word not in " ".join(said_by_tick(world))
    assert "another version" not in wgconfine(world, "status", check=False).stdout
    machine.wait_for(lambda: machine.is_active(LISTEN), "somebody listens")
    strike(world, *FAULTS["a route"])
    assert before == pid(world)


@pytest.fixture
def uninstalled(world: World) -> Iterator[None]:
    """The package's files are gone, as after pip(1) has removed it; its units stay."""
    find = "$(/opt/wgconfine/bin/python3 -c 'import wgconfine; print(wgconfine.__path__[0])')"
    place = world.machine.sh(f"echo {find}")
    wait_until_quiet(world)  # or it would look with what it has in its memory
    world.machine.run("mv", place, GONE)
    yield
    world.machine.run("mv", GONE, place)


@pytest.mark.usefixtures("uninstalled")
def test_an_uninstalled_package(world: World) -> None:
    """Services run on inside, and restart inside: neither needs a program of ours. A tunnel that is
    stopped does not start, and nor do they."""
    machine = world.machine
    before = pid(world)
    with world.capture_uplink() as uplink:
        inside(world, "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
        machine.systemctl("start", TICK, check=False)
        machine.wait_for(lambda: machine.show(LOOK, "SubState") == "auto-restart", "it rests")
        assert before == pid(world)
        machine.wait_for(lambda: carries(world), "it carries")
        started = machine.show(LOOK, "ExecMainStartTimestampMonotonic")
        for number in range(2, 12):
            inside(world, "ip", "address", "add", f"192.0.2.{number}/32", "dev", "lo")
            time.sleep(0.2)
        assert started == machine.show(LOOK, "ExecMainStartTimestampMonotonic")

        machine.systemctl("restart", "probe.service")
        assert before != pid(world)
        since = machine.sh("date +%s")
        machine.wait_for(
            lambda: (
                TUNNEL["v4"] in machine.sh(f"journalctl -u probe -o cat --since @{since} || true")
            ),
            "it goes out by the tunnel",
        )
        machine.systemctl("stop", "wgconfine@vpn.service", check=False)
        assert "0" == pid(world)
        machine.systemctl("start", "probe.service", check=False)
        assert "0" == pid(world)
    assert () == uplink.traffic.foreign()


def test_a_package_that_is_installed_again(world: World) -> None:
    """Whatever failed meanwhile, a start of the tunnel is all that it takes."""
    machine = world.machine
    machine.systemctl("start", "wgconfine@vpn.service", "probe.service")
    machine.wait_for(lambda: carries(world), "it carries")
    machine.wait_for(lambda: machine.is_active("probe.service"), "the service is back")
    assert "probe.service: confined" in wgconfine(world, "status", check=False).stdout
