"""The tick starts `verify` when it is due; what that finds is kept, is loud, and may stop."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import wgconfine, write_service, write_tunnel
from tests.spoilings import LAN, PLAIN, REACH, SETTINGS_OF_PORTS

pytestmark = pytest.mark.container

TICK, VERIFY = "wgconfine-tick.service", "wgconfine-verify@vpn.service"
TIMER = "wgconfine-tick.timer"
IDLE = "[Service]\nDynamicUser=yes\nExecStart=/bin/sleep infinity\n"
PICKY = "[Unit]\n{}PathExists=/srv/not-there\n[Service]\nExecStart=/bin/sleep infinity\n"
SERVICES = ("leaky.service", "quiet.service", "picky.service", "choosy.service")


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine whose services run inside; `picky` and `choosy` may not start."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        for name in ("leaky", "quiet"):
            write_service(world, f"{name}.service", IDLE)
        write_service(world, "picky.service", PICKY.format("Assert"))
        write_service(world, "choosy.service", PICKY.format("Condition"))
        write_tunnel(world, SERVICES, extra=SETTINGS_OF_PORTS)
        wgconfine(world, "apply")
        world.machine.systemctl("start", "leaky.service", "quiet.service")
        yield world


@pytest.fixture(autouse=True)
def _by_hand(world: World, request: pytest.FixtureRequest) -> None:
    """Ticks come when they are called, but where it is the timer that is tried."""
    of_the_timer = (
        test_the_timer_runs_and_is_enabled,
        test_it_ticks_on_by_itself_after_a_reexec_and_a_boot,
    )
    if request.function not in of_the_timer:
        world.machine.systemctl("stop", TIMER)


def make_due(world: World) -> None:
    world.machine.run("rm", "-f", "/run/wgconfine/verify/vpn.stamp")


def tick(world: World) -> None:
    world.machine.systemctl("start", TICK)


def verified(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.machine.read("/run/wgconfine/verify/vpn.json"))
    return found


def entries(world: World, *matches: str) -> list[dict[str, Any]]:
    """What wgconfine itself has said in the journal, with its fields."""
    journal = ("journalctl", "-b", "-o", "json", "--no-pager", "SYSLOG_IDENTIFIER=wgconfine")
    return [json.loads(line) for line in world.machine.run(*journal, *matches).stdout.splitlines()]


def runs_of(world: World) -> int:
    journal = ("journalctl", "-b", "-o", "cat", "--no-pager", "-u", VERIFY)
    return world.machine.run(*journal).stdout.count("things looked at")


def wait_until_ended(world: World) -> None:
    machine = world.machine
    machine.wait_for(
        lambda: machine.show(VERIFY, "ActiveState") in {"inactive", "failed"}, "verify has ended"
    )


def test_the_timer_runs_and_is_enabled(world: World) -> None:
    """After `apply`, for the next boot too; after a daemon-reexec it still knows when."""
    machine = world.machine
    machine.systemctl("daemon-reexec")

    assert machine.is_active(TIMER)
    assert "enabled" == machine.systemctl("is-enabled", TIMER).stdout.strip()
    assert machine.show(TIMER, "NextElapseUSecMonotonic") not in {"", "infinity"}


def test_a_tick_starts_what_is_due_and_nothing_twice(world: World) -> None:
    """The next one, with the time not come, starts nothing; what was found is kept for all."""
    make_due(world)
    wait_until_ended(world)  # the timer's, if it has come already
    before = runs_of(world)
    tick(world)
    world.machine.wait_for(lambda: runs_of(world) == before + 1, "verify ran", 60)
    wait_until_ended(world)
    tick(world)
    tick(world)

    assert "inactive" == world.machine.show(VERIFY, "ActiveState")
    assert before + 1 == runs_of(world)
    assert "ok" == verified(world)["verdict"]
    assert {"publish", "publish-clients", "publish-file", "proxy", "listeners"} <= {
        check["name"] for check in verified(world)["checks"] if check["verdict"] == "ok"
    }
    assert {"dns", "connect-v4", "received", "handshake"} <= {
        check["name"] for check in verified(world)["checks"] if check["verdict"] == "ok"
    }
    assert "644 root" == world.machine.sh("stat -c '%a %U' /run/wgconfine/verify/vpn.json")
    tunnel = json.loads(wgconfine(world, "status", "--json").stdout)["tunnels"][0]
    assert "ok" == tunnel["verify"]["verdict"]
    assert ["listening"] * 4 == [each["state"] for each in tunnel["publish"] + tunnel["reach"]]
    assert {"dns", "dropped"} <= tunnel["firewall"].keys()


def test_what_systemd_skips_in_silence_is_said_once(world: World) -> None:
    """Of a failed Assert…= and Condition…=, in the journal of the unit itself, and once more after
    it ran."""
    machine = world.machine
    for unit in ("picky.service", "choosy.service"):
        machine.systemctl("start", unit, check=False)
    tick(world)
    tick(world)

    said = {
        unit: [each["MESSAGE"] for each in entries(world, f"WGCONFINE_UNIT={unit}")]
        for unit in ("picky.service", "choosy.service", "leaky.service")
    }
    assert {
        "picky.service": [
            (
                "picky.service is kept from running: its Assert…= does not hold. "
                "See systemctl status picky.service"
            )
        ],
        "choosy.service": [
            (
                "choosy.service is kept from running: its Condition…= does not hold. "
                "See systemctl status choosy.service"
            )
        ],
        "leaky.service": [],
    } == said
    shown = machine.run("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "picky.service")
    assert "picky.service is kept from running" in shown.stdout
    machine.sh("touch /srv/not-there; systemctl start picky; rm /srv/not-there")
    tick(world)
    machine.systemctl("restart", "picky.service", check=False)
    tick(world)
    assert 2 == len(entries(world, "WGCONFINE_UNIT=picky.service"))


def test_a_socket_that_failed_listens_again_when_it_can(world: World) -> None:
    """Its port was somebody else's: started by the tick, said once; one that was stopped stays."""
    machine = world.machine
    machine.systemctl("stop", f"{PLAIN}.socket", f"{REACH}.socket")
    machine.sh("python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1 & echo $! >/run/other.pid")
    machine.wait_for(lambda: "127.0.0.1:8080" in machine.sh("ss -Hltn"), "the port is taken")
    machine.systemctl("start", f"{PLAIN}.socket", check=False)
    assert "failed" == machine.show(f"{PLAIN}.socket", "ActiveState")
    try:
        tick(world)
        tick(world)
    finally:
        machine.sh("kill $(cat /run/other.pid)")
    machine.wait_for(lambda: "127.0.0.1:8080" not in machine.sh("ss -Hltn"), "the port is free")
    tick(world)
    machine.wait_for(lambda: machine.is_active(f"{PLAIN}.socket"), "it listens again")

    said = [each["MESSAGE"] for each in entries(world, f"WGCONFINE_UNIT={PLAIN}.socket")]
    words = f"{PLAIN}.socket had failed: resources. It is started again."
    assert 1 == sum(each.startswith(words) for each in said)
    assert "inactive" == machine.show(f"{REACH}.socket", "ActiveState")
    machine.systemctl("start", f"{REACH}.socket")
    assert machine.is_active(f"{LAN}.socket")


