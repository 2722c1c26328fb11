"""`wgconfine exec`: what a command can do to processes of its own user's outside, and who reads."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.executing import dropin, ended, run, running, set_up, units, wgconfine_pid
from tests.matrix import ends
from tests.scenario import wgconfine

pytestmark = pytest.mark.container

PEER = r"""
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
if os.path.exists(f"/proc/{pid}/root/run/dbus/system_bus_socket"):
    print("root")
if os.access(f"/proc/{pid}/mem", os.R_OK) and libc.ptrace(0x4206, pid, 0, 0) == 0:  # SEIZE
    print("ptrace")
if libc.syscall(438, libc.syscall(434, pid, 0), 0, 0) >= 0:  # pidfd_getfd, pidfd_open
    print("pidfd_getfd")
print("tried")
"""
ACCESS = {"root", "ptrace", "pidfd_getfd"}
NO_LOSS = "1 packets transmitted, 1 received"


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a person who has something that runs outside."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        set_up(world)
        world.machine.write("/srv/peer.py", PEER)
        world.machine.sh(
            "systemd-run --quiet --unit=outside --service-type=exec --uid=alice sleep infinity"
        )
        yield world


def outside(world: World) -> str:
    return world.machine.sh("systemctl show --property=MainPID --value outside.service").strip()


def as_user(world: World, *words: str, check: bool = True) -> str:
    return wgconfine(world, "exec", "vpn", "--user", "alice", "--", *words, check=check).stdout


def test_processes_of_the_same_user_outside_are_not_entered(world: World) -> None:
    """By its root directory, ptrace(2) or pidfd_getfd(2). The control: outside each works."""
    machine = world.machine
    control = machine.run(
        *("setpriv", "--reuid=alice", "--regid=alice", "--init-groups"),
        *("python3", "/srv/peer.py", outside(world)),
    )
    inside = as_user(world, "python3", "/srv/peer.py", outside(world))

    assert ACCESS | {"tried"} == {*control.stdout.split()}
    assert "tried\n" == inside


def test_the_control_without_a_user_namespace(world: World) -> None:
    """The same unit without that line alone sees the host's bus by a process outside."""
    words = ("--quiet", "--pipe", "--wait", "--collect", "--uid=alice")
    unit = "--unit=wgconfine-exec-vpn-1_{}"
    try_it = ("python3", "/srv/peer.py", outside(world))
    machine = world.machine
    for each in ("open", "shut"):
        machine.sh(f"mkdir -p /run/wgconfine/exec /run/wgconfine/run/wgconfine-exec-vpn-1_{each}")
    without = machine.run("systemd-run", *words, unit.format("open"), *try_it, check=False)
    own = "--property=PrivateUsers=yes"
    with_it = machine.run("systemd-run", *words, unit.format("shut"), own, *try_it, check=False)

    assert {"root", "ptrace", "tried"} <= {*without.stdout.split()}
    assert "tried\n" == with_it.stdout


def test_cards_that_send_for_every_namespace_are_hidden(world: World) -> None:
    """Devices of RDMA, by a file in their place. The control: outside anybody opens it."""
    device = "/dev/infiniband/uverbs0"
    machine = world.machine
    machine.sh(f"mkdir -p /dev/infiniband; echo open >{device}; chmod 666 {device}")
    control = machine.run("setpriv", "--reuid=alice", "--clear-groups", "cat", device)
    inside = as_user(world, "sh", "-c", f"cat {device} || ls -d /dev/null")

    assert "open\n" == control.stdout
    assert "/dev/null\n" == inside


def test_a_user_keeps_files_and_groups(world: World) -> None:
    """A file of a supplementary group is read, home is written, ping(8) gets its answer."""
    machine = world.machine
    machine.sh("""
        getent group friends || { groupadd friends; usermod -aG friends alice; }
        echo shared >/srv/shared; chgrp friends /srv/shared; chmod 640 /srv/shared
    """)
    line = "cat /srv/shared; id -un; id -gn; echo mine >~/mine; ping -c1 -W20 10.66.0.1"
    told = as_user(world, "sh", "-c", line)

    assert ["shared", "alice", "alice"] == told.splitlines()[:3]
    assert NO_LOSS in told
    assert "mine alice" == machine.sh("cat /home/alice/mine; stat -c %U /home/alice/mine").replace(
        "\n", " "
    )


def test_verify_says_which_commands_have_it(world: World) -> None:
    """And says NOT CONFINED of a user's command in the host's user namespace."""
    machine = world.machine
    unit = "wgconfine-exec-vpn-1_bare.service"
    machine.sh(f"""
        mkdir -p /run/wgconfine/exec /run/wgconfine/run/{unit.removesuffix(".service")}
        systemd-run --quiet --collect --unit={unit} --service-type=exec --uid=alice sleep infinity
    """)
    try:
        found = json.loads(wgconfine(world, "verify", "vpn", "--json", check=False).stdout)
    finally:
        machine.systemctl("stop", unit)
    with running(world, "sleep 200", user="alice") as own:
        fine = json.loads(wgconfine(world, "verify", "vpn", "--json").stdout)

    assert ["not confined"] == verdicts(found, unit)
    assert ["ok"] == verdicts(fine, own)


