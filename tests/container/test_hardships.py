"""What happens to machines: leftovers of the open run, hostile files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import (
    PROBE,
    confine,
    refused,
    seen_by_web,
    wgconfine,
    write_service,
)

pytestmark = pytest.mark.container


@pytest.fixture(params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine of its own for each test."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        yield world


def test_a_service_that_runs_outside_is_brought_in(world: World) -> None:
    """Whoever started it, and however: `apply` sees the process and not only its own files."""
    machine = world.machine
    write_service(world, "probe.service", PROBE)
    confine(world, "probe.service")
    machine.sh("""
        mv /etc/systemd/system/probe.service.d /root/d
        mv /usr/local/lib/systemd/system/probe.service.d /root/c
        systemctl daemon-reload
        systemctl start probe.service
        mv /root/d /etc/systemd/system/probe.service.d
        mv /root/c /usr/local/lib/systemd/system/probe.service.d
        systemctl daemon-reload
    """)
    # Until it executes its program it is systemd's own process, and no alarm.
    machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it runs")
    assert 3 == wgconfine(world, "status", check=False).returncode
    wgconfine(world, "apply")
    assert "probe.service: confined" == refused(world, "probe.service")


def test_children_of_the_open_run_do_not_survive(world: World) -> None:
    """KillMode=process leaves children alive across a stop; they would go on in the open."""
    machine = world.machine
    write_service(
        world,
        "leaver.service",
        "[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 4711 & exec sleep infinity'\n",
    )
    machine.systemctl("start", "leaver.service")
    machine.wait_for(lambda: bool(machine.sh("pgrep -f '^sleep 4711' || true")), "the child runs")
    confine(world, "leaver.service")
    machine.wait_for(lambda: bool(machine.sh("pgrep -f '^sleep 4711' || true")), "it runs again")
    children = machine.sh("pgrep -f '^sleep 4711'").split()
    own = {machine.sh(f"readlink /proc/{pid}/ns/net") for pid in children}
    assert {machine.sh("readlink /proc/$(systemctl show -P MainPID leaver)/ns/net")} == own


def test_the_guard_runs_no_code_of_the_service(world: World) -> None:
    """Who may write an EnvironmentFile= gets nothing preloaded into the guard, which is root's."""
    machine = world.machine
    write_service(
        world,
        "app.service",
        "[Service]\nUser=games\nEnvironmentFile=/srv/app.env\nExecStart=/bin/sleep infinity\n",
    )
    machine.write("/srv/app.env", "LD_DEBUG=libs\nLD_DEBUG_OUTPUT=/run/loaded\n")
    confine(world, "app.service")
    machine.systemctl("start", "app.service")
    assert "app.service: confined" == refused(world, "app.service")
    assert "" == machine.sh("ls /run/loaded* /run/wgconfine/run/app/loaded* 2>/dev/null || true")


def test_a_forking_service_with_a_pid_file_in_run_works(world: World) -> None:
    """Debian's nginx: PID 1 finds its PIDFile= although the unit has a /run of its own."""
    confine(world, "nginx.service")
    world.machine.systemctl("start", "nginx.service")
    assert "nginx.service: confined" == refused(world, "nginx.service")
    world.machine.systemctl("reload", "nginx.service")
    world.machine.systemctl("stop", "nginx.service")


def test_what_a_service_leaves_in_its_run_keeps_nothing_down(world: World) -> None:
    """A service's user makes directories of its own there: the tunnel restarts all the same."""
    machine = world.machine
    write_service(
        world,
        "messy.service",
        "[Service]\nUser=games\nExecStartPre=/bin/mkdir -p /run/lock/x/y\n"
        "ExecStart=/bin/sleep infinity\n",
    )
    confine(world, "messy.service")
    machine.systemctl("start", "messy.service")
    before = machine.show("messy.service", "MainPID")
    machine.systemctl("restart", "wgconfine@vpn.service")
    # It is started after the tunnel, whose restart does not wait for that.
    machine.wait_for(
        lambda: (
            machine.show("messy.service", "MainPID") != before
            and refused(world, "messy.service") == "messy.service: confined"
        ),
        "it runs again",
    )
    assert "" == machine.sh("ls -A /run/wgconfine/run | grep '^=' || true")
