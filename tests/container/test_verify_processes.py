"""Each thing that can be wrong with the processes of a service is named by a check of its own."""

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

UNIT = "taker.service"
GROUP = f"/sys/fs/cgroup/wgconfine.slice/wgconfine-vpn.slice/{UNIT}"
CHECKS = {
    *("namespace", "sockets", "connections", "host-sockets"),
    *("resolv-conf", "nsswitch-conf", "run", "masks"),
}

TAKER = """\
import array, os, socket
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.bind("/var/lib/taker/door")
os.chmod("/var/lib/taker/door", 0o777)
kept = []
while True:
    words, ancillary, _, _ = door.recvmsg(100, socket.CMSG_SPACE(4))
    taken = [array.array("i", data)[0] for _, _, data in ancillary]
    if words == b"send":
        got = socket.socket(fileno=taken[0])
        got.sendto(b"leaked", ("127.0.0.1", 9099))
    if words == b"friend":
        got = socket.socket(socket.AF_UNIX)
        got.connect("/var/lib/taker/friend")
    if words == b"drop":
        kept.clear()
    else:
        kept.append((taken, locals().get("got")))
    with open("/var/lib/taker/taken", "a") as log:
        log.write("x")
"""
"""A service that takes what it is handed through a socket in its state directory, and keeps it."""

GIVE = """
import array, socket, sys
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def give(words, *given):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno() for s in given]))]
    door.sendmsg([words], rights if given else [], 0, "/var/lib/taker/door")
"""

UNIT_TEXT = """\
[Unit]
StartLimitIntervalSec=0
[Service]
User=nobody
StateDirectory=taker
ExecStart=/usr/bin/python3 /usr/local/lib/taker.py
Delegate=yes
ExecStop=/bin/sh -c 'rm -f /var/lib/taker/*'
"""


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with two confined services, one of which takes what it is given."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        world.machine.write("/usr/local/lib/taker.py", TAKER)
        write_service(world, UNIT, UNIT_TEXT)
        write_service(world, "other.service", "[Service]\nExecStart=/bin/sleep infinity\n")
        confine(world, UNIT, "other.service")
        world.machine.systemctl("start", "other.service")
        yield world


@pytest.fixture(autouse=True)
def fresh(world: World) -> Iterator[None]:
    """Each test has a service that nobody has spoilt."""
    world.machine.sh(
        f"systemctl restart {UNIT}; until [ -S /var/lib/taker/door ]; do sleep 0.02; done"
    )
    yield
    world.machine.sh(f"systemctl stop {UNIT}")


def main_pid(world: World) -> str:
    return world.machine.show(UNIT, "MainPID")


def give(world: World, script: str) -> str:
    """Run a script that hands it something, and wait until it has that."""
    taken = "cat /var/lib/taker/taken 2>/dev/null || true"
    before = world.machine.sh(taken)
    said = world.machine.run("python3", "-c", GIVE + script).stdout.strip()
    world.machine.wait_for(lambda: world.machine.sh(taken) != before, "it is taken")
    return said


def bring_in(world: World, command: str, name: str = "sleep", group: str = GROUP) -> str:
    """Start a program outside, as root, put it into the service's control group; give its PID.

    `name` is what the process is called once it has become what it is to be.
    """
    return world.machine.sh(
        f"{command} </dev/null >/dev/null 2>&1 & pid=$!; "
        f"until [ $(cat /proc/$pid/comm) = {name} ]; do sleep 0.1; done; "
        f"echo $pid >{group}/cgroup.procs; echo $pid"
    )


@on_each
def test_all_is_well_and_every_check_says_so(world: World) -> None:
    """The control of all others: eight checks, each of them *ok*, for both services."""
    for unit in (UNIT, "other.service"):
        said = ask(world, unit)
        assert {} == said.not_well
        assert set(said.checks) == CHECKS
        assert said.seconds < 30


@on_each
def test_a_service_without_a_process_is_well(world: World) -> None:
    """There is nothing to look at."""
    world.machine.systemctl("stop", UNIT)
    said = ask(world, UNIT)

    assert ({"namespace"}, {}) == (set(said.checks), said.not_well)


@on_each
def test_a_process_that_was_moved_in(world: World) -> None:
    """It is in the service's control group and in the host's namespace; so is it one level down."""
    pid = bring_in(world, "sleep 300")
    said = ask(world, UNIT)
    assert "not confined" == said["namespace"]
    assert f"process {pid} (sleep) is in the host's network namespace" == said.evidence("namespace")
    assert f"systemctl restart {UNIT}" == said.mend("namespace")
    assert {} == ask(world, "other.service").not_well

    world.machine.sh(f"mkdir {GROUP}/a {GROUP}/a/b; echo {pid} >{GROUP}/a/b/cgroup.procs")
    assert "not confined" == ask(world, UNIT)["namespace"]


