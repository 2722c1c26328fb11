"""`wgconfine exec`: what runs inside, by whom, with which words, and what keeps it there."""

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Completed, World, assert_confined, boot_container
from tests.matrix import EVERYWHERE
from tests.scenario import HOST, TUNNEL, WEB, wgconfine, write_tunnel
from wgconfine.render.command import COMMAND_REFUSAL

pytestmark = pytest.mark.container

DROPIN = "/etc/systemd/system/wgconfine-exec-vpn-.service.d/zz-wgconfine.exec.conf"

# All that a person may try by hand: TCP and UDP over both families, names by glibc and by the
# addresses of resolvers, and the sockets by which the host would do it. Says what answers.
TRIES = r"""
for i in 1 2 3 4 5; do
    for v in 4 6; do curl -$v -s -m 3 http://web.example.net/; done
    getent hosts tried-$1-$i.example.net >/dev/null
    dig +time=1 +tries=1 @198.51.100.1 asked-$1-$i.example.net >/dev/null
    dig +time=1 +tries=1 @2001:db8:51::1 asked-$1-$i.example.net >/dev/null
done
for each in /run/dbus/system_bus_socket /run/systemd/private /run/systemd/resolve/io.systemd.Resolve
do [ -S $each ] && echo $each; done
busctl --system --timeout=3 list >/dev/null 2>&1 && echo bus
systemd-run --quiet --pipe --wait echo started 2>/dev/null
true
"""
DOORS = {"/run/dbus/system_bus_socket", "/run/systemd/private", "bus", "started"}


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a person who may use sudo(8), and two tunnels with names alike."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        world.machine.sh("useradd --create-home --shell /bin/bash alice")
        world.machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
        write_tunnel(world)
        write_tunnel(world, name="vpn-b", client=3)
        wgconfine(world, "apply")
        yield world


def run(world: World, *words: str, name: str = "vpn", check: bool = True) -> Completed:
    """Run something inside as root."""
    return wgconfine(world, "exec", name, "--", *words, check=check)


def as_alice(world: World, line: str) -> Completed:
    """Have her shell run a line, at home."""
    return world.machine.run("su", "--login", "alice", "-c", line, check=False, timeout=120)


@contextmanager
def running(world: World, line: str, *, name: str = "vpn") -> Iterator[str]:
    """Have a line of shell run inside meanwhile, and give its unit; how it ended is in /root/rc."""
    words = f"exec {name} -- sh -c {shlex.quote(line)}"
    world.machine.sh(f"""
        rm -f /root/rc
        {{ code=0; wgconfine {words} || code=$?; echo $code >/root/rc; }} </dev/null &>/dev/null &
    """)
    world.machine.wait_for(lambda: bool(units(world, name)), "it runs")
    try:
        yield units(world, name)[0]
    finally:
        for unit in units(world, name):
            world.machine.systemctl("stop", unit, check=False)
        world.machine.wait_for(lambda: ended(world) is not None, "it has ended")


def units(world: World, name: str = "vpn") -> list[str]:
    """Give the units of a tunnel's commands whose program runs."""
    pattern = f"wgconfine-exec-{name.replace('-', '?x2d')}-*"
    listing = ("list-units", "--plain", "--no-legend", "--state=active", pattern)
    return [line.split()[0] for line in world.machine.systemctl(*listing).stdout.splitlines()]


def ended(world: World) -> int | None:
    text = world.machine.run("cat", "/root/rc", check=False).stdout.strip()
    return int(text) if text else None


def wgconfine_pid(world: World) -> str:
    return world.machine.sh("pgrep -o -f '^[^ ]*python[^ ]* [^ ]*wgconfine exec'")


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
    line = f"curl -4 -s -m 5 {WEB}; cat /proc/self/cgroup | tail -1"
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


def test_it_runs_as_root_and_as_whom_one_names(world: World) -> None:
    """Without sudo the caller is root; a directory that a user can't enter is said."""
    machine = world.machine
    told = machine.run("sh", "-c", "cd /root; wgconfine exec vpn --user alice pwd")

    assert "root" == run(world, "id", "-un").stdout.strip()
    assert "/home/alice\n" == told.stdout
    assert "'/root' can't be entered by alice inside: starting in '/home/alice'.\n" == told.stderr
    assert "1000" == wgconfine(world, "exec", "vpn", "--user=1000", "id", "-u").stdout.strip()


