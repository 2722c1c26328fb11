"""Invariant 7: SIGKILL at every step, and the next run converges.

The steps are real ones: before and after each execve, mount, rename, sendmsg and their like, of the
runtime and of every program it runs. lab/guest/root/usr/lib/lab/kill-at.py counts them.
"""

from collections.abc import Callable

import pytest

from tests.faults import EXTENT, Table
from tests.netns.machine import CONF, LINK, PEER, Machine

pytestmark = pytest.mark.netns

Property = Callable[[str, object], None]
Prepare = Callable[[], object]

OTHER_CONF = CONF.replace("10.66.0.2/32, fc00:66::2", "10.66.0.3/32, fc00:66::3").replace(
    "0.0.0.0/0, ::/0", "10.0.0.0/8, 2001:db8::/32"
)
TRACED = (
    *("execve", "rename", "mount", "umount2", "sendmsg", "sendto", "unlink", "mkdir", "setns"),
    *("pwrite64", "ftruncate"),
)
NAMED_CONF = CONF.replace("192.0.2.2:51820", "vpn.example:51820")
SYSTEMCTL = """#!/bin/sh
case "$1" in is-active) echo active;; *) echo "$@" >>/run/lab/asked;; esac
"""


class Faults:
    """Kills one verb at its steps, one after the other, and has it run again each time."""

    def __init__(self, machine: Machine, verb: str, most: int | None) -> None:
        self.machine, self.verb, self.most = machine, verb, most

    def converge(self, begin: Prepare, state: Callable[[], object] | None = None) -> Table:
        """Whatever `begin` prepares: after a kill and once more the verb, the state is the same."""
        look = state or self.machine.state
        begin()
        self.machine.succeed(self.verb)  # what is made once and for ever is no step
        begin()
        done, steps = self.machine.killed_at(self.verb, 0)
        assert done.status == 0, done.said
        clean = look()
        self.machine.succeed(self.verb)
        assert clean == look(), "twice is not once"
        table = Table(steps=tuple(steps), most=self.most)
        for number in table.numbers():
            begin()
            killed, _ = self.machine.killed_at(self.verb, number)
            assert 137 == killed.status, f"{number}: {steps[number - 1]}: {killed.said}"
            self.machine.succeed(self.verb)
            assert clean == look(), f"{number}: {steps[number - 1]}"
        return table


@EXTENT
def test_netns_up(machine: Machine, most: int | None, record_property: Property) -> None:
    """Each run is in a namespace of its own: systemd makes a new one."""

    def state() -> object:
        named, record = "/run/netns/vpn", "/run/wgconfine/netns/vpn"
        return machine.state(), machine.identity(named) == machine.identity(record)

    table = Faults(machine, "netns-up", most).converge(lambda: machine.succeed("netns-down"), state)
    record_property("table", table.describe())
    assert {"before execve of python", "after execve of ip"} & set(table.steps)


@EXTENT
def test_netns_down(machine: Machine, most: int | None, record_property: Property) -> None:
    """The next stop finishes."""
    table = Faults(machine, "netns-down", most).converge(lambda: machine.succeed("netns-up"))
    record_property("table", table.describe())
    assert "after umount2 of umount" in table.steps


@EXTENT
def test_netns_up_after_half_a_stop(
    machine: Machine, most: int | None, record_property: Property
) -> None:
    """The next start is not held up by it."""
    machine.succeed("netns-up")
    state = machine.state()
    _, steps = machine.killed_at("netns-down", 0)
    table = Table(steps=tuple(steps), most=most)
    for number in table.numbers():
        machine.succeed("netns-up")
        machine.killed_at("netns-down", number)
        machine.succeed("netns-up")
        assert state == machine.state(), f"{number}: {steps[number - 1]}"
    record_property("table", table.describe())


def new_link(machine: Machine) -> None:
    """As after a boot: wireguard-go has a link in the host's namespace, the tunnel is down."""
    machine.succeed("down")
    machine.wireguard_ended()
    machine.start_wireguard()


