"""Twice is once, and two at once take turns."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import Completed, World, boot_container
from tests.container.swing import look, settled
from tests.scenario import PROBE, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

APPLY = ("apply",)
RELEASE = ("release", "--yes", "probe.service")
REMOVE = ("remove", "two", "--release", "--yes")
RELOAD = "wgconfine@vpn.service"
WAITING = "Waiting for another wgconfine that changes this machine"
TIMES = """
find /etc/systemd /etc/wgconfine /usr/local/lib/systemd /etc/NetworkManager /run/wgconfine \
    -path /run/wgconfine/lock -prune -o -path /run/wgconfine/verify -prune -o \
    -path /run/wgconfine/probe -prune -o -printf '%p %i %T@ %C@\\n' | sort
systemctl show -p Id,InvocationID,NRestarts probe.service wgconfine@vpn.service
"""


@pytest.fixture(scope="module")
def machine_of_all(wheelhouse: Path) -> Iterator[World]:
    """One machine for all that is asked here."""
    with boot_container("trixie", wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", f"[Unit]\nStartLimitIntervalSec=0\n{PROBE}")
        yield world


@pytest.fixture
def world(machine_of_all: World) -> World:
    """The probe runs in the tunnel two, and vpn has no service."""
    world = machine_of_all
    write_tunnel(world)
    write_tunnel(world, ["probe.service"], name="two", client=3)
    wgconfine(world, "apply")
    world.machine.systemctl("start", "probe.service")
    return world


@pytest.mark.parametrize("command", [APPLY, RELEASE, ("remove", "two"), REMOVE], ids=" ".join)
def test_the_second_time_nothing_is_done(world: World, command: Sequence[str]) -> None:
    """It says so, exits 0, and no file is written, no unit started anew."""
    wgconfine(world, *command)
    world.machine.sh("sleep 0.3")
    before = world.machine.sh(TIMES)
    again = wgconfine(world, *command)
    assert again.stdout.startswith("Nothing to do: ")
    assert "[#]" not in again.stderr
    assert before.splitlines() == world.machine.sh(TIMES).splitlines()


def at_once(world: World, *commands: Sequence[str]) -> list[Completed]:
    """Run commands that all find the lock held, so that they begin together when it is free."""
    machine = world.machine
    machine.sh("""
        rm -f /run/held
        (flock /run/wgconfine/lock/=apply sh -c 'touch /run/held; sleep 1.5' </dev/null >&0 2>&0 &)
        while [ ! -e /run/held ]; do sleep 0.01; done
    """)
    with ThreadPoolExecutor(len(commands)) as threads:
        return list(threads.map(lambda command: wgconfine(world, *command, check=False), commands))


@pytest.mark.parametrize(
    "commands",
    [
        (APPLY, RELEASE),
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ((APPLY, APPLY), (APPLY, REMOVE), (RELEASE, REMOVE))
        ),
    ],
    ids=lambda each: " and ".join(map(" ".join, each)),
)
def test_two_at_once(world: World, commands: Sequence[Sequence[str]]) -> None:
    """Both end well, each says that it waits, and the end is that of one after the other.

    An `apply` may wait once more, before it verifies.
    """

    def changed() -> None:
        write_tunnel(world, extra="mtu = 1300\n")
        write_tunnel(world, ["probe.service"], name="two", client=3)

    for command in commands:
        changed()
        wgconfine(world, *command)
    world.machine.sh("sleep 0.5")
    clean = look(world)
    write_tunnel(world)
    write_tunnel(world, ["probe.service"], name="two", client=3)
    wgconfine(world, "apply")
    world.machine.systemctl("start", "probe.service")
    changed()
    done = at_once(world, *commands)
    assert [0] * len(commands) == [each.returncode for each in done], done
    assert all(WAITING in each.stderr for each in done), done
    wgconfine(world, "plan")
    settled(world, clean, str(done))


def test_who_waits_can_be_interrupted_and_who_looks_never_waits(world: World) -> None:
    """Ctrl-C ends the wait; `status`, `plan` and `check` have none."""
    machine = world.machine
    before = look(world)
    machine.sh("(flock /run/wgconfine/lock/=apply sleep 30 </dev/null >&0 2>&0 &)")
    machine.wait_for(
        lambda: (
            machine.run("flock", "-n", "/run/wgconfine/lock/=apply", "true", check=False).returncode
            == 1
        ),
        "it is held",
    )
    for words in ("status", "plan", "check"):
        machine.run("timeout", "20", "wgconfine", words)
    # timeout(1) sends the signal twice: to the command, and to the group that it is in.
    interrupted = ("timeout", "--preserve-status", "--signal=INT", "3", "wgconfine", "apply")
    waiting = machine.run(*interrupted, check=False)
    assert 1 == waiting.returncode
    assert WAITING in waiting.stderr
    assert "interrupted" in waiting.stderr
    machine.sh("pkill -f '^sleep 30$'")
    assert before == look(world)


def test_two_reloads_at_once(world: World) -> None:
    """PID 1 orders them, and whatever was written last is in force."""
    machine = world.machine
    write_tunnel(world, extra="mtu = 1280\n")
    wgconfine(world, "apply")
    with ThreadPoolExecutor(3) as threads:
        done = list(
            threads.map(
                lambda words: machine.run(*words, check=False),
                [("systemctl", "reload", RELOAD)] * 2 + [("systemctl", "restart", RELOAD)],
            )
        )
    assert [0, 0, 0] == [each.returncode for each in done], done
    assert "mtu 1280" in machine.sh("ip -n vpn link show wg0")
