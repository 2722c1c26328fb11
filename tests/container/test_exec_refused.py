"""`wgconfine exec`: what it refuses, and what the other commands say and do of what it runs."""

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.executing import (
    DROPIN,
    as_alice,
    dropin,
    ended,
    run,
    running,
    set_up,
    units,
    wgconfine_pid,
)
from tests.matrix import first
from tests.scenario import wgconfine

pytestmark = pytest.mark.container


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a person who may use sudo(8), and two tunnels with names alike."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        set_up(world)
        yield world


def test_it_runs_as_root_and_as_whom_one_names(world: World) -> None:
    """Without sudo the caller is root; a directory that a user can't enter is said."""
    machine = world.machine
    told = machine.run("sh", "-c", "cd /root; wgconfine exec vpn --user alice pwd")

    assert "root" == run(world, "id", "-un").stdout.strip()
    assert "/home/alice\n" == told.stdout
    assert "'/root' can't be entered by alice inside: starting in '/home/alice'.\n" == told.stderr
    assert "1000" == wgconfine(world, "exec", "vpn", "--user=1000", "id", "-u").stdout.strip()


def test_a_name_may_be_a_number(world: World) -> None:
    """It is that user's, even where another has the number: nobody becomes root by the name 0."""
    machine = world.machine
    machine.sh("echo '0:x:4200:4200::/srv:/bin/sh' >>/etc/passwd; echo '0:x:4200:' >>/etc/group")
    try:
        called = machine.run("env", "SUDO_USER=0", "wgconfine", "exec", "vpn", "--", "id", "-u")
        named = wgconfine(world, "exec", "vpn", "--user=0", "--", "id", "-u")
    finally:
        machine.sh("sed -i '/^0:/d' /etc/passwd /etc/group")

    assert "4200\n" == called.stdout
    assert "4200\n" == named.stdout


def test_a_directory_is_never_more_lines_of_the_unit(world: World) -> None:
    """systemd reads its file at a daemon-reload: with such a name it would start what it says."""
    machine = world.machine
    machine.write(
        "/etc/systemd/system/planted.service", "[Service]\nExecStart=/bin/touch /root/planted\n"
    )
    place = "/srv/x\n[Unit]\nOnSuccess=planted.service\nOnFailure=planted.service"
    machine.run("mkdir", "-p", "/srv/x", place)
    machine.sh("install -d -m 777 /srv/turns; rm -f /srv/turns/*")
    line = "pwd; echo >/srv/turns/hers; until [ -e /srv/turns/ours ]; do sleep 0.1; done"
    script = f"""
        cd {shlex.quote(place)}
        {{
            until [ -e /srv/turns/hers ]; do sleep 0.1; done
            systemctl daemon-reload; echo >/srv/turns/ours
        }} &
        wgconfine exec vpn --user alice -- sh -c {shlex.quote(line)}
        wait; sleep 1; ls /root/planted || true
    """
    told = machine.run("bash", "-c", script)

    assert "/home/alice" == told.stdout.splitlines()[0]
    assert "/root/planted\n" not in told.stdout
    assert "OnSuccess=planted.service" in told.stderr
    assert "can't be entered by alice inside: starting in '/home/alice'.\n" in told.stderr


def test_strangers_do_not_say_why_a_program_did_not_begin(world: World) -> None:
    """Anybody may write to the journal. The control: what systemd says of a program is said."""
    machine = world.machine
    message = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7\\nUNIT=$0\\nMESSAGE=forged\\n"
    forge = f'printf "{message}" | setpriv --reuid=games logger --journald'
    machine.sh("install -d -m 755 /srv/forged; rm -f /srv/forged/done")
    line = "until [ -e /srv/forged/done ]; do sleep 0.1; done; exit 203"
    with running(world, line, user="alice") as unit:
        machine.run("bash", "-c", forge, unit)
        machine.sh("journalctl --sync; touch /srv/forged/done")
        machine.wait_for(lambda: ended(world) is not None, "it has ended")
    machine.write("/srv/none", "no program\n", mode=0o755)
    control = wgconfine(world, "exec", "vpn", "--user=alice", "--", "/srv/none", check=False)

    assert "forged\n" == machine.run("journalctl", "-o", "cat", f"UNIT={unit}", "_UID=5").stdout
    assert 203 == ended(world)
    assert 126 == control.returncode
    assert "'/srv/none' was not executed: Failed at step EXEC" in control.stderr


def test_who_is_not_root_may_not(world: World) -> None:
    """Whoever may start transient units is root: no rule of polkit's is shipped."""
    told = as_alice(world, "wgconfine exec vpn id")

    assert (4, "") == (told.returncode, told.stdout)


def test_a_user_without_a_shell_needs_a_command(world: World) -> None:
    """Of an account that nobody logs in to."""
    shell = wgconfine(world, "exec", "vpn", "--user", "daemon", check=False)
    command = wgconfine(world, "exec", "vpn", "--user", "daemon", "--", "id", "-un")

    assert (2, "") == (shell.returncode, shell.stdout)
    said = "The shell of daemon is /usr/sbin/nologin, which is none. Name a command.\n"
    assert said == shell.stderr
    assert "daemon\n" == command.stdout


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
    assert "Lead it through a pipe: cat | wgconfine exec …" in told.stderr
    assert "ran" not in told.stdout


def test_a_connection_of_the_callers_may_be_handed_in(world: World) -> None:
    """As ssh(1) does without a terminal."""
    assert 0 == world.machine.run("python3", "-c", INHERITED, "pair").returncode


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


@pytest.mark.parametrize(
    ("line", "said", "code"),
    [
        ("RestrictAddressFamilies=", "exec: it would not be confined\n", 3),
        ("WorkingDirectory=/srv", "exec: it would not run as it was asked to\n", 0),
    ],
)
def test_a_drop_in_of_others_is_refused(world: World, line: str, said: str, code: int) -> None:
    """One for all services that is read after ours: nothing runs. `verify` fails for what is open.

    A directory of another's lets nothing out, and the machine may have it for reasons of its own.
    """
    with dropin(world, "service.d/zzz.conf", line) as path:
        told = run(world, "echo", "ran", check=False)
        found = wgconfine(world, "verify", "vpn", "--json", check=False)

    assert (1, "") == (told.returncode, told.stdout)
    assert said in told.stderr
    assert path in told.stderr
    assert code == found.returncode
    checks = {each["name"]: each for each in json.loads(found.stdout)["tunnels"][0]["checks"]}
    assert path in checks["exec-drop-ins"]["evidence"]


def test_a_variable_for_all_services_is_for_commands_too(world: World) -> None:
    """A proxy's, say: it changes neither who nor what runs."""
    with dropin(world, "service.d/zzz.conf", "Environment=A=1"):
        told = run(world, "sh", "-c", 'echo "$A"')

    assert "1" == told.stdout.strip()


def test_a_command_outside_is_called_so(world: World) -> None:
    """A unit of such a name that runs in the open is found by `status` and `verify`."""
    machine = world.machine
    machine.sh(f"""
        mv {DROPIN} /root/kept; systemctl daemon-reload
        systemd-run --quiet --unit=wgconfine-exec-vpn-1_x --service-type=exec sleep 300
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
