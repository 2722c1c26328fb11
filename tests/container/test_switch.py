"""The second switch: what a service's control group sends in the host's namespace goes nowhere."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from lab.internet import MACHINE
from tests.matrix import ends
from tests.outside import SEND, SEND_ONE, SENT, counted, in_group, seen
from tests.scenario import PROBE, confine, wgconfine, write_service
from tests.watching import look_away, tick_by_hand

pytestmark = pytest.mark.container

NAME = "my-vpn"
TABLE = f"inet wgconfine-{NAME}"
UNIT = f"wgconfine-switch@{NAME}.service"
GROUP = "wgconfine.slice/wgconfine-my\\x2dvpn.slice"
STATE = f"/run/wgconfine/switch/{NAME}"


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a confined service that sends without pause."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        look_away(world)
        tick_by_hand(world)
        write_service(world, "probe.service", PROBE)
        confine(world, "probe.service", name=NAME)
        world.machine.systemctl("start", "probe.service")
        yield world


@pytest.fixture(autouse=True)
def _counts_nothing(world: World) -> None:
    """Each test begins with the rule in force and a count of 0, as an owner would make it."""
    machine = world.machine
    machine.wait_for(lambda: machine.is_active(UNIT), "the switch is on")
    machine.systemctl("reload", UNIT)
    machine.run("nft", "reset", "counters", "table", *TABLE.split())
    machine.systemctl("reload", UNIT)


def checks(world: World) -> dict[str, tuple[str, str]]:
    """Give what `verify` says of the switch: verdict and mending command, by name."""
    script = (
        "from wgconfine.verify.switch import *\n"
        f"for each in judge_switch({NAME!r}, observe_switch({NAME!r})):\n"
        "    print(each.name, each.verdict, each.mend, sep='|')"
    )
    lines = world.machine.run("/opt/wgconfine/bin/python3", "-c", script).stdout.splitlines()
    return {name: (verdict, mend) for name, verdict, mend in (line.split("|") for line in lines)}


OK = {"switch": ("ok", ""), "switch-counter": ("ok", "")}
MEND = f"systemctl restart {UNIT}"
RESET = f"nft reset counters table {TABLE} && systemctl reload {UNIT}"


def test_what_the_group_sends_from_the_hosts_namespace_is_dropped_and_counted(world: World) -> None:
    """UDP, TCP and DNS over both families; the same script outside of the slice is seen."""
    with world.capture_uplink() as control:
        in_group(world, "lab.control", SEND, "control")
    assert SENT == seen(control.traffic)
    assert (0, 0) == counted(world, NAME)

    with world.capture_uplink() as uplink:
        in_group(world, f"{GROUP}/probe.service", SEND, "dropped")
    assert () == uplink.traffic.foreign()
    assert 8 <= counted(world, NAME)[0]
    assert ("LEAK", RESET) == checks(world)["switch-counter"]
    world.machine.sh(RESET)
    assert OK == checks(world)
    assert not [each for each in world.internet.dns_queries() if "dropped" in each.name]


def test_without_the_rule_it_goes_out(world: World) -> None:
    """What is dropped is dropped by the switch and by nothing else."""
    world.machine.run("nft", "delete", "table", *TABLE.split())
    with world.capture_uplink() as uplink:
        in_group(world, f"{GROUP}/probe.service", SEND, "open")
    assert SENT == seen(uplink.traffic)
    assert {"switch": ("not confined", MEND)} == checks(world)
    world.machine.sh(MEND)
    assert OK == checks(world)


KNOCKED = "/run/knocked"
LISTEN = f"""python3 -c '
import os, socket
listener = socket.create_server(("", 4712))
listener.settimeout(0.1)
while not os.path.exists("{KNOCKED}"):
    try:
        listener.accept()[0].send(b"reached")
    except TimeoutError:
        pass
'"""
KNOCK = f"timeout {{}} bash -c 'cat </dev/tcp/{MACHINE[0]}/4712' || true"