@on_one
def test_a_single_thread_that_left(world: World) -> None:
    """The process itself is inside; the namespace is asked of each of its threads."""
    script = (
        "import ctypes, os, threading, time\n"
        'there = os.open("/proc/1/ns/net", os.O_RDONLY)\n'
        "libc = ctypes.CDLL(None)\n"
        "def leave(): libc.setns(there, 0x40000000); open('/root/left', 'w'); time.sleep(300)\n"
        "threading.Thread(target=leave).start()\n"
    )
    world.machine.write("/root/leave.py", script)
    pid = bring_in(world, "exec nsenter --net=/run/netns/vpn python3 /root/leave.py", "python3")
    world.machine.sh("until [ -e /root/left ]; do sleep 0.1; done; rm /root/left")
    inside = world.machine.sh(f"[ /proc/{pid}/ns/net -ef /run/netns/vpn ] && echo yes")
    said = ask(world, UNIT)

    assert ("yes", "not confined") == (inside, said["namespace"])
    assert "thread" in said.evidence("namespace")
    assert "is in the host's network namespace" in said.evidence("namespace")


@on_one
def test_a_process_in_a_namespace_of_another_name(world: World) -> None:
    """The evidence has its name."""
    world.machine.run("ip", "netns", "add", "foreign")
    try:
        bring_in(world, "exec nsenter --net=/run/netns/foreign sleep 300")
        said = ask(world, UNIT)
    finally:
        world.machine.sh(f"systemctl stop {UNIT}; ip netns del foreign")

    assert "not confined" == said["namespace"]
    assert said.evidence("namespace").endswith("(sleep) is in the namespace /run/netns/foreign")


@on_one
@pytest.mark.parametrize(
    ("wire", "verdict", "where"),
    [
        ("true", "open", "which leads nowhere"),
        ("ip link add in0 type veth peer name in1 netns $pid", "not confined", "in1 (veth)"),
        (
            "ip -n vpn link add in0 type veth peer name in1 netns $pid",
            "open",
            "which leads to tunnel vpn",
        ),
    ],
    ids=["nowhere", "to the host", "to the tunnel"],
)
def test_a_network_namespace_of_its_own(world: World, wire: str, verdict: str, where: str) -> None:
    """What leads out of it decides: containers have such a one."""
    pid = bring_in(world, f"exec nsenter -t {main_pid(world)} -m -n unshare -n sleep 300")
    world.machine.sh(f"pid={pid}; {wire}")
    said = ask(world, UNIT)

    assert (verdict, True) == (said["namespace"], where in said.evidence("namespace"))


@on_one
@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "AF_INET"),
        ("socket.create_server(('127.0.0.1', 0))", "AF_INET"),
        ("socket.socket(socket.AF_INET6)", "AF_INET6"),
        ("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", "AF_INET"),
        ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "AF_PACKET"),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", "AF_NETLINK"),
    ],
    ids=["udp", "listening", "tcp6", "raw", "packet", "netlink"],
)
def test_a_socket_of_the_host_that_was_handed_over(world: World, made: str, kind: str) -> None:
    """Unbound ones too, which no table of /proc knows."""
    give(world, f"give(b'keep', {made})")
    said = ask(world, UNIT)

    assert {"sockets": "not confined"} == said.not_well
    assert f"a socket ({kind}) of the host's network namespace" in said.evidence("sockets")
    assert f"process {main_pid(world)} (python3) holds" in said.evidence("sockets")


@on_each
def test_such_a_socket_is_a_way_out(world: World) -> None:
    """What the test above finds is worth it: a datagram of the service reaches the host."""
    got = give(
        world,
        "there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "there.bind(('127.0.0.1', 9099)); there.settimeout(9)\n"
        "give(b'send', socket.socket(socket.AF_INET, socket.SOCK_DGRAM))\n"
        "print(there.recv(99).decode())",
    )

    assert ("leaked", "not confined") == (got, ask(world, UNIT)["sockets"])


@on_one
def test_a_tun_device_of_the_host(world: World) -> None:
    """Its packets come out in the host's namespace."""
    give(
        world,
        "import fcntl, struct\n"
        "tun = open('/dev/net/tun', 'r+b', buffering=0)\n"
        "fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'spare0', 0x1001))\n"
        "give(b'keep', tun)",
    )
    said = ask(world, UNIT)

    assert {"sockets": "not confined"} == said.not_well
    assert "a tun device of the host's network namespace" in said.evidence("sockets")