def test_no_rights_are_won_inside(world: World) -> None:
    """sudo(8) does nothing there, and root has nothing that leads out of the namespace."""
    sudo = wgconfine(world, "exec", "vpn", "--user", "alice", "sudo", "id", check=False)
    enter = run(world, "nsenter", "--target=1", "--net", "true", check=False)
    link = run(world, "ip", "link", "add", "x", "type", "dummy", check=False)
    ping = wgconfine(world, "exec", "vpn", "--user", "alice", "ping", "-c1", "-W5", "10.66.0.1")

    assert 0 not in {sudo.returncode, enter.returncode, link.returncode}
    assert "1 received" in ping.stdout


def test_who_is_not_root_may_not(world: World) -> None:
    """Whoever may start transient units is root: no rule of polkit's is shipped."""
    told = as_alice(world, "wgconfine exec vpn id")

    assert (4, "") == (told.returncode, told.stdout)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuch"], 127, "'nosuch': there is no such program."),
        (["/etc/hostname"], 126, "'/etc/hostname': root may not execute it."),
    ],
)
def test_programs_that_cant_run(world: World, words: list[str], code: int, said: str) -> None:
    """Exit codes are those of a shell."""
    told = run(world, *words, check=False)

    assert (code, f"{said}\n") == (told.returncode, told.stderr)


INHERITED = """\
import socket, subprocess, sys
pair = socket.socketpair()
made = {
    "inet": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "unbound": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "pair": lambda: pair[0],
    "namespace": lambda: open("/proc/1/ns/net"),
    "tun": lambda: open("/dev/net/tun", "r+b", buffering=0),
    "directory": lambda: open(sys.argv[2]),
}[sys.argv[1]]()
done = subprocess.run(["wgconfine", "exec", "vpn", "echo", "ran"], stdout=made, stderr=2)
sys.exit(done.returncode)
"""


@pytest.mark.parametrize("kind", ["inet", "unbound", "namespace", "tun"])
def test_what_leads_out_is_not_handed_in(world: World, kind: str) -> None:
    """A socket of the host's network, a device or a namespace as standard output is refused."""
    told = world.machine.run("python3", "-c", INHERITED, kind, check=False)

    assert 2 == told.returncode, told
    assert "standard output is a" in told.stderr
    assert "ran" not in told.stdout


def test_a_connection_of_the_callers_may_be_handed_in(world: World) -> None:
    """As ssh(1) does without a terminal."""
    assert 0 == world.machine.run("python3", "-c", INHERITED, "pair").returncode


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("INT", 130), ("HUP", 129)])
def test_signals_reach_the_command(world: World, name: str, code: int) -> None:
    """Whoever ends `wgconfine exec` ends what it runs, and hears how that ended."""
    with running(world, f"trap 'exit {code - 100}' {name}; while :; do sleep 0.1; done"):
        world.machine.sh(f"kill -{name} {wgconfine_pid(world)}")
        world.machine.wait_for(lambda: ended(world) is not None, "it has ended")

        assert code - 100 == ended(world)


def test_killed_it_stays_inside(world: World) -> None:
    """SIGKILL can't be handed on: the command runs on where it is, and `status` lists it."""
    machine = world.machine
    with running(world, "sleep 200") as unit:
        machine.sh(f"kill -KILL {wgconfine_pid(world)}")
        machine.wait_for(lambda: ended(world) == 137, "it was killed")
        time.sleep(1)

        assert [unit] == units(world)
        assert 0 == wgconfine(world, "verify", "vpn", check=False).returncode
        machine.systemctl("stop", unit)
    assert run(world, "true").returncode == 0
    assert "" == machine.sh("ls /run/wgconfine/exec /run/wgconfine/run | grep exec-vpn || true")


@pytest.mark.parametrize("unit", ["wgconfine-netns@vpn.service", "wgconfine@vpn.service"])
@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_it_ends_with_its_tunnel(world: World, unit: str, verb: str) -> None:
    """It is stopped as services are, and is not run a second time when the tunnel is back."""
    machine = world.machine
    machine.sh("rm -f /root/runs")
    with running(world, "echo ran >>/root/runs; sleep 200"):
        machine.systemctl(verb, unit)
        machine.wait_for(lambda: ended(world) is not None, "it has ended")
        machine.systemctl("start", "wgconfine@vpn.service")
        time.sleep(1)

        assert 143 == ended(world)
        assert [] == units(world)
        assert "ran" == machine.sh("cat /root/runs")