@pytest.mark.parametrize(
    ("group", "heard"), [("lab.control", "reached"), (f"{GROUP}/probe.service", "")]
)
def test_a_listener_of_the_group_answers_nobody(world: World, group: str, heard: str) -> None:
    """A handshake is answered by half a socket, which has no group: so input is dropped, too."""
    machine = world.machine
    machine.run("rm", "-f", KNOCKED)
    with ThreadPoolExecutor(1) as thread:
        listening = thread.submit(in_group, world, group, LISTEN)
        try:
            machine.wait_for(lambda: ":4712 " in machine.sh("ss -Hltn"), "it listens")
            assert heard == world.internet.run("bash", "-c", KNOCK.format(30 if heard else 3))
        finally:
            machine.run("touch", KNOCKED)
        listening.result()
    sent, received = counted(world, NAME)
    assert (0, not heard) == (sent, received > 0)


def test_of_a_service_inside_it_counts_nothing(world: World) -> None:
    """Its packets leave by the tunnel, whose own packets are of another group."""
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        time.sleep(3)
        tunnel.wait_for_packets(30)
    assert_confined(uplink.traffic, tunnel.traffic, at_least=30)
    assert (0, 0) == counted(world, NAME)


def test_a_reload_keeps_the_count_and_mends_the_rule(world: World) -> None:
    """A rule in front of ours, or one for a control group that is gone, does not last."""
    machine = world.machine
    in_group(world, f"{GROUP}/probe.service", SEND_ONE)
    before = counted(world, NAME)
    good = machine.sh(f"nft list table {TABLE}")
    machine.sh(f"nft insert rule {TABLE} output accept; nft delete chain {TABLE} input")
    assert ("not confined", MEND) == checks(world)["switch"]
    machine.systemctl("reload", UNIT)

    assert before == counted(world, NAME)
    assert good == machine.sh(f"nft list table {TABLE}")


def test_a_table_made_into_something_else_is_made_anew(world: World) -> None:
    """Chains can't be changed: the table is replaced, and counts on from where it was."""
    machine = world.machine
    in_group(world, f"{GROUP}/probe.service", SEND_ONE)
    before, good = counted(world, NAME), machine.sh(f"nft -s list table {TABLE}")
    chain = "{ type filter hook input priority 5; policy accept; }"
    machine.sh(f"nft 'delete chain {TABLE} output; add chain {TABLE} output {chain}'")
    machine.systemctl("reload", UNIT)

    assert before == counted(world, NAME)
    assert good == machine.sh(f"nft -s list table {TABLE}")


@pytest.mark.parametrize("verb", ["restart", "reload", "stop", "flush"])
def test_it_comes_back_with_its_count_when_the_hosts_rules_go(world: World, verb: str) -> None:
    """Debian's nftables.service flushes all rules at each of these; by hand the next tick mends."""
    machine = world.machine
    machine.systemctl("start", "nftables.service")
    machine.systemctl("reload", UNIT)  # a start alone is told to nobody
    in_group(world, f"{GROUP}/probe.service", SEND_ONE)
    machine.systemctl("reload", UNIT)  # the tick's: until then a count that is flushed is lost
    before = counted(world, NAME)
    pid = machine.show("probe.service", "MainPID")
    if verb == "flush":
        machine.run("nft", "flush", "ruleset")
        machine.systemctl("reload-or-restart", UNIT)
    else:
        machine.systemctl(verb, "nftables.service")
    machine.wait_for(
        lambda: machine.is_active(UNIT) and "sent" in machine.sh(f"nft list table {TABLE} || true"),
        "it is back",
    )

    assert before[0] > 0
    assert before == counted(world, NAME)
    assert pid == machine.show("probe.service", "MainPID")
    assert f"table {TABLE} was gone; it counts on from {sum(before)}" in machine.journal(UNIT)


def test_it_follows_a_slice_that_is_made_anew(world: World) -> None:
    """A control group of the same name is another one: the rule is there before the service."""
    machine = world.machine
    inode = f"stat -c %i '/sys/fs/cgroup/{GROUP}'"
    before = machine.sh(inode)
    machine.systemctl("stop", "wgconfine.slice")
    assert not machine.is_active(UNIT)
    machine.systemctl("start", "probe.service")

    assert before != machine.sh(inode)
    assert OK == checks(world)
    with world.capture_uplink() as uplink:
        in_group(world, f"{GROUP}/probe.service", SEND, "dropped")
    assert () == uplink.traffic.foreign()


