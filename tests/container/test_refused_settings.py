"""Settings that are refused as a whole, on a running machine that then stays as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.scenario import PROBE, confine, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def world(wheelhouse: Path) -> Iterator[World]:
    """A machine with a tunnel that is up."""
    with boot_container("trixie", wheelhouse=wheelhouse) as world:
        confine(world)
        yield world


def test_a_longer_name_is_refused(world: World) -> None:
    """Before anything is changed: systemd could not name the units of ours that go with it."""
    unit = f"{'x' * 234}.service"
    write_service(world, unit, PROBE)
    write_tunnel(world, [unit], name="long", client=20)
    done = wgconfine(world, "apply", check=False)
    world.machine.run("rm", "/etc/wgconfine/long.toml")
    assert 78 == done.returncode
    assert "is longer than 234 characters. Give the unit a shorter name" in done.stderr


def test_two_tunnels_with_one_key_are_refused(world: World) -> None:
    """At check, plan and apply; both places are named and the key is not."""
    machine = world.machine
    write_tunnel(world, name="twin", client=2)
    key = next(
        line.split(" = ")[1]
        for line in machine.read("/etc/wireguard/twin.conf").splitlines()
        if line.startswith("PrivateKey")
    )
    expected = (
        "/etc/wireguard/vpn.conf:2: the private key is also that of /etc/wireguard/twin.conf:2. "
        "Get one for each tunnel: two with the same key cut each other off.\n"
    )
    for verb in ("check", "plan", "apply"):
        done = wgconfine(world, verb, check=False)
        assert (78, expected) == (done.returncode, done.stderr)
        assert key not in done.stdout + done.stderr
    machine.run("sed", "-i", "1i enable = false", "/etc/wgconfine/twin.toml")
    wgconfine(world, "check")
    machine.run("rm", "/etc/wgconfine/twin.toml")
