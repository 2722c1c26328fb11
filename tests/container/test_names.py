"""Names at the edges of what systemd and wgconfine take, on a running systemd."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.scenario import WEB, confine, refused, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

ASK = (
    "[Unit]\nDescription={description}\n[Service]\nType=exec\nUser=nobody\n"
    f"ExecStart=/bin/sh -c 'until curl -4 -s -m 3 {WEB}; do sleep 0.3; done; exec sleep 999'\n"
)
LONGEST = f"{'x' * 233}.service"
TUNNELS = {
    "a": (r"odd-\x2d\x2d1.service", "plain"),
    "a-b": (r"inst@a\x2db:c@d.service", "Übersetzer 日本 \\u202e\x1b[31m"),
    "a-b-8080": ("with:colon_and.dots.service", "100% %n"),
    "x" * 31: (LONGEST, "y" * 200),
}


@pytest.fixture(scope="module")
def world(wheelhouse: Path) -> Iterator[World]:
    with boot_container("trixie", wheelhouse=wheelhouse) as world:
        yield world


def test_odd_names_are_confined(world: World) -> None:
    """Each service reaches the web by the tunnel that it was given, by its address there."""
    machine = world.machine
    for client, (name, (unit, description)) in enumerate(TUNNELS.items(), start=10):
        write_service(world, unit, ASK.format(description=description.replace("%", "%%")))
        write_tunnel(world, [unit.replace("\\", "\\\\")], name=name, client=client)
    machine.sh("cd /etc/wireguard; mv a.conf '100%h %i $x.conf'")
    machine.sh(r"sed -i 's#wireguard/a.conf#wireguard/100%h %i $x.conf#' /etc/wgconfine/a.toml")
    wgconfine(world, "apply")

    for client, (unit, _) in enumerate(TUNNELS.values(), start=10):
        machine.systemctl("start", "--", unit)
        machine.wait_for(partial(seen_as, world, unit, client), f"{unit} is seen by the web")
        assert f"{unit}: confined" == refused(world, unit)
    assert "" == machine.sh("systemctl list-units --failed --plain --no-legend")
    machine.systemctl("restart", "wgconfine@a-b.service")
    machine.wait_for(lambda: machine.is_active(TUNNELS["a-b"][0]), "it comes back")


def seen_as(world: World, unit: str, client: int) -> bool:
    """Tell whether the web saw this client of the provider when the service asked it."""
    journal = ("journalctl", "-o", "cat", "-u", unit, "_TRANSPORT=stdout")
    return f"10.66.0.{client}" in world.machine.run(*journal).stdout.split()


def test_a_longer_name_is_refused(world: World) -> None:
    """Before anything is changed: systemd could not name the target that it needs."""
    write_service(world, f"x{LONGEST}", ASK.format(description="too long"))
    write_tunnel(world, [f"x{LONGEST}"], name="long", client=20)
    done = wgconfine(world, "apply", check=False)
    world.machine.run("rm", "/etc/wgconfine/long.toml")
    assert 78 == done.returncode
    assert "is longer than 241 characters. Give the unit a shorter name" in done.stderr


def test_two_tunnels_with_one_key_are_refused(world: World) -> None:
    """At check, plan and apply; both places are named and the key is not."""
    machine = world.machine
    write_tunnel(world, name="twin", client=11)
    key = next(
        line.split(" = ")[1]
        for line in machine.read("/etc/wireguard/twin.conf").splitlines()
        if line.startswith("PrivateKey")
    )
    expected = (
        "/etc/wireguard/twin.conf:2: the private key is also that of /etc/wireguard/a-b.conf:2. "
        "Get one for each tunnel: two with the same key cut each other off.\n"
    )
    for verb in ("check", "plan", "apply"):
        done = wgconfine(world, verb, check=False)
        assert (78, expected) == (done.returncode, done.stderr)
        assert key not in done.stdout + done.stderr
    machine.run("sed", "-i", "1i enable = false", "/etc/wgconfine/twin.toml")
    wgconfine(world, "check")
    machine.run("rm", "/etc/wgconfine/twin.toml")


def test_settings_that_are_fine_again_apply(world: World) -> None:
    """Nothing of what was refused was left behind."""
    confine(world, name="last", client=30)
    assert "Nothing to do" in wgconfine(world, "plan").stdout
