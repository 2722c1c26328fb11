"""`wgconfine verify` of busy services, a hundred times: all is well, and nothing is unknown."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import World, boot_container
from tests.matrix import ends
from tests.scenario import PROBE, wgconfine, write_service, write_tunnel
from wgconfine.verify.channels import CHANNELS

pytestmark = pytest.mark.container

PERIODIC = "wgconfine-verify@vpn.service"
CRAWLER = """\
[Service]
User=crawler
StateDirectory=crawler
ExecStart=/bin/sh -c 'while :; do \
for n in 1 2 3; do curl -s -m 3 http://web.example.net/ >/var/lib/crawler/$$n & done; \
getent hosts crawler-$$$$.example.net >/dev/null; getent passwd nobody >/dev/null; wait; done'
"""
FORKER = """\
[Service]
DynamicUser=yes
ExecStart=/bin/sh -c 'while :; do /bin/true; sleep 0.05; done'
"""
OPENED = """\
[Service]
User=games
ExecStart=/bin/sleep infinity
"""
SERVICES = (
    *("probe.service", "crawler.service", "forker.service", "opened.service"),
    *("nginx.service", "transmission-daemon.service"),
)
REFINED = """\
[service."opened.service"]
allow-paths = ["/run/log"]
allow-bus = ["org.example.Name"]
"""
ROUNDS = 100
RESTART = 'sleep 0.$((RANDOM % 10)); sleep $((RANDOM % 3)); systemctl restart "$1"'
"""At some moment of a `verify`, which takes about three seconds here."""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with services that fork and talk, as root, as users and as users of a moment."""
    packages = ("xdg-dbus-proxy",)
    with boot_container(request.param, wheelhouse=wheelhouse, extra_packages=packages) as world:
        world.machine.sh("useradd --system crawler")
        texts = {"probe": PROBE, "crawler": CRAWLER, "forker": FORKER, "opened": OPENED}
        for name, text in texts.items():
            write_service(world, f"{name}.service", text)
        write_tunnel(world, SERVICES, extra=REFINED)
        wgconfine(world, "apply")
        world.machine.systemctl("start", *SERVICES)
        yield world


def verify(world: World) -> list[dict[str, Any]]:
    done = wgconfine(world, "verify", "--json", check=False)
    (tunnel,) = json.loads(done.stdout)["tunnels"]
    found: list[dict[str, Any]] = tunnel["checks"]
    return found


def verify_by_unit(world: World) -> list[dict[str, Any]]:
    world.machine.systemctl("start", PERIODIC, check=False)
    found = json.loads(world.machine.read("/run/wgconfine/verify/vpn.json"))
    checks: list[dict[str, Any]] = found["checks"]
    return checks


def verdicts(checks: list[dict[str, Any]]) -> dict[tuple[str, str, str], str]:
    """Give the verdict of each check; what a service is just talking to is another every time."""
    return {
        (each["area"], each["name"], each["unit"]): each["verdict"]
        for each in checks
        if each["name"] != "connections"
    }


def failed(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in checks if each["verdict"] not in {"ok", "open", "not available"}]


def test_the_unit_finds_what_the_command_finds(world: World) -> None:
    """In its sandbox, of services of every kind: check by check, and nothing is unknown."""
    by_command, by_unit = verify(world), verify_by_unit(world)

    assert ([], []) == (failed(by_command), failed(by_unit))
    assert verdicts(by_command) == verdicts(by_unit)
    assert {(unit, name) for unit in SERVICES for name in ("probe", *CHANNELS)} == {
        (each["unit"], each["name"])
        for each in by_unit
        if each["area"] == "escapes" and each["unit"]
    }
    assert "success" == world.machine.show(PERIODIC, "Result")


@pytest.mark.long
@pytest.mark.parametrize("look", [verify, verify_by_unit])
def test_it_is_well_a_hundred_times(
    world: World,
    look: Callable[[World], list[dict[str, Any]]],
    record_property: Callable[[str, object], None],
) -> None:
    """While each is restarted at some moment, one after the other, by every second round."""
    found: Counter[str] = Counter()
    probes: set[str] = set()
    bad: list[dict[str, Any]] = []
    for number in range(ROUNDS):
        restart = f"restart-{number}.service"
        if number % 2:
            unit = SERVICES[number // 2 % len(SERVICES)]
            world.machine.run(
                *("systemd-run", "--quiet", f"--unit={restart}", "bash", "-c", RESTART, "-", unit)
            )
        checks = look(world)
        found.update(each["verdict"] for each in checks)
        probes |= {each["name"] for each in checks if each["area"] == "escapes" and each["unit"]}
        bad += [{"round": number, **each} for each in failed(checks)]
        world.machine.sh(f"while systemctl -q is-active {restart}; do sleep 0.05; done")
    record_property(
        "table", f"{ROUNDS} times {dict(found)}, {len(probes)} probes: {' '.join(sorted(probes))}"
    )

    assert [] == bad