def verdicts(report: dict[str, list[dict[str, list[dict[str, str]]]]], unit: str) -> list[str]:
    checks = report["tunnels"][0]["checks"]
    named = [each for each in checks if each["name"] == "user-namespace"]
    return [each["verdict"] for each in named if each["unit"] == unit]


@pytest.mark.parametrize("name", ["10-first.conf", "zzz.conf"])
@pytest.mark.parametrize("line", ["User=root", "PrivateUsers=no", "Environment=PATH=/srv"])
def test_a_drop_in_that_beats_the_command_line_is_refused(
    world: World, name: str, line: str
) -> None:
    """Wherever it is read. `User=root` there would make `--user alice` run as root."""
    with dropin(world, f"wgconfine-.service.d/{name}", line) as path:
        told = wgconfine(world, "exec", "vpn", "--user", "alice", "id", check=False)

    assert (1, "") == (told.returncode, told.stdout)
    assert f"{path}:2" in told.stderr


def test_what_cannot_be_begun_is_said(world: World) -> None:
    """Of systemd's 203 the reason, as 126; a program's own 203 is passed on without a word."""
    machine = world.machine
    machine.sh("printf 'echo ran' >/srv/plain; chmod 755 /srv/plain")
    failed = wgconfine(world, "exec", "vpn", "--user", "alice", "/srv/plain", check=False)
    own = wgconfine(world, "exec", "vpn", "--user", "alice", "sh", "-c", "exit 203", check=False)

    assert (126, "") == (failed.returncode, failed.stdout)
    assert "'/srv/plain' was not executed: " in failed.stderr
    assert "Exec format error" in failed.stderr
    assert (203, "") == (own.returncode, own.stderr)


@pytest.mark.parametrize(
    ("path", "text", "code", "said"),
    [
        ("/srv/bad", "#!/srv/nosuch -x\n", 126, "'/srv/nosuch': there is no such program."),
        ("/run/script", "#!/bin/sh\n", 126, "the host's /run is not there inside"),
        ("/srv/run", "#!/run/nosuch\n", 126, "'/run/nosuch': there is no such program."),
    ],
)
def test_what_is_not_there_inside_is_refused(
    world: World, path: str, text: str, code: int, said: str
) -> None:
    """Beforehand, with a reason."""
    world.machine.write(path, text, mode=0o755)
    told = run(world, path, check=False)

    assert (code, "") == (told.returncode, told.stdout)
    assert said in told.stderr


def test_a_shell_that_is_not_there(world: World) -> None:
    """Of an account whose shell's package was taken away."""
    world.machine.sh("id bob 2>/dev/null || useradd --shell /bin/nosuch bob")
    told = wgconfine(world, "exec", "vpn", "--user", "bob", check=False)

    assert 127 == told.returncode
    assert "'/bin/nosuch', the shell of bob: there is no such program.\n" == told.stderr


def test_an_argument_that_is_too_long(world: World) -> None:
    """For the kernel, when each $ of it is doubled for systemd."""
    code = "import subprocess, sys; sys.exit(subprocess.run(['wgconfine', 'exec', 'vpn', 'printf',"
    long = world.machine.run(
        "python3", "-c", f"{code} '%s', '$' * 70000]).returncode)", check=False
    )
    fine = world.machine.run("python3", "-c", f"{code} '%s', '$' * 60000]).returncode)")

    assert (2, "") == (long.returncode, long.stdout)
    assert "each may have 128 KiB, in which every $ counts twice" in long.stderr
    assert "$" * 60000 == fine.stdout


def test_arguments_that_are_too_long_together(world: World) -> None:
    """What the kernel takes of us, and no longer of systemd-run."""
    code = "import subprocess, sys; sys.exit(subprocess.run(['wgconfine', 'exec', 'vpn', 'printf',"
    told = world.machine.run(
        "python3", "-c", f"{code} '%s', *['$' * 60000] * 25]).returncode)", check=False
    )

    assert (1, "") == (told.returncode, told.stdout)
    assert "start systemd-run: Argument list too long" in told.stderr


def test_killed_it_leaves_nothing_that_waits(world: World) -> None:
    """systemd-run, which would go on reading the terminal, ends with it; the command does not."""
    machine = world.machine
    with running(world, "sleep 200") as unit:
        find = ("pgrep", "-f", f"^[^ ]*systemd-run --unit={unit}")
        before = machine.run(*find, check=False).stdout.split()
        machine.sh(f"kill -KILL {wgconfine_pid(world)}")
        machine.wait_for(lambda: ended(world) == 137, "it was killed")
        machine.wait_for(lambda: not machine.run(*find, check=False).stdout, "systemd-run ended")

        assert 1 == len(before)
        assert [unit] == units(world)
