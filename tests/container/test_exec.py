"""`wgconfine exec`: what runs inside, by whom, with which words, and what keeps it there."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests.executing import as_alice, ended, run, running, set_up, units, wgconfine_pid
from tests.matrix import EVERYWHERE
from tests.scenario import HOST, TUNNEL, WEB, wgconfine
from wgconfine.render.command import COMMAND_REFUSAL

pytestmark = pytest.mark.container

# All that a person may try by hand: TCP and UDP over both families, names by glibc and by the
# addresses of resolvers, and the sockets by which the host would do it. Says what answers.
TRIES = r"""
for i in 1 2 3 4 5; do
    for v in 4 6; do curl -$v -s -m 3 http://web.example.net/; done
    getent hosts tried-$1-$i.example.net >/dev/null
    dig +time=1 +tries=1 @198.51.100.1 asked-$1-$i.example.net >/dev/null
    dig +time=1 +tries=1 @2001:db8:51::1 asked-$1-$i.example.net >/dev/null
    for each in 198.51.100.1 2001:db8:51::1; do bash -c "echo >/dev/udp/$each/9"; done
done
for each in /run/dbus/system_bus_socket /run/systemd/private /run/systemd/resolve/io.systemd.Resolve
do [ -S $each ] && echo $each; done
busctl --system --timeout=20 list >/dev/null 2>&1 && echo bus
systemd-run --quiet --pipe --wait echo started 2>/dev/null
true
"""
DOORS = {"/run/dbus/system_bus_socket", "/run/systemd/private", "bus", "started"}


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a person who may use sudo(8), and two tunnels with names alike."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        set_up(world)
        yield world


def doors(text: str) -> set[str]:
    return DOORS & {*text.split()}


def test_the_control_is_seen(world: World) -> None:
    """In the open the same script is seen on the uplink by each way, and finds each door."""
    with world.capture_uplink() as uplink:
        told = world.machine.sh(f"set -- open\n{TRIES}", timeout=120)

    foreign = uplink.traffic.foreign()
    names = {str(packet.name).partition("-")[0] for packet in foreign if packet.name}
    assert {4, 6} == {6 if ":" in packet.source else 4 for packet in foreign}
    assert {"tried", "asked"} <= names
    assert {"tcp", "udp"} <= {packet.protocol.lower() for packet in foreign}
    assert 9 in {packet.target_port for packet in foreign}
    assert set(HOST.values()) <= {*told.split()}
    assert doors(told) == DOORS


@pytest.mark.parametrize("user", ["alice", "root"])
def test_nothing_leaks_and_no_door_is_there(world: World, user: str) -> None:
    """Inside it reaches the web and names by the tunnel alone, and no daemon of the host's."""
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        words = ("exec", "vpn", "--user", user, "sh", "-c", TRIES, "sh", user)
        told = wgconfine(world, *words).stdout

    assert_confined(uplink.traffic, tunnel.traffic)
    assert set(TUNNEL.values()) <= {*told.split()}
    assert set() == doors(told)
    asked = [each for each in world.internet.dns_queries() if f"-{user}-" in each.name]
    assert {"tunnel"} == {each.resolver for each in asked}


def test_the_tunnel_with_a_name_alike_is_another(world: World) -> None:
    """`vpn-b` is not `vpn`: each command is in its own, and its slice."""
    line = f"curl -4 -s -m 30 {WEB}; cat /proc/self/cgroup | tail -1"
    one = run(world, "sh", "-c", line).stdout.split()
    other = run(world, "sh", "-c", line, name="vpn-b").stdout.split()

    assert ("10.66.0.2", "10.66.0.3") == (one[0], other[0])
    assert "/wgconfine-vpn.slice/wgconfine-exec-vpn-" in one[1]
    assert r"/wgconfine-vpn\x2db.slice/wgconfine-exec-vpn\x2db-" in other[1]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 203", 203),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -PIPE $$", 141),
    ],
)
def test_the_exit_code_is_passed_on(world: World, line: str, code: int) -> None:
    """As it is; of a signal 128 and its number, as shells have it."""
    assert code == run(world, "sh", "-c", line, check=False).returncode


def test_words_are_passed_on_as_they_are(world: World) -> None:
    """No specifier, variable, escape or option in them means anything to systemd or to us."""
    words = ["a b", "%n%%", "$HOME", "${HOME}", "$", "$$", "x\ny", "", r"\x41", "q'\"", "é", "-s"]
    words += ["--user", "--", ";", "*", "~"]

    said = run(world, "printf", "[%s]", *words)

    assert "".join(f"[{each}]" for each in words) == said.stdout
    assert "" == said.stderr


