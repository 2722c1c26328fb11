"""Twice is once, and two at once take turns."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import Completed, World, boot_container
from tests.container.swing import rest, settled
from tests.scenario import PROBE, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

APPLY = ("apply",)
RELEASE = ("release", "--yes", "probe.service")
REMOVE = ("remove", "two", "--release", "--yes")
RELOAD = "wgconfine@vpn.service"
LOCK = "/run/wgconfine/lock/=apply"
WAITING = "Waiting for another wgconfine that changes this machine"
TIMES = """
find /etc/systemd /etc/wgconfine /usr/local/lib/systemd /etc/NetworkManager /run/wgconfine \
    -path /run/wgconfine/lock -prune -o -path /run/wgconfine/verify -prune -o \
    -path /run/wgconfine/probe -prune -o -path /run/wgconfine/health -prune -o \
    -printf '%p %i %T@ %C@\\n' | sort
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
    hold(world)
    with ThreadPoolExecutor(len(commands)) as threads:
        running = [threads.submit(wgconfine, world, *each, check=False) for each in commands]
        try:
            machine.wait_for(lambda: waiting_for_it(world) == len(commands), "all wait for it")
        finally:
            machine.systemctl("stop", "hold.service")
        return [each.result() for each in running]


def hold(world: World) -> None:
    """Have hold.service hold the lock until it is stopped."""
    flock = ("flock", LOCK, "sleep", "infinity")
    world.machine.run("systemd-run", "--quiet", "--collect", "--unit=hold", *flock)
    world.machine.wait_for(
        lambda: world.machine.run("flock", "-n", LOCK, "true", check=False).returncode == 1,
        "it is held",
    )


def waiting_for_it(world: World) -> int:
    """Tell how many wait for the lock: proc_locks(5)."""
    inode = world.machine.sh(f"stat -c %i {LOCK}")
    lines = world.machine.read("/proc/locks").splitlines()
    return sum(" -> FLOCK " in line and f":{inode} " in line for line in lines)


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
    clean = rest(world)
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
    before = rest(world)
    hold(world)
    for words in ("status", "plan", "check"):
        machine.run("wgconfine", words)
    # A shell has what it runs in the background ignore the signal.
    said = machine.sh("""
        env --default-signal=INT wgconfine apply &>/run/said &
        until grep -qs Waiting /run/said; do sleep 0.1; done
        kill -INT $!
        code=0; wait $! || code=$?
        cat /run/said; echo $code
    """)
    machine.systemctl("stop", "hold.service")
    assert WAITING in said
    assert "interrupted" in said
    assert "1" == said.splitlines()[-1]
    assert before == rest(world)


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
