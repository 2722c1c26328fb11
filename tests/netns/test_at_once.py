"""Two verbs of one tunnel at once take turns, and the end is that of one after the other."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from tests.netns.machine import Done, Machine, own_namespace

pytestmark = pytest.mark.netns

LOCK = "/run/wgconfine/lock/vpn"
WAITING = f"waiting for another that holds {LOCK}"
HOLD = f"""
mkdir -p /run/wgconfine/lock
exec flock {LOCK} sh -c 'touch /run/held; until [ -e /run/enough ]; do sleep 0.1; done'
"""


def at_once(machine: Machine, *verbs: str) -> list[Done]:
    """Run verbs that all find the lock held, so that they begin together when it is free."""
    machine.sh("rm -f /run/held /run/enough")
    machine.start("sh", "-c", HOLD)
    machine.wait_for(machine.path("/run/held").exists)
    with ThreadPoolExecutor(len(verbs)) as threads:
        running = [
            threads.submit(machine.runtime, verb, prefix=own_namespace(verb)) for verb in verbs
        ]
        try:
            machine.wait_for(lambda: machine.waiting_for(LOCK) == len(verbs))
        finally:
            machine.sh("touch /run/enough")
        return [each.result() for each in running]


def new_link(machine: Machine) -> None:
    machine.succeed("down")
    machine.wireguard_ended()
    machine.start_wireguard()


@pytest.mark.parametrize("verbs", [("up", "up"), ("reload", "reload"), ("up", "reload")])
def test_up_and_reload(tunnel: Machine, verbs: tuple[str, ...]) -> None:
    """Each does its work, on a new link and on a live one, and says that it waits.

    A reload brings no tunnel up that is down.
    """
    state = tunnel.state()
    for prepare in (lambda _: None, new_link) if "up" in verbs else (lambda _: None,):
        prepare(tunnel)
        done = at_once(tunnel, *verbs)
        assert [0, 0] == [each.status for each in done]
        assert [1, 1] == [each.said.count(WAITING) for each in done]
        assert state == tunnel.state()


def test_up_and_down(tunnel: Machine) -> None:
    """Whichever comes last decides."""
    ends = []
    for verbs in permutations(("reload", "down")):
        new_link(tunnel)
        tunnel.succeed("up")
        tunnel.runtime(verbs[0])
        done = tunnel.runtime(verbs[1])
        if verbs[-1] == "down":
            tunnel.wireguard_ended()
            assert done.status == 0
        ends.append((done.status, tunnel.state()))
        tunnel.start_wireguard()
        tunnel.succeed("up")
    done_both = at_once(tunnel, "reload", "down")
    if done_both[0].status == 0:
        tunnel.wireguard_ended()
    assert (done_both[0].status, tunnel.state()) in [(0, ends[0][1]), ends[1]]


@pytest.mark.parametrize("verb", ["netns-up", "netns-down"])
def test_namespaces(machine: Machine, verb: str) -> None:
    """One name and one record at most, of the same namespace."""
    machine.succeed("netns-up")
    machine.succeed(verb)
    state = machine.state()
    done = at_once(machine, verb, verb)
    assert [0, 0] == [each.status for each in done]
    assert state == machine.state()
    if verb == "netns-up":
        named, record = "/run/netns/vpn", "/run/wgconfine/netns/vpn"
        assert machine.identity(named) == machine.identity(record)


def test_the_lock_is_not_free_while_a_killed_holders_program_runs(tunnel: Machine) -> None:
    """It would go on to change the link under the next one's hands."""
    tunnel.write(
        "/usr/sbin/wg",
        "#!/bin/sh\ntouch /run/began; until [ -e /run/enough ]; do sleep 0.1; done\n"
        "touch /run/ended\n",
        mode=0o755,
    )
    with ThreadPoolExecutor(2) as threads:
        killed = threads.submit(tunnel.runtime, "reload")
        try:
            tunnel.wait_for(tunnel.path("/run/began").exists)
            tunnel.sh("pkill -KILL -f 'run[(][)] reload'")
            tunnel.sh("rm /usr/sbin/wg")
            next_one = threads.submit(tunnel.succeed, "reload")
            tunnel.wait_for(lambda: tunnel.waiting_for(LOCK) == 1)
            assert not tunnel.path("/run/ended").exists()
        finally:
            tunnel.sh("touch /run/enough")
        assert WAITING in next_one.result()
        assert tunnel.path("/run/ended").exists()
        assert killed.result().status != 0