@on_each
def test_a_socket_that_it_made_outside_and_gave_away(world: World) -> None:
    """No process of it holds it any more: the kernel still knows where it was made."""
    script = (
        "import os, socket, time\n"
        f"while '{UNIT}' not in open('/proc/self/cgroup').read(): time.sleep(0.1)\n"
        "out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); out.bind(('127.0.0.1', 0))\n"
        "if os.fork() == 0:\n"
        "    open('/sys/fs/cgroup/cgroup.procs', 'w').write('0')\n"
        "    open('/root/give.pid', 'w').write(str(os.getpid())); time.sleep(300)\n"
    )
    world.machine.write("/root/give.py", script)
    bring_in(world, "exec python3 /root/give.py", "python3")
    world.machine.wait_for(lambda: ask(world, UNIT)["namespace"] == "ok", "it has left")
    said = ask(world, UNIT)
    world.machine.sh("kill $(cat /root/give.pid)")

    assert {"host-sockets": "not confined"} == said.not_well
    assert "a udp socket of the host's namespace was made by it" in said.evidence("host-sockets")


@on_one
def test_a_unix_socket_to_a_daemon_of_the_host_is_named(world: World) -> None:
    """It may ask that one for anything: shown, with the unit at the other end."""
    listener = (
        "import os, socket, time\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('/var/lib/taker/friend')\n"
        "os.chmod('/var/lib/taker/friend', 0o777); s.listen()\n"
        "kept = s.accept(); time.sleep(300)\n"
    )
    world.machine.write("/root/friend.py", listener)
    world.machine.sh(
        "systemd-run --quiet --unit=friend python3 /root/friend.py;"
        "until ss -Hx state listening | grep -q /var/lib/taker/friend; do sleep 0.1; done"
    )
    give(world, "give(b'friend')")
    said = ask(world, UNIT)
    world.machine.sh("systemctl stop friend")

    assert {"connections": "open"} == said.not_well
    assert "(python3) talks to friend.service (process" in said.evidence("connections")
    assert "at /var/lib/taker/friend by descriptor" in said.evidence("connections")


@on_each
@pytest.mark.parametrize("name", ["resolv", "nsswitch"])
def test_a_lost_bind_is_named_and_the_command_mends_it(world: World, name: str) -> None:
    """The service then reads the host's file."""
    path, pid = f"/etc/{name}.conf", main_pid(world)
    world.machine.run("nsenter", "-t", pid, "-m", "umount", path)
    host = world.machine.sh(f"[ /proc/{pid}/root{path} -ef {path} ] && echo the same")
    said = ask(world, UNIT)
    world.machine.sh(said.mend(f"{name}-conf"))

    assert ("the same", {f"{name}-conf": "not confined"}) == (host, said.not_well)
    assert {} == ask(world, UNIT).not_well


@on_each
def test_a_resolv_conf_that_was_renamed_into_place_is_named(world: World) -> None:
    """As NetworkManager and resolvconf do: the kernel drops the mount on the old one."""
    pid = main_pid(world)
    world.machine.sh("cp -p /etc/resolv.conf /etc/.new; mv /etc/.new /etc/resolv.conf")
    said = ask(world, UNIT)
    lost = world.machine.sh(f"cmp -s /proc/{pid}/root/etc/resolv.conf /etc/resolv.conf; echo $?")

    assert ("0", {"resolv-conf": "not confined"}) == (lost, said.not_well)
    world.machine.systemctl("restart", "other.service")


@on_each
def test_a_lost_run_is_named(world: World) -> None:
    """The host's sockets lie open, and are named as well."""
    pid = main_pid(world)
    world.machine.run("nsenter", "-t", pid, "-m", "umount", "-l", "/run")
    seen = world.machine.sh(f"[ -S /proc/{pid}/root/run/dbus/system_bus_socket ] && echo bus")
    said = ask(world, UNIT)

    assert ("bus", {"run": "not confined", "masks": "not confined"}) == (seen, said.not_well)
    assert "sees the host's /run/dbus" in said.evidence("masks")
    assert f"systemctl restart {UNIT}" == said.mend("run")


@on_each
def test_a_mask_with_the_hosts_bus_over_it_is_named(world: World) -> None:
    """Its /run is ours, and yet the bus is seen."""
    pid = main_pid(world)
    world.machine.systemctl("bind", UNIT, "/run/dbus")
    seen = world.machine.sh(f"[ -S /proc/{pid}/root/run/dbus/system_bus_socket ] && echo bus")
    said = ask(world, UNIT)

    assert ("bus", {"masks": "not confined"}) == (seen, said.not_well)


@on_each
def test_what_a_stopped_service_left_behind_is_looked_at(world: World) -> None:
    """With KillMode=process it goes on, in the control group of a unit that is not active."""
    write_service(world, f"{UNIT}.d/leave.conf", "[Service]\nKillMode=process\n")
    pid = bring_in(world, "sleep 300")
    world.machine.systemctl("stop", UNIT)
    said = ask(world, UNIT)
    world.machine.sh(
        f"kill {pid}; rm -r /etc/systemd/system/{UNIT}.d/leave.conf; systemctl daemon-reload"
    )

    assert "not confined" == said["namespace"]