GET = ("nsenter", "--net=/run/netns/vpn", "curl", "-s", "-m", "3", "http://203.0.113.80/")


def test_a_tunnel_that_does_not_carry_is_broken_and_no_leak(world: World) -> None:
    """Its server is silent: said and kept, and the unit does not fail."""
    world.internet.stop_wireguard()
    try:
        world.machine.systemctl("start", VERIFY)
    finally:
        world.internet.start_wireguard()
        machine = world.machine
        machine.wait_for(lambda: machine.run(*GET, check=False).returncode == 0, "it carries")

    found = verified(world)
    assert "does not work" == found["verdict"]
    assert {"dns", "connect-v4"} == {
        check["name"]
        for check in found["checks"]
        if (check["area"], check["verdict"]) == ("works", "does not work")
        if check["name"] != "handshake"  # of before, and young enough
    }
    assert "success" == world.machine.show(VERIFY, "Result")
    assert {"4"} == {each["PRIORITY"] for each in entries(world, "WGCONFINE_CHECK=dns")}


def test_a_stranger_is_asked_on_demand_alone(world: World) -> None:
    """He sees the tunnel's address from inside and the host's own from outside."""
    asked = len(world.internet.web_requests())
    wgconfine(world, "verify", check=False)
    assert asked == len(world.internet.web_requests())

    found = wgconfine(
        world, "verify", "--json", "--compare", "http://web.example.net/", check=False
    )
    checks = json.loads(found.stdout)["tunnels"][0]["checks"]
    assert {
        "exit-v4": ("ok", "inside: 10.66.0.2; the host: 198.51.100.2"),
        "exit-v6": ("ok", "inside: fd66::2; the host: 2001:db8:51::2"),
    } == {
        check["name"]: (check["verdict"], check["evidence"])
        for check in checks
        if check["name"].startswith("exit-")
    }
    assert asked + 4 == len(world.internet.web_requests())
    assert 2 == wgconfine(world, "verify", "--compare", "file:///", check=False).returncode


