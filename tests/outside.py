"""What a control group sends in the host's network namespace, and what the second switch counts."""

import re

from lab import Traffic, World
from lab.internet import WORLD

SEND_ONE = f"echo leak >/dev/udp/{WORLD[0]}/4711 || true"


def _send(address: str, host: str) -> str:
    # What is counted by curl is how long it waits, and not how long an emulated machine starts it.
    return f"""\
(echo leak >/dev/udp/{address}/4711) &
curl -s -g -m 3 -o /dev/null http://{host}/ &
dig +time=1 +tries=1 @{address} $1.example.net &
dig +time=1 +tries=1 +tcp @{address} $1-tcp.example.net &
"""


SEND = f"{{\n{_send(WORLD[0], WORLD[0])}{_send(WORLD[1], f'[{WORLD[1]}]')}}} >&2\nwait\n"
"""A script that sends UDP, TCP and DNS over both families; its argument is a name to look up.

All at once, since each waits for an answer that it may not get.
"""

SENT = {
    (kind, version) for kind in ("UDP 4711", "TCP 80", "UDP 53", "TCP 53") for version in (4, 6)
}
"""What it is seen to do where nothing stops it."""


def in_group(world: World, group: str, script: str, *arguments: str) -> None:
    """Run a script in the host's network namespace, in a control group of the machine."""
    join = f'mkdir -p "/sys/fs/cgroup/$0" && echo $$ >"/sys/fs/cgroup/$0/cgroup.procs"\n{script}'
    world.machine.run("bash", "-c", join, group, *arguments, timeout=120)


def counted(world: World, name: str) -> tuple[int, int]:
    """Give what the second switch of a tunnel counted of what was sent and what was received."""
    listing = (f"nft list counter inet wgconfine-{name} {each}" for each in ("sent", "received"))
    listed = world.machine.sh("; ".join(listing))
    sent, received = (int(number) for number in re.findall(r"packets (\d+)", listed))
    return sent, received


def seen(traffic: Traffic) -> set[tuple[str, int]]:
    """Give what of SENT is in a capture of the uplink."""
    return {
        (f"{packet.protocol} {packet.target_port}", 6 if ":" in packet.target else 4)
        for packet in traffic.foreign()
        if packet.target in WORLD
    }
