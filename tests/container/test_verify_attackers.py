"""A hostile confined service is not called well while it is not, and holds nobody up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import EVERYWHERE, first
from tests.scenario import confine, write_service
from tests.verifying import ask

pytestmark = pytest.mark.container

on_each = pytest.mark.parametrize("world", EVERYWHERE, indirect=True)
on_one = pytest.mark.parametrize("world", first("trixie"), indirect=True)
"""For what is the kernel's doing and not systemd's: the others are for `make test-long`."""

UNIT = "attacker.service"
GROUP = f"/sys/fs/cgroup/wgconfine.slice/wgconfine-vpn.slice/{UNIT}"
SECONDS = 60
"""No attack takes `verify` longer than this, on a busy machine too; most take a fraction of one."""

TEXT = """\
[Unit]
StartLimitIntervalSec=0
[Service]
User=daemon
StateDirectory=attacker
LimitNOFILE=20000
Environment=WAY=innocent
ExecStartPre=/bin/sh -c 'rm -f /var/lib/attacker/*'
ExecStart=/usr/bin/python3 /usr/local/lib/attacker.py $WAY
TimeoutStopSec=1
"""

GIVE = """
import array, socket
kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
given = array.array("i", [kept.fileno()])
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)]
door.sendmsg([b"x"], rights, 0, "/var/lib/attacker/door")
"""
BUDGET = 60
"""Seconds of a verify that nobody holds up; it takes one or two where nothing else is done."""


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a hostile service in a tunnel, and /dev/fuse."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        script = Path(__file__).with_name("attacker.py").read_text(encoding="utf-8")
        world.machine.write("/usr/local/lib/attacker.py", script)
        world.machine.run("mknod", "-m", "666", "/dev/fuse", "c", "10", "229")
        write_service(world, UNIT, TEXT)
        confine(world, UNIT)
        yield world


@pytest.fixture(autouse=True)
def ended(world: World) -> Iterator[None]:
    """Each test begins without the service."""
    yield
    world.machine.systemctl("stop", UNIT)


def attack(world: World, way: str, *, give: bool = False) -> None:
    """Start the service in one of its ways; `give` hands it a socket of the host's namespace."""
    world.machine.sh(
        f"mkdir -p /run/systemd/system/{UNIT}.d;"
        f"printf '[Service]\\nEnvironment=\"WAY={way}\"\\n' >/run/systemd/system/{UNIT}.d/way.conf;"
        f"systemctl daemon-reload; systemctl start {UNIT}"
    )
    there = (
        "until [ -e /var/lib/attacker/{0} ]; do systemctl -q is-active "
        + UNIT
        + "; sleep 0.1; done"
    )
    if give:
        world.machine.sh(there.format("door"))
        world.machine.run("python3", "-c", GIVE)
    world.machine.sh(there.format("ready"), timeout=180)


@on_one
def test_odd_names_zombies_stopped_traced_and_busy_processes_are_looked_at(world: World) -> None:
    """With 10,000 descriptors, and all is well all the same, soon and every time."""
    attack(world, "innocent")
    for _ in range(3):
        said = ask(world, UNIT)
        assert ({}, True) == (said.not_well, said.seconds < BUDGET)


@on_one
def test_ten_thousand_descriptors_hide_none(world: World) -> None:
    """The one that counts is the last of them."""
    attack(world, "descriptors", give=True)
    said = ask(world, UNIT)

    assert ({"sockets": "not confined"}, True) == (said.not_well, said.seconds < BUDGET)
    assert "a socket (AF_INET) of the host's network namespace" in said.evidence("sockets")


@on_one
def test_one_that_hops_from_process_to_process_is_never_called_well(world: World) -> None:
    """What holds the host's socket is gone before it is looked at, and its child has it."""
    attack(world, "hop", give=True)
    for _ in range(3):
        said = ask(world, UNIT)
        assert said["sockets"] in {"unknown", "not confined"}
        assert said.seconds < SECONDS


@on_one
@pytest.mark.parametrize("way", ["thread", "rotate"])
def test_one_in_a_place_of_its_own_is_found_or_missed_loudly(world: World, way: str) -> None:
    """In a thread's own table of descriptors; and at another number than a moment ago."""
    attack(world, way, give=True)
    said = ask(world, UNIT)

    assert said["sockets"] in {"unknown", "not confined"}
    assert said.seconds < SECONDS