@pytest.fixture
def sent(world: World) -> Iterator[None]:
    """A process of the host's namespace among those of `leaky`, which sends."""
    machine = world.machine
    group = machine.show("leaky.service", "ControlGroup")
    machine.sh(
        "bash -c 'while :; do echo >/dev/udp/198.51.100.1/9; sleep 0.1; done' >/dev/null 2>&1 &"
        f"echo $! >/sys/fs/cgroup{group}/cgroup.procs"
    )
    machine.wait_for(lambda: dropped(world) > 0, "the second switch has counted it")
    yield
    machine.systemctl("restart", "leaky.service")
    machine.systemctl("start", "quiet.service")
    machine.run("nft", "reset", "counters", "table", "inet", "wgconfine-vpn")
    machine.systemctl("restart", VERIFY)


def dropped(world: World) -> int:
    text = world.machine.run("nft", "-j", "list", "counters", "table", "inet", "wgconfine-vpn")
    entries = json.loads(text.stdout)["nftables"]
    return sum(each["counter"]["packets"] for each in entries if "counter" in each)


PROBE_OPEN = "[Service]\nExecCondition=\nNetworkNamespacePath=\nSlice=system.slice\n"
"""In the host's namespace, and out of reach of the second switch."""


@pytest.fixture
def leak(world: World) -> Iterator[None]:
    """A way out of the sandbox of `leaky`, by which its probe really gets out."""
    machine = world.machine
    dropin = "/etc/systemd/system/wgconfine-probe@leaky.service.d/zzz.conf"
    machine.write(dropin, PROBE_OPEN)
    machine.systemctl("daemon-reload")
    yield
    machine.run("rm", dropin)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "leaky.service")
    machine.systemctl("restart", VERIFY)


def state_of_units(world: World) -> tuple[bool, bool, str, str]:
    machine = world.machine
    return (
        machine.is_active("leaky.service"),
        machine.is_active("quiet.service"),
        machine.show(VERIFY, "ActiveState"),
        machine.show(VERIFY, "ExecMainStatus"),
    )


def set_on_leak(world: World, word: str) -> None:
    world.machine.sh(
        "sed -i '/^.verify./,$d' /etc/wgconfine/vpn.toml;"
        f"printf '[verify]\\non-leak = \"{word}\"\\n' >>/etc/wgconfine/vpn.toml"
    )
    wgconfine(world, "apply", check=False)