def test_it_stays_as_long_as_there_are_processes(world: World) -> None:
    """Even stopped: its tunnel brings it back at once, and meanwhile the rule stays."""
    machine = world.machine
    machine.systemctl("stop", UNIT)
    assert f"there are processes in {GROUP}: the rule stays" in machine.journal(UNIT)
    machine.wait_for(lambda: machine.is_active(UNIT), "the tunnel upholds it")


def test_who_was_killed_while_trying_the_rule_leaves_nothing_in_the_way(world: World) -> None:
    """The rule that was tried then is still there, and would be met first."""
    machine = world.machine
    left = (
        "table inet wgconfine_try-my-vpn { chain output { type filter hook output priority -310;"
        " ip daddr 127.0.0.1 udp dport 9 counter packets 1 bytes 28 drop; }; }"
    )
    machine.sh(f"nft '{left}'; nft delete table {TABLE}")
    machine.systemctl("reload", UNIT)

    assert "on" == machine.read(f"{STATE}/state").strip()
    assert "wgconfine_try" not in machine.sh("nft list tables")


def test_a_table_of_somebody_else_is_left_alone(world: World) -> None:
    """It fails, names what is in the way, and changes nothing; neither does the tunnel suffer."""
    machine = world.machine
    machine.sh(f"nft delete table {TABLE}; nft add table {TABLE}")
    assert 0 != machine.systemctl("reload", UNIT, check=False).returncode
    assert f"table {TABLE}: wgconfine did not make it" in machine.journal(UNIT)
    assert machine.is_active("probe.service")
    assert "counter" not in machine.sh(f"nft list table {TABLE}")
    machine.run("nft", "delete", "table", *TABLE.split())


def test_a_machine_without_such_rules_says_so(world: World) -> None:
    """An nft that knows none: not available is no failure, and the tunnel runs."""
    machine = world.machine
    machine.run("nft", "delete", "table", *TABLE.split())
    machine.write(
        "/usr/local/lab/nft",
        "#!/bin/sh\n"
        "[ $2 != - ] || ! grep -q cgroupv2 || { echo 'Error: syntax error' >&2; exit 1; }\n"
        'exec /usr/sbin/nft.real "$@"\n',
        0o755,
    )
    machine.sh("cp /usr/sbin/nft /usr/sbin/nft.real; mount --bind /usr/local/lab/nft /usr/sbin/nft")
    try:
        machine.systemctl("restart", UNIT)
        assert machine.is_active(UNIT)
        assert "Error: syntax error" in machine.read(f"{STATE}/state")
        assert "the second switch is not available" in machine.journal(UNIT)
        assert {"switch": ("not available", "")} == checks(world)
    finally:
        machine.sh("umount /usr/sbin/nft; rm /usr/sbin/nft.real")


def test_an_upgrade_brings_it_to_a_running_tunnel(world: World) -> None:
    """Where an older wgconfine made the tunnel: no service restarts."""
    machine = world.machine
    pid = machine.show("probe.service", "MainPID")
    machine.sh(
        f"""
        cd /etc/systemd/system
        sed -i /Upholds=/d wgconfine@.service
        systemctl daemon-reload
        systemctl stop {UNIT}
        nft delete table {TABLE}
        rm -r wgconfine-switch@*
        systemctl daemon-reload
        """
    )
    assert f"start {UNIT}" in wgconfine(world, "plan", check=False).stdout
    wgconfine(world, "apply")

    assert machine.is_active(UNIT)
    assert (0, 0) == counted(world, NAME)
    assert pid == machine.show("probe.service", "MainPID")


def test_removed_with_its_tunnel(world: World) -> None:
    """Nothing of it is left in the host's rules."""
    machine = world.machine
    wgconfine(world, "remove", NAME, "--release", "--yes")

    assert "wgconfine" not in machine.sh("nft list ruleset")
    assert not machine.is_active(UNIT)
