"""Invariant 7: SIGKILL at every step, and the next run converges.

Before and after each program that the runtime runs there is a point; the N-th kills the runtime.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.netns.machine import CONF, Machine

pytestmark = pytest.mark.netns

Run = Callable[[], int]


def killed_runs(machine: Machine, run: Run) -> Iterator[int]:
    """Run until it is not killed any more: at the first point, at the second … Gives each."""
    for point in range(1, 50):
        machine.kill_runtime_at(point)
        status = run()
        machine.settle()
        if status == 0:
            return
        assert status in {-9, 137}
        yield point
    raise AssertionError("it has more than 50 points")


def test_netns_up(machine: Machine) -> None:
    """Each run is in a namespace of its own: systemd makes a new one."""

    def run() -> int:
        return machine.runtime("netns-up", prefix=["unshare", "--net"]).status

    machine.succeed("netns-up")
    state = machine.state()
    points = []
    for point in killed_runs(machine, run):
        points.append(point)
        machine.succeed("netns-up")
        assert state == machine.state(), point
        assert machine.identity("/run/netns/vpn") == machine.identity("/run/wgconfine/netns/vpn")
        if point % 2:
            machine.succeed("netns-down")
    assert len(points) >= 8  # ip, nft and two mounts, twice each


def test_netns_down(machine: Machine) -> None:
    """The next stop finishes, and the next start is not held up."""

    def run() -> int:
        return machine.runtime("netns-down").status

    machine.succeed("netns-up")
    state = machine.state()
    machine.succeed("netns-down")
    gone = machine.state()
    machine.succeed("netns-up")
    points = []
    for point in killed_runs(machine, run):
        points.append(point)
        if point % 2:
            machine.succeed("netns-down")
            assert gone == machine.state(), point
        machine.succeed("netns-up")
        assert state == machine.state(), point
    assert len(points) >= 4  # umount, twice


def test_up(closed: Machine) -> None:
    """With a new link each time, as after a boot."""

    def run() -> int:
        return closed.runtime("up").status

    closed.succeed("up")
    state = closed.state()
    points = []
    restart_link(closed)
    for point in killed_runs(closed, run):
        points.append(point)
        closed.succeed("up")
        assert state == closed.state(), point
        restart_link(closed)
    assert len(points) >= 8  # nft, ip, wg and ip, twice each
    assert state == closed.state()


def restart_link(machine: Machine) -> None:
    machine.succeed("down")
    machine.wireguard_ended()
    machine.start_wireguard()


@pytest.mark.parametrize("verb", ["up", "reload"])
def test_new_settings_on_a_live_link(tunnel: Machine, verb: str) -> None:
    """Half of them may be in force for a while, and then all are; the same link and port."""
    confs = [
        CONF,
        CONF.replace("10.66.0.2/32, fc00:66::2", "10.66.0.3/32, fc00:66::3").replace(
            "0.0.0.0/0, ::/0", "10.0.0.0/8, 2001:db8::/32"
        ),
    ]
    states = []
    for conf in confs:
        tunnel.configure(conf=conf)
        tunnel.succeed(verb)
        states.append(tunnel.state())
    link = tunnel.sh("ip -o link show wg0", inside="vpn")
    points: list[int] = []

    def run() -> int:
        tunnel.configure(conf=confs[len(points) % 2])
        return tunnel.runtime(verb).status

    for point in killed_runs(tunnel, run):
        tunnel.succeed(verb)
        assert states[len(points) % 2] == tunnel.state(), point
        points.append(point)
    assert len(points) >= 8
    assert link == tunnel.sh("ip -o link show wg0", inside="vpn")


def test_down(tunnel: Machine) -> None:
    """The next stop finishes it, and so does the next start."""

    def run() -> int:
        return tunnel.runtime("down").status

    up = tunnel.state()
    tunnel.succeed("down")
    tunnel.wireguard_ended()
    down = tunnel.state()
    points = []
    restart_link(tunnel)
    tunnel.succeed("up")
    for point in killed_runs(tunnel, run):
        points.append(point)
        tunnel.succeed("down")
        tunnel.wireguard_ended()
        assert down == tunnel.state(), point
        restart_link(tunnel)
        tunnel.succeed("up")
        assert up == tunnel.state(), point
    assert len(points) >= 4  # ip and nft, twice each
