"""`wgconfine verify`: green on what is as it was made, and each thing spoilt by hand is named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import World, boot_container
from tests.matrix import EVERYWHERE, first
from tests.scenario import PROBE, wgconfine, write_service, write_tunnel
from tests.spoilings import (
    INSIDE,
    PLAIN,
    REACH,
    SETTINGS_OF_PORTS,
    SPOILINGS,
    UNIX,
    Spoiling,
)
from tests.watching import look_away, tick_by_hand

pytestmark = pytest.mark.container

IDLE = "[Service]\nExecStart=/bin/sleep infinity\n"
ODD = r"odd@a\\x2db:c@d.service"
"""A name that systemctl quotes, as it is written in TOML."""
FAILURES = {"LEAK", "not confined", "unknown", "does not work"}


on_each = pytest.mark.parametrize("world", EVERYWHERE, indirect=True, scope="module")
on_one = pytest.mark.parametrize("world", first("trixie"), indirect=True, scope="module")


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a service that runs inside, one that is stopped, and one in the open."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)
        write_service(world, "probe.service", PROBE)
        write_service(world, "idle.service", f"{IDLE}User=games\n")
        write_service(world, "open.service", IDLE)
        write_service(world, "odd@.service", IDLE)
        world.machine.systemctl("start", "open.service", "probe.service")
        services = ("probe.service", "idle.service", ODD)
        write_tunnel(world, services, extra=SETTINGS_OF_PORTS)
        wgconfine(world, "apply")
        look_away(world)
        yield world


def verify(world: World, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Give the exit code and all checks, those of closed services too."""
    done = wgconfine(world, "verify", "--json", *arguments, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"]
    return done.returncode, [each for tunnel in found["tunnels"] for each in tunnel["checks"]] + (
        found["closed"]
    )


def spoilings() -> Iterator[object]:
    """Give the table: what is essential in every run, all of it in `make test-long`."""
    for each in SPOILINGS:
        yield pytest.param(each, marks=() if each.essential else pytest.mark.long, id=each.name)


def failed(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in checks if each["verdict"] in FAILURES]


@on_each
def test_what_was_applied_is_confined(world: World) -> None:
    """Unspoilt: exit code 0, nothing unknown, nothing failed, in a few seconds."""
    done = wgconfine(world, "verify", "--json", check=False)
    (tunnel,) = json.loads(done.stdout)["tunnels"]

    assert [] == failed(tunnel["checks"])
    assert 0 == done.returncode
    assert ("vpn", "confined") == (tunnel["name"], tunnel["sum"])
    assert {"structure", "units", "processes", "escapes", "works"} == {
        each["area"] for each in tunnel["checks"]
    }


@on_one
@pytest.mark.parametrize("spoiling", list(spoilings()))
def test_what_is_spoilt_is_named_and_mended(world: World, spoiling: Spoiling) -> None:
    """Its own check says so, no other does, and what is printed (or its undoing) mends it."""
    machine = world.machine
    link = machine.sh("ls /run/wireguard | sed -n s/.sock$//p")
    mends: list[str] = []
    try:
        machine.sh(f"link={link}\n{spoiling.do}")
        code, checks = verify(world)
        mends = list(dict.fromkeys(each["mend"] for each in failed(checks)))
        named = [
            each["verdict"]
            for each in checks
            if (each["name"], each["unit"]) == (spoiling.check, spoiling.unit)
        ]
        assert spoiling.verdict in named
        # What then leads out, or carries nothing any more, is named as well.
        seen = [each for each in failed(checks) if each["area"] not in {"escapes", "works"}]
        others = {each["name"] for each in seen} - {spoiling.check, *spoiling.also}
        assert set() == others
        assert spoiling.code == code
    finally:
        for command in [spoiling.undo] if spoiling.undo else mends:
            machine.sh(f"link={link}\n{command}", timeout=120)
        machine.sh("ip netns del other 2>/dev/null || true; systemctl start probe.service")
    assert [] == failed(verify(world)[1])


@on_each
def test_proxies_that_come_and_go_are_well(world: World) -> None:
    """While connections start them, and they are stopped, nothing is spoilt."""
    machine = world.machine
    machine.sh(
        "(set +e; while :; do curl -s http://127.0.0.1:8080/;"
        " curl -s --unix-socket /run/web.sock http://x/;"
        f" {INSIDE} curl -s http://127.0.0.1:5432/; systemctl stop {PLAIN}.service"
        f" {REACH}.service; done) >/dev/null 2>&1 & echo $! >/run/users.pid"
    )
    try:
        machine.wait_for(lambda: machine.is_active(f"{UNIX}.service"), "a proxy runs")
        found = [failed(verify(world)[1]) for _ in range(2)]
    finally:
        machine.sh("kill $(cat /run/users.pid)")
    assert [[], []] == found


@on_one
def test_the_conf_may_be_away(world: World) -> None:
    """What was declared is known without the .conf, which may be there at a start alone."""
    machine = world.machine
    machine.run("mv", "/etc/wireguard/vpn.conf", "/root/away.conf")
    try:
        code, checks = verify(world)
    finally:
        machine.run("mv", "/root/away.conf", "/etc/wireguard/vpn.conf")
    assert [] == failed(checks)
    assert 0 == code


@on_one
@pytest.mark.parametrize("unit", ["wgconfine@vpn.service", "wgconfine-netns@vpn.service"])
def test_a_tunnel_that_is_down_is_never_green(world: World, unit: str) -> None:
    """Nothing leaks and nothing works: exit code 1, with the command that starts it."""
    machine = world.machine
    machine.systemctl("stop", unit)
    try:
        done = wgconfine(world, "verify", check=False)
    finally:
        machine.systemctl("start", "wgconfine@vpn.service", "probe.service")
    assert 1 == done.returncode
    assert done.stdout.startswith("vpn: does not work. ")
    assert "> systemctl start wgconfine@vpn.service\n" in done.stdout
    assert "confined" not in done.stdout.splitlines()[0]


@on_each
def test_a_stop_that_is_under_way_goes_on(world: World) -> None:
    """A probe needs the tunnel up, and its start would take back a stop that waits its turn."""
    machine = world.machine
    tunnel = "wgconfine@vpn.service"
    hold = f"[Unit]\nBindsTo={tunnel}\nAfter={tunnel}\n[Service]\nExecStop=/bin/sleep 6\n"
    write_service(world, "hold.service", f"{hold}ExecStart=/bin/sleep infinity\n")
    machine.systemctl("start", "hold.service")
    machine.systemctl("stop", "--no-block", tunnel)
    try:
        verify(world)
        machine.wait_for(lambda: machine.show(tunnel, "ActiveState") == "inactive", "it stops")
    finally:
        machine.systemctl("start", tunnel, "probe.service")


@on_one
def test_a_service_that_was_refused_is_not_called_stopped(world: World) -> None:
    """The guard kept it from running: `state` says so, and why."""
    machine = world.machine
    machine.sh("ip netns add other; mount --bind /run/netns/other /run/netns/vpn")
    try:
        machine.systemctl("start", "idle.service", check=False)
        code, checks = verify(world)
    finally:
        machine.sh("umount /run/netns/vpn; ip netns del other; systemctl reset-failed idle")
    (state,) = [
        each for each in checks if (each["name"], each["unit"]) == ("state", "idle.service")
    ]
    assert "does not work" == state["verdict"]
    assert state["evidence"].startswith("refused: another namespace has taken the name")
    assert 3 == code


@on_one
def test_it_needs_root(world: World) -> None:
    """Another user is told so, with exit code 4."""
    done = world.machine.run("setpriv", "--reuid=65534", "wgconfine", "verify", check=False)
    assert 4 == done.returncode


@on_one
def test_a_tunnel_that_is_not_there(world: World) -> None:
    """A name that nothing knows is an error, not a success about nothing."""
    done = wgconfine(world, "verify", "vnp", check=False)
    assert 1 == done.returncode
    assert "vnp: there is no such tunnel\nThere are: vpn.\n" == done.stderr