@EXTENT
def test_up(tunnel: Machine, most: int | None, record_property: Property) -> None:
    """With a new link each time, as after a boot."""
    table = Faults(tunnel, "up", most).converge(lambda: new_link(tunnel))
    record_property("table", table.describe())
    assert {"after execve of nft", "after sendmsg of ip", "after execve of wg"} <= set(table.steps)


@EXTENT
@pytest.mark.parametrize("verb", ["up", "reload"])
def test_new_settings_on_a_live_link(
    tunnel: Machine, verb: str, most: int | None, record_property: Property
) -> None:
    """Half of them may be in force for a while, and then all are; the same link and port."""
    link = tunnel.sh("ip -o link show wg0", inside="vpn")

    def begin() -> None:
        tunnel.configure(conf=OTHER_CONF)
        tunnel.succeed("reload")
        tunnel.configure(conf=CONF)

    table = Faults(tunnel, verb, most).converge(begin)
    record_property("table", table.describe())
    assert link == tunnel.sh("ip -o link show wg0", inside="vpn")


@EXTENT
def test_down(tunnel: Machine, most: int | None, record_property: Property) -> None:
    """The next stop finishes it."""

    def begin() -> None:
        new_link(tunnel)
        tunnel.succeed("up")

    def state() -> object:
        tunnel.wireguard_ended()
        return tunnel.state()

    table = Faults(tunnel, "down", most).converge(begin, state)
    record_property("table", table.describe())


@EXTENT
def test_endpoint(tunnel: Machine, most: int | None, record_property: Property) -> None:
    """A name that has an answer is set as endpoint."""
    tunnel.write("/etc/hosts", "192.0.2.2 vpn.example\n")

    def begin() -> None:
        tunnel.sh(f"wg set {LINK} peer {PEER} endpoint 192.0.2.9:9")
        tunnel.configure(conf=NAMED_CONF)
        tunnel.succeed("reload")

    table = Faults(tunnel, "endpoint", most).converge(begin)
    record_property("table", table.describe())
    assert "192.0.2.2:51820" in tunnel.sh(f"wg show {LINK} endpoints")


@EXTENT
def test_resume(tunnel: Machine, most: int | None, record_property: Property) -> None:
    """Whoever is wanted is asked for, at the latest by the next run."""
    tunnel.write("/usr/sbin/systemctl", SYSTEMCTL, mode=0o755)

    def asked() -> str:
        return tunnel.sh("tail -n 1 /run/lab/asked")

    table = Faults(tunnel, "resume", most).converge(
        lambda: tunnel.sh("rm -f /run/lab/asked"), asked
    )
    record_property("table", table.describe())
    assert "start --no-block --job-mode=fail -- a.service" == asked()


@EXTENT
def test_clear(tunnel: Machine, most: int | None, record_property: Property) -> None:
    """Nothing of the last run of a service is left, and no leftover of a run of ours."""

    def begin() -> None:
        tunnel.sh("cd /run/wgconfine/run; mkdir -p a/x/y =0=a; touch a/x/z")

    table = Faults(tunnel, "clear", most).converge(begin)
    record_property("table", table.describe())
    assert "" == tunnel.sh("ls /run/wgconfine/run")


def test_the_steps_are_those_that_strace_shows(tunnel: Machine) -> None:
    """Every system call of the list that strace(1) sees in a clean run is a step, none else is."""
    new_link(tunnel)
    done, steps = tunnel.killed_at("up", 0)
    assert done.status == 0, done.said
    new_link(tunnel)
    log = "/run/lab/strace"
    only = ["-f", "-qq", "-o", log, "-e", f"trace={','.join(TRACED)}"]
    done = tunnel.runtime("up", prefix=["strace", *only])
    assert done.status == 0, done.said
    lines = [line.split(maxsplit=1)[1] for line in tunnel.path(log).read_text().splitlines()]
    for when in ("before", "after"):
        named = [step.split()[1] for step in steps if step.startswith(when)]
        assert sorted(each for each in named if each in TRACED) == sorted(
            line.partition("(")[0] for line in lines if line.startswith(TRACED)
        )
