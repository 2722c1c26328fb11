"""What tests of a tunnel that mends itself ask of a machine."""

import json
import time

from lab import World
from lab.internet import WEB

NETNS, TUNNEL = "wgconfine-netns@vpn.service", "wgconfine@vpn.service"
LOOK, LISTEN = "wgconfine-look@vpn.service", "wgconfine-look@vpn.socket"
LOOK_OUTSIDE, LISTEN_OUTSIDE = "wgconfine-look.service", "wgconfine-look.socket"
NAMED, RECORD = "/run/netns/vpn", "/run/wgconfine/netns/vpn"
INSIDE = f"nsenter --net={RECORD}"
IN_TIME = 30.0
"""Seconds after which a fault must be mended, on a busy machine too; on an idle one it takes two.
Nobody else would mend it: the tick is stopped meanwhile."""
QUIET = 6
"""Seconds after which a look has ended."""


def inside(world: World, *argv: str) -> str:
    return world.machine.run(*INSIDE.split(), *argv).stdout


def carries(world: World) -> bool:
    return holds(world, f"{INSIDE} curl -s -m 2 http://{WEB[0]}/")


def holds(world: World, script: str) -> bool:
    return world.machine.run("sh", "-c", script, check=False).returncode == 0


def strike(world: World, command: str, there: str) -> None:
    """Take something away, and wait until it is there again and the tunnel carries."""
    began = time.monotonic()
    world.machine.sh(f"{command}; ! {{ {there}; }} >/dev/null 2>&1")
    world.machine.wait_for(lambda: holds(world, there), there, IN_TIME)
    world.machine.wait_for(lambda: carries(world), "it carries", IN_TIME)
    assert time.monotonic() - began < IN_TIME


def look_away(world: World) -> None:
    """Have nobody mend by himself what a test takes away to see who notices.

    The looks are there and do nothing, so that systemd does not start them again.
    """
    nothing = {"look@": "sleep infinity", "look": "sleep infinity", "name@": "true"}
    for stem, command in nothing.items():
        place = f"/run/systemd/system/wgconfine-{stem}.service.d/away.conf"
        world.machine.write(place, f"[Service]\nExecStart=\nExecStart={command}\n")
    world.machine.systemctl("daemon-reload")
    world.machine.systemctl("stop", "wgconfine-look*.service")


def tick_by_hand(world: World) -> None:
    """Have the timer of the tick start none, before the first `apply`.

    One that comes in the middle of a test mends, reloads or verifies what that has taken away; and
    a start by hand joins one that has looked already.
    """
    never = "[Timer]\nOnActiveSec=\nOnActiveSec=1w\n"  # an empty one takes all of them away
    world.machine.write("/run/systemd/system/wgconfine-tick.timer.d/never.conf", never)
    world.machine.systemctl("daemon-reload")


def look_again(world: World) -> None:
    """Take that back."""
    world.machine.sh("rm -r /run/systemd/system/wgconfine-{look@,look,name@}.service.d")
    world.machine.systemctl("daemon-reload")
    world.machine.systemctl("stop", "wgconfine-look*.service")


def mends(world: World) -> int:
    """How often something was mended, as the journal has it."""
    journal = ("journalctl", "-b", "-o", "json", "--no-pager", "WGCONFINE_TUNNEL=vpn")
    lines = world.machine.run(*journal).stdout.splitlines()
    said = [str(json.loads(line)["MESSAGE"]) for line in lines]
    return sum("missing. Starting" in each or "loaded again" in each for each in said)


def wait_until_quiet(world: World) -> None:
    def quiet() -> bool:
        units = (LOOK, LOOK_OUTSIDE, "wgconfine-reload@vpn.service")
        return not any(
            world.machine.show(unit, "ActiveState") in {"active", "activating"} for unit in units
        )

    world.machine.wait_for(quiet, "nobody looks any more")


FAULTS = {
    "the link": (f"{INSIDE} ip link del wg0", f"{INSIDE} ip route | grep -q default"),
    "an address": (
        f"{INSIDE} ip address del 10.66.0.2/32 dev wg0",
        f"{INSIDE} ip address | grep -q 10.66.0.2",
    ),
    "an IPv6 address": (
        f"{INSIDE} ip -6 address flush dev wg0 scope global",
        f"{INSIDE} ip address | grep -q fd66::2",
    ),
    "a route": (f"{INSIDE} ip route del default dev wg0", f"{INSIDE} ip route | grep -q default"),
    "an IPv6 route": (
        f"{INSIDE} ip -6 route del default dev wg0",
        f"{INSIDE} ip -6 route | grep -q default",
    ),
    "the link, down": (f"{INSIDE} ip link set wg0 down", f"{INSIDE} ip -6 route | grep -q default"),
    "the firewall": (f"{INSIDE} nft flush ruleset", f"{INSIDE} nft list table inet wgconfine"),
    "its rules": (
        f"{INSIDE} nft flush table inet wgconfine",
        f"{INSIDE} nft list table inet wgconfine | grep -q dport",
    ),
}


OUTSIDE = {
    "all rules": ("nft flush ruleset", "nft list table inet wgconfine-vpn"),
    "a chain": (
        "nft delete chain inet wgconfine-vpn input",
        "nft list chain inet wgconfine-vpn input",
    ),
    "its rule": (
        "nft flush chain inet wgconfine-vpn output",
        "nft list chain inet wgconfine-vpn output | grep -q cgroupv2",
    ),
}
