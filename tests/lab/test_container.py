"""The container of the lab: real systemd, its own internet, nothing of the real machine."""

import os
import time
from pathlib import Path

import pytest

from lab import DENY_SETNS, RELEASES, CommandFailed, World
from lab.cache import cache_folder
from lab.fixtures import BootContainer

pytestmark = pytest.mark.container


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_boots(release: str, boot_container: BootContainer) -> None:
    """Each Debian boots without a failed unit, and its systemd is the one we think."""
    machine = boot_container(release).machine

    version = {"bookworm": "systemd 252 ", "trixie": "systemd 257 ", "forky": "systemd 26"}[release]
    assert machine.run("systemctl", "--version").stdout.startswith(version)
    assert "running" == machine.run("systemctl", "is-system-running").stdout.strip()


def test_machine_is_seen_with_its_own_address(trixie: World) -> None:
    """In the open the web server sees the machine's own addresses, on IPv4 and on IPv6."""
    assert "198.51.100.2" == trixie.machine.sh("curl -4s http://web.example.net")
    assert "2001:db8:51::2" == trixie.machine.sh("curl -6s http://web.example.net")


def test_look_ups_are_recorded(trixie: World) -> None:
    """The provider's resolver remembers who asked for what."""
    trixie.machine.run("getent", "ahostsv4", "once.probe.example.net")

    asked = [query for query in trixie.internet.dns_queries() if query.name.startswith("once.")]
    assert {("A", "198.51.100.2", "isp")} == {(q.type, q.client, q.resolver) for q in asked}


def test_failed_command_says_everything(trixie: World) -> None:
    """The error of a failed command has its command line, exit code and both outputs."""
    with pytest.raises(CommandFailed) as caught:
        trixie.machine.run("sh", "-c", "echo out; echo err >&2; exit 3")

    for part in ("exit 3", "echo out", "--- stdout\nout", "--- stderr\nerr"):
        assert part in str(caught.value)


def test_commands_end_in_time(trixie: World) -> None:
    """A command that takes too long is killed and fails with 124."""
    completed = trixie.machine.run("sleep", "60", check=False, timeout=0.5)

    assert 124 == completed.returncode


def test_files_keep_their_mode(trixie: World) -> None:
    """A file is written with the mode asked for, and read back as it was."""
    trixie.machine.write("/root/new/secret", "text\n", mode=0o600)

    assert "text\n" == trixie.machine.read("/root/new/secret")
    assert "600" == trixie.machine.sh("stat -c %a /root/new/secret")


@pytest.mark.parametrize(
    "change",
    [
        "date --set=2001-01-01",
        "echo 1 >/proc/sys/kernel/panic",
        "echo 1 >/proc/sys/vm/drop_caches",
        "mkdir /sys/kernel/lab",
    ],
)
def test_real_machine_cannot_be_changed(trixie: World, change: str) -> None:
    """Clock, kernel settings and devices of the real machine are out of reach."""
    before = time.time()

    with pytest.raises(CommandFailed):
        trixie.machine.sh(change)

    assert 0 <= time.time() - before < 60


def test_network_settings_of_a_new_namespace_can_be_written(trixie: World) -> None:
    """/proc/sys/net is each namespace's own: a change in a new one is not seen in the machine's."""
    read = "cat /proc/sys/net/ipv4/ip_forward"
    trixie.machine.sh(
        "ip netns add own; ip netns exec own sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'"
    )

    assert "1" == trixie.machine.sh(f"ip netns exec own {read}")
    assert "0" == trixie.machine.sh(read)


def test_reboot_keeps_files_and_nothing_else(boot_container: BootContainer) -> None:
    """After a reboot the files are there, the uplink works, and the network namespace is new."""
    machine = boot_container("trixie").machine
    machine.write("/etc/kept", "yes")
    machine.sh("ip netns add gone")

    machine.reboot()

    assert "yes" == machine.read("/etc/kept")
    assert "" == machine.sh("ip netns list")
    assert "198.51.100.2" == machine.sh("curl -4s http://web.example.net")


def test_systemd_can_be_refused_a_namespace(boot_container: BootContainer) -> None:
    """PID 1 that may not join a namespace runs an unguarded unit in the host's, with success."""
    machine = boot_container("trixie", init_prefix=DENY_SETNS).machine
    machine.sh("ip netns add x")
    run = "systemd-run --quiet --wait --pipe --property=NetworkNamespacePath=/run/netns/x"

    assert machine.sh("readlink /proc/1/ns/net") == machine.sh(f"{run} readlink /proc/self/ns/net")


def test_closing_leaves_nothing(boot_container: BootContainer) -> None:
    """After close() no process, mount, link, cgroup or folder of the world is left."""
    before = _traces()
    world = boot_container("trixie")
    during = _traces()

    world.close()

    assert before < during
    assert before == _traces()


def _traces() -> set[str]:
    """What this process has on the real machine: children, mounts, cgroups, links, folders.

    Other workers have theirs meanwhile, and one of them a tun device: tests/netns/test_process.py.
    """
    name = f"wgconfine-lab.{os.getpid()}."
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    return {
        *Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
        *(each for each in mounts if name in each),
        *(each for each in links if not each.startswith("wgc-unit")),
        *(os.fspath(path) for path in Path("/sys/fs/cgroup").glob(f"*/{name}*")),
        *(os.fspath(path) for path in Path("/sys/fs/cgroup").glob(f"{name}*")),
        *(os.fspath(path) for path in (cache_folder() / "scratch").glob(f"{name}*")),
    }
