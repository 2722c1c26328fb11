"""Names that are hard to write: of tunnels, of units, and of what their settings point to."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests.matrix import first
from tests.scenario import PROBE, refused, wgconfine, write_service
from tests.watching import tick_by_hand

pytestmark = pytest.mark.container

LONG = "a-b-" + "c" * 26 + "d"
INSTANCE = r"x@a\x2db:c@d.service"
LONGEST = "l" * 192 + ".service"
PERCENT = "percent.service"
FOREIGN = "foreign.service"

SERVICES = {"a": PERCENT, "a-b": INSTANCE, "a-b-8080": FOREIGN, LONG: LONGEST}
"""Each tunnel with its one service."""


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with four tunnels, up at the same time."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        tick_by_hand(world)  # it has names mended, and what verifies is at home in them
        write_service(world, "x@.service", PROBE)
        # systemd 252 itself fails to make a DynamicUser= of such a name.
        write_service(world, LONGEST, PROBE.replace("DynamicUser=yes", "User=www-data"))
        write_service(world, FOREIGN, "[Unit]\nDescription=Täuschung — 日本語 \u202e %%n\n" + PROBE)
        write_service(
            world,
            PERCENT,
            PROBE.replace("[Service]", "[Service]\nEnvironment=SPOT=/srv/100%%/%%i")
            .replace("/bin/sh", "/srv/100%%/%%i/sh")
            .replace("curl", 'cd "$SPOT" && curl'),
        )
        world.machine.sh("mkdir -p /srv/100%/%i; ln -s /bin/sh /srv/100%/%i/sh")
        for client, (tunnel, unit) in enumerate(SERVICES.items(), start=2):
            conf = f"/etc/wireguard/100%/{tunnel} %i.conf"
            world.machine.write(conf, world.internet.provider_conf(client=client), mode=0o600)
            world.machine.write(
                f"/etc/wgconfine/{tunnel}.toml", f"config = '{conf}'\nservices = ['{unit}']\n"
            )
        wgconfine(world, "apply")
        yield world


def test_each_service_is_in_its_own_tunnel(world: World) -> None:
    """Every one is confined, and seen with the addresses of its own tunnel alone."""
    machine = world.machine
    assert 31 == len(LONG)
    assert 200 == len(LONGEST)
    with world.capture_uplink() as uplink, world.capture_tunnel() as inside:
        machine.systemctl("start", *SERVICES.values())
        for client, unit in enumerate(SERVICES.values(), start=2):
            own = {f"10.66.0.{client}", f"fd66::{client}"}
            machine.wait_for(partial(is_seen_by, world, unit, own), f"{unit} is out")
        machine.run("sleep", "2")
    assert_confined(uplink.traffic, inside.traffic)
    for unit in SERVICES.values():
        assert f"{unit}: confined" == refused(world, unit)


def is_seen_by(world: World, unit: str, addresses: set[str]) -> bool:
    """Tell whether the web server told a service these addresses, and no other."""
    command = ("journalctl", "--no-pager", "-o", "cat", "-u", unit, "_TRANSPORT=stdout")
    lines = world.machine.run(*command).stdout.splitlines()
    return addresses == {line for line in lines if set(line) <= set("0123456789abcdef.:")} - {""}


def test_stopping_one_tunnel_stops_its_own_service_alone(world: World) -> None:
    """`a`, `a-b` and `a-b-8080` look like a tree to systemd's slices, and are none."""
    machine = world.machine
    machine.systemctl("start", *SERVICES.values())
    machine.systemctl("stop", "wgconfine@a.service")
    assert 0 != machine.systemctl("stop", "wgconfine-a.slice", check=False).returncode
    active = [unit for unit in SERVICES.values() if machine.is_active(unit)]
    machine.systemctl("start", "wgconfine@a.service", PERCENT)
    assert [unit for tunnel, unit in SERVICES.items() if tunnel != "a"] == active
    slices = [machine.show(unit, "Slice") for unit in SERVICES.values()]
    assert 4 == len(set(slices))
    groups = [machine.show(unit, "ControlGroup") for unit in SERVICES.values()]
    assert {3} == {group.count("/") for group in groups}


def test_every_command_takes_these_names(world: World) -> None:
    """`status` names them, `plan` has nothing to do, `systemd-analyze` finds nothing to say."""
    machine = world.machine
    assert 0 == wgconfine(world, "plan").returncode
    said = wgconfine(world, "status", *SERVICES).stdout
    for tunnel, unit in SERVICES.items():
        assert f"{tunnel}: up" in said
        assert unit in said
    for unit in (PERCENT, FOREIGN, LONGEST):
        path = f"/etc/systemd/system/{unit}"
        assert "" == machine.run("systemd-analyze", "verify", path, check=False).stderr


def test_tunnels_that_start_at_once_do_not_cover_one_another(world: World) -> None:
    """/run/netns becomes a mount once; each name is gone with its tunnel, and its namespace too."""
    machine = world.machine
    units = " ".join(f"wgconfine-netns@{name}.service" for name in SERVICES)
    for _ in range(5):
        machine.sh(f"""
            systemctl stop {units}
            umount /run/netns
            systemctl start {units}
            systemctl stop {units}
        """)
        assert "" == machine.sh("ls /run/netns /run/wgconfine/netns | grep -v :")
        assert "net:[" not in machine.read("/proc/self/mountinfo")
    machine.sh(
        f"systemctl start {units} wgconfine@a wgconfine@a-b wgconfine@a-b-8080 wgconfine@{LONG}"
    )


def test_they_can_be_released_and_removed(world: World) -> None:
    """Nothing of ours is left for what was released, and the rest is untouched."""
    machine = world.machine
    wgconfine(world, "release", "--yes", INSTANCE)
    wgconfine(world, "remove", LONG, "--release", "--yes")
    left = machine.sh("""
        cd /etc/systemd/system
        ls -d *.d wgconfine* multi-user.target.wants/* /usr/local/lib/systemd/system/* /run/netns/*
    """)
    assert r"a\x2db:c@d" not in left
    assert "llll" not in left
    assert "cccc" not in left
    assert f"{PERCENT}.d" in left