def test_a_tunnel_that_is_down_is_not_started(world: World) -> None:
    """That is for its owner to say, and nothing runs."""
    machine = world.machine
    machine.systemctl("stop", "wgconfine@vpn.service")
    try:
        told = run(world, "echo", "ran", check=False)
        assert (1, "") == (told.returncode, told.stdout)
        assert "vpn: wgconfine@vpn.service is stopped" in told.stderr
        assert not machine.is_active("wgconfine@vpn.service")
    finally:
        machine.systemctl("start", "wgconfine@vpn.service")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (f"rm {DROPIN}", "it is missing"),
        (f"sed -i /^NetworkNamespacePath/d {DROPIN}", "it was edited"),
        (f"sed -i /^RestrictAddressFamilies/d {DROPIN}", "it was edited"),
    ],
)
def test_without_what_confines_nothing_runs(world: World, spoil: str, said: str) -> None:
    """A drop-in that is gone or another is a refusal, and `apply` mends it."""
    machine = world.machine
    machine.sh(f"cp -a {DROPIN} /root/kept; {spoil}; systemctl daemon-reload")
    try:
        told = run(world, "echo", "ran", check=False)
        found = wgconfine(world, "verify", "vpn", check=False)
    finally:
        mended = wgconfine(world, "apply")

    assert (1, "") == (told.returncode, told.stdout)
    assert said in told.stderr
    assert 3 == found.returncode
    assert f"create {DROPIN}" in mended.stderr or f"update {DROPIN}" in mended.stderr
    assert "ran" == run(world, "echo", "ran").stdout.strip()


def test_a_later_drop_in_of_others_is_refused(world: World) -> None:
    """One for all services that is read after ours and undoes a line of it: nothing runs."""
    machine = world.machine
    path = "/etc/systemd/system/service.d/zzz.conf"
    machine.write(path, "[Service]\nRestrictAddressFamilies=\n")
    machine.systemctl("daemon-reload")
    try:
        told = run(world, "echo", "ran", check=False)
        found = wgconfine(world, "verify", "vpn", check=False)
    finally:
        machine.sh(f"rm {path}; systemctl daemon-reload")

    assert (1, "") == (told.returncode, told.stdout)
    assert path in told.stderr
    assert 3 == found.returncode
    assert "exec-drop-ins" in found.stdout


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


def test_a_command_outside_is_called_so(world: World) -> None:
    """A unit of such a name that runs in the open is found by `status` and `verify`."""
    machine = world.machine
    machine.sh(f"""
        mv {DROPIN} /root/kept; systemctl daemon-reload
        systemd-run --quiet --unit=wgconfine-exec-vpn-1_x sleep 300
        mv /root/kept {DROPIN}; systemctl daemon-reload
    """)
    try:
        status = wgconfine(world, "status", check=False)
        verify = wgconfine(world, "verify", "vpn", check=False)
    finally:
        machine.systemctl("stop", "wgconfine-exec-vpn-1_x.service")

    assert (3, 3) == (status.returncode, verify.returncode)
    assert "exec sleep of root: NOT CONFINED, wgconfine-exec-vpn-1_x.service" in status.stdout
    assert "namespace of wgconfine-exec-vpn-1_x.service" in verify.stdout


def test_what_runs_is_shown(world: World) -> None:
    """`status` names it, `verify` looks at it as at a service, `logs` has it."""
    with running(world, "sleep 200; true") as unit:
        status = wgconfine(world, "status").stdout
        verify = wgconfine(world, "verify", "vpn", "--json")
        logs = wgconfine(world, "logs", "vpn", "--lines=50").stdout

    checks = json.loads(verify.stdout)["tunnels"][0]["checks"]
    names = {each["name"] for each in checks if each["unit"] == unit}
    assert f"  exec sh of root: confined, {unit}\n" in status
    assert {"ok"} == {each["verdict"] for each in checks if each["unit"] == unit}
    assert {"namespace", "sockets", "run", "BindsTo", "ExecCondition", "started-with"} <= names
    assert unit in logs


def test_apply_stops_it_where_its_confinement_changes(world: World) -> None:
    """Disabling or removing a tunnel says that it ends, and ends it."""
    path = "/etc/wgconfine/vpn-b.toml"
    machine = world.machine
    before = machine.read(path)
    with running(world, "sleep 200", name="vpn-b") as unit:
        machine.write(path, f"enable = false\n{before}")
        plan = wgconfine(world, "plan", check=False)
        wgconfine(world, "apply", "--yes")
        machine.wait_for(lambda: ended(world) is not None, "it has ended")
        machine.write(path, before)
        wgconfine(world, "apply", "--yes")

    assert f"stop {unit}  (the tunnel is removed or disabled)" in plan.stdout
    assert 143 == ended(world)