@pytest.mark.usefixtures("leak")
def test_a_leak_is_loud_and_stops_that_service_alone_if_asked_to(world: World) -> None:
    """By itself it is reported: the unit fails with 7, and the journal of the service has it."""
    machine = world.machine
    machine.systemctl("start", VERIFY, check=False)

    assert (True, True, "failed", "7") == state_of_units(world)
    assert VERIFY in machine.systemctl("--failed", "--plain").stdout
    entry = next(
        each
        for each in entries(world, "WGCONFINE_VERDICT=LEAK")
        if each["WGCONFINE_CHECK"] == "udp4"
    )
    assert ("3", "vpn", "escapes", "leaky.service") == (
        entry["PRIORITY"],
        entry["WGCONFINE_TUNNEL"],
        entry["WGCONFINE_AREA"],
        entry["WGCONFINE_UNIT"],
    )
    of_unit = machine.run("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "leaky.service")
    assert "LEAK: leaky.service in tunnel vpn: udp4: the host saw it: " in of_unit.stdout
    shown = wgconfine(world, "status", check=False)
    assert 7 == shown.returncode
    assert "vpn: LEAK for " in shown.stdout

    set_on_leak(world, "stop")
    machine.systemctl("start", VERIFY, check=False)

    assert (False, True, "failed", "7") == state_of_units(world)
    (stopped,) = entries(world, 'MESSAGE=leaky.service leaked and was stopped (on-leak = "stop")')
    assert "leaky.service" == stopped["OBJECT_SYSTEMD_UNIT"]


@pytest.mark.usefixtures("sent")
def test_a_process_outside_that_sends_stops_every_service_it_may_be_of(world: World) -> None:
    """The second switch has dropped it, and counts for the tunnel: it does not tell whose it was.
    What is left of the services ends as well."""
    set_on_leak(world, "report")
    world.machine.systemctl("start", VERIFY, check=False)
    assert (True, True, "failed", "7") == state_of_units(world)

    set_on_leak(world, "stop")
    world.machine.systemctl("start", VERIFY, check=False)

    assert (False, False, "failed", "7") == state_of_units(world)
    found = {(each["name"], each["verdict"]) for each in verified(world)["checks"]}
    assert {("switch-counter", "LEAK"), ("namespace", "not confined")} <= found
    group = "/sys/fs/cgroup/wgconfine.slice/wgconfine-vpn.slice"
    left = f"{{ cat {group}/*/cgroup.procs 2>/dev/null || true; }} | wc -l"
    # What was killed is on the list until it is dead.
    world.machine.wait_for(lambda: world.machine.sh(left) == "0", "none is left")


def test_two_do_not_verify_at_once_nor_during_an_apply(world: World) -> None:
    """Whoever is second waits, and says so."""
    lock = "/run/wgconfine/lock/=apply"
    # One that a tick has asked for would hold that lock itself, and be the one that is started.
    wait_until_ended(world)
    world.machine.sh(f"systemd-run --unit=hold -q flock {lock} sleep infinity")
    world.machine.wait_for(
        lambda: world.machine.run("flock", "-n", lock, "true", check=False).returncode == 1,
        "the lock is held",
    )
    waiting = "Waiting for another wgconfine that changes this machine"
    before = world.machine.journal(VERIFY).count(waiting)
    world.machine.systemctl("start", "--no-block", VERIFY)
    world.machine.wait_for(
        lambda: world.machine.journal(VERIFY).count(waiting) > before, "it waits"
    )
    assert "activating" == world.machine.show(VERIFY, "ActiveState")
    world.machine.systemctl("stop", "hold.service")
    wait_until_ended(world)

    assert "success" == world.machine.show(VERIFY, "Result")


FAST = "[Timer]\nOnActiveSec=\nOnActiveSec=1s\nOnUnitActiveSec=1s\nAccuracySec=1ms\n"


def wait_for_a_tick(world: World, after: str) -> None:
    """Wait until the timer, and nobody else, has started the tick after something happened."""
    before = world.machine.show(TICK, "InvocationID")
    world.machine.wait_for(
        lambda: world.machine.show(TICK, "InvocationID") not in {"", before},
        f"a tick after {after}",
    )


def test_it_ticks_on_by_itself_after_a_reexec_and_a_boot(world: World) -> None:
    """With the timer as it is, but for its times."""
    machine = world.machine
    machine.write("/etc/systemd/system/wgconfine-tick.timer.d/fast.conf", FAST)
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", TIMER)
    wait_for_a_tick(world, "its start")
    wait_for_a_tick(world, "a tick")
    machine.systemctl("daemon-reexec")
    wait_for_a_tick(world, "daemon-reexec")
    machine.reboot()
    wait_for_a_tick(world, "a boot")
    machine.wait_for(
        lambda: (
            machine.run("test", "-e", "/run/wgconfine/verify/vpn.json", check=False).returncode == 0
        ),
        "verify after the boot",
        60,
    )


def test_metrics_are_written_where_somebody_collects_them(world: World) -> None:
    """Whole, for everybody to read, in a directory that is the exporter's; else nothing is done."""
    machine, place = world.machine, "/var/lib/prometheus/node-exporter"
    tick(world)
    assert "0" == machine.show("wgconfine-metrics.service", "ExecMainStartTimestampMonotonic")
    machine.run("install", "-d", "-o", "nobody", place)
    tick(world)
    machine.wait_for(
        lambda: machine.run("test", "-s", f"{place}/wgconfine.prom", check=False).returncode == 0,
        "the metrics are there",
    )
    text = machine.run("setpriv", "--reuid=nobody", "cat", f"{place}/wgconfine.prom").stdout
    for service in SERVICES[:2]:
        assert f'wgconfine_service_confined{{service="{service}",tunnel="vpn"}} ' in text
    assert 'wgconfine_leaked_packets_total{tunnel="vpn"} 0.0' in text