@on_each
def test_a_process_in_the_guise_of_systemd_is_looked_at(world: World) -> None:
    """The program, the name in parentheses, stopped: only the rights are not systemd's."""
    attack(world, "pose", give=True)
    looks = world.machine.sh(
        f"for pid in $(cat {GROUP}/cgroup.procs); do"
        " echo $(cat /proc/$pid/comm) $(readlink /proc/$pid/exe); done"
    )
    said = ask(world, UNIT)

    assert "(x) /usr/lib/systemd/systemd" in looks
    assert {"sockets": "not confined"} == said.not_well


@on_one
@pytest.mark.parametrize("number", [100, pytest.param(3000, marks=pytest.mark.long)])
def test_a_swarm_ends_in_time_and_is_not_called_what_it_is_not(world: World, number: int) -> None:
    """Processes that come and go all the time, and one that was moved in among them."""
    attack(world, f"swarm {number}")
    said = ask(world, UNIT)
    assert said["namespace"] in {"ok", "unknown"}
    assert said.seconds < SECONDS

    world.machine.sh(f"sleep 300 >/dev/null 2>&1 & echo $! >{GROUP}/cgroup.procs")
    said = ask(world, UNIT)
    # Among thousands that come and go it may not have seen all in time, and then says so.
    assert said["namespace"] in {"not confined", *(["unknown"] if number > 100 else [])}
    assert said.seconds < SECONDS


@on_each
def test_a_view_of_its_own_is_no_view_of_ours(world: World) -> None:
    """Its files, FIFO, links and FUSE lie over ours in namespaces that it made itself."""
    attack(world, "own_view")
    pid = world.machine.read("/var/lib/attacker/ready")
    laid = world.machine.sh(f"cat /proc/{pid}/root/etc/resolv.conf")
    said = ask(world, UNIT)

    assert "nameserver 192.0.2.1" == laid
    assert ("not confined", "not confined", "unknown") == (
        said["resolv-conf"],
        said["run"],
        said["nsswitch-conf"],
    )
    assert "a file system of the kind fuse" in said.evidence("nsswitch-conf")
    assert ("ok", "ok", "unknown") == (said["namespace"], said["sockets"], said["masks"])
    assert "a link of /proc" in said.evidence("masks")
    assert said.seconds < BUDGET


@on_one
def test_a_file_system_that_never_answers_holds_nobody_up(world: World) -> None:
    """Root laid a FUSE over its /etc, for all users: whoever looks in there hangs; we do not."""
    attack(world, "innocent")
    pid = world.machine.show(UNIT, "MainPID")
    script = (
        "import ctypes, os, time\n"
        "fd = os.open('/dev/fuse', os.O_RDWR)\n"
        "options = f'fd={fd},rootmode=40755,user_id=0,group_id=0,allow_other'.encode()\n"
        "mount = ctypes.CDLL(None).mount\n"
        f"ctypes.CDLL(None).setns(os.open('/proc/{pid}/ns/mnt', 0), 0)\n"
        "assert mount(b'f', b'/etc', b'fuse', 0, options) == 0\n"
        "print('mounted', flush=True)\n"
        "time.sleep(300)\n"
    )
    world.machine.write("/root/hang.py", script)
    server = world.machine.sh(
        "rm -f /root/said; python3 /root/hang.py >/root/said 2>&1 & "
        "until grep -q mounted /root/said; do kill -0 $!; sleep 0.1; done; echo $!"
    )
    stat = f"timeout -s KILL 1 stat /proc/{pid}/root/etc/resolv.conf || echo killed"
    hung = world.machine.sh(f"({stat}) 2>/dev/null")
    said = ask(world, UNIT)
    world.machine.run("kill", server)

    assert "killed" == hung
    assert ("unknown", "unknown", "ok") == (
        said["resolv-conf"],
        said["nsswitch-conf"],
        said["run"],
    )
    assert said.seconds < BUDGET


@on_one
def test_a_program_that_is_no_file_any_more_is_looked_at(world: World) -> None:
    """What /proc/PID/exe leads to is deleted."""
    attack(world, "deleted")

    assert {} == ask(world, UNIT).not_well