def test_pipes_are_passed_on(world: World) -> None:
    """Every byte that goes in comes out; error and output stay apart; SIGPIPE ends it."""
    machine = world.machine
    machine.sh("head -c 3000000 /dev/urandom >/root/bytes")
    sums = machine.sh("sha256sum </root/bytes; wgconfine exec vpn cat </root/bytes | sha256sum")
    apart = run(world, "sh", "-c", "echo out; echo err >&2")
    cut = machine.run("bash", "-c", "wgconfine exec vpn yes | head -1; echo ${PIPESTATUS[0]}")

    assert 1 == len({*sums.split()} - {"-"})
    assert ("out\n", "err\n") == (apart.stdout, apart.stderr)
    assert "y\n141\n" == cut.stdout


def test_it_runs_as_who_has_called_sudo(world: World) -> None:
    """With her groups, in her directory, with her umask, and an environment that leads nowhere."""
    line = "id -un; id -gn; pwd; umask; echo $HOME $SHELL $LOGNAME $WGCONFINE_TUNNEL; env"
    program = world.machine.sh("command -v wgconfine")  # which sudo of forky's does not look for
    told = as_alice(
        world,
        "umask 027; sudo env SSH_AUTH_SOCK=/tmp/x LANG=C.UTF-8 "
        f"{program} exec vpn sh -c {shlex.quote(line)}",
    )

    first = ["alice", "alice", "/home/alice", "0027", "/home/alice /bin/bash alice vpn"]
    assert "" == told.stderr
    assert first == told.stdout.splitlines()[:5]
    environment = dict(each.partition("=")[::2] for each in told.stdout.splitlines()[5:])
    assert "C.UTF-8" == environment["LANG"]
    assert "/run/user/" in environment["XDG_RUNTIME_DIR"]
    assert set() == {"SSH_AUTH_SOCK", "SUDO_USER", "DBUS_SESSION_BUS_ADDRESS"} & environment.keys()


def test_no_rights_are_won_inside(world: World) -> None:
    """sudo(8) does nothing there, and root has nothing that leads out of the namespace."""
    sudo = wgconfine(world, "exec", "vpn", "--user", "alice", "sudo", "id", check=False)
    enter = run(world, "nsenter", "--target=1", "--net", "true", check=False)
    link = run(world, "ip", "link", "add", "x", "type", "dummy", check=False)
    ping = wgconfine(world, "exec", "vpn", "--user", "alice", "ping", "-c1", "-W20", "10.66.0.1")

    assert 0 not in {sudo.returncode, enter.returncode, link.returncode}
    assert "1 received" in ping.stdout


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("INT", 130), ("HUP", 129)])
def test_signals_reach_the_command(world: World, name: str, code: int) -> None:
    """Whoever ends `wgconfine exec` ends what it runs, and hears how that ended."""
    machine = world.machine
    machine.sh("rm -f /root/trap")
    line = f"trap 'exit {code - 100}' {name}; echo set >/root/trap; while :; do sleep 0.1; done"
    with running(world, line):
        machine.sh("until [ -s /root/trap ]; do sleep 0.1; done")
        machine.sh(f"kill -{name} {wgconfine_pid(world)}")
        machine.wait_for(lambda: ended(world) is not None, "it has ended")

        assert code - 100 == ended(world)


@pytest.mark.parametrize("unit", ["wgconfine-netns@vpn.service", "wgconfine@vpn.service"])
@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_it_ends_with_its_tunnel(world: World, unit: str, verb: str) -> None:
    """It is stopped as services are, and is not run a second time when the tunnel is back."""
    machine = world.machine
    machine.sh("rm -f /root/runs")
    with running(world, "echo ran >>/root/runs; sleep 200"):
        machine.sh("until [ -s /root/runs ]; do sleep 0.1; done")
        machine.systemctl(verb, unit)
        machine.wait_for(lambda: ended(world) is not None, "it has ended")
        machine.systemctl("start", "wgconfine@vpn.service")
        time.sleep(1)

        assert 143 == ended(world)
        assert [] == units(world)
        assert "ran" == machine.sh("cat /root/runs")


def test_the_unit_itself_refuses_where_no_drop_in_is_found(world: World) -> None:
    """What `exec` tells systemd starts nothing alone. The control: without that line it runs."""
    machine = world.machine
    words = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--unit=wgconfine-exec-x-1")
    control = machine.run(*words, "echo", "ran", check=False)
    refused = machine.run(
        *words, f"--property=ExecCondition={COMMAND_REFUSAL}", "echo", "ran", check=False
    )

    assert "ran\n" == control.stdout
    assert "" == refused.stdout
    assert "nothing confines this command" in refused.stderr
