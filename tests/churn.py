"""A service that looks a name of its own up every 100 ms, and what the host does meanwhile."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from lab import Traffic, World
from lab.internet import WORLD
from tests.scenario import write_service

LOOKER = r"""
import socket, subprocess, sys, threading, time

token, path = sys.argv[1:]
log = open(path, "a", buffering=1)

def look(number):
    # By one long-lived process and by new ones in turn: glibc keeps what it has read and opened.
    name = f"look-{number}.{token}.example.net"
    began, found = time.monotonic(), "-"
    try:
        if number % 2:
            found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)[0][4][0]
        else:
            found = subprocess.check_output(["getent", "hosts", name], text=True).split()[0]
    except (OSError, subprocess.CalledProcessError) as error:
        pass
    log.write(f"{number} {time.monotonic() - began:.3f} {found}\n")

began = time.monotonic()
number = 0
while True:
    threading.Thread(target=look, args=(number,), daemon=True).start()
    number += 1
    time.sleep(max(0, began + number / 10 - time.monotonic()))
"""
SERVICE = """\
[Service]
DynamicUser=yes
StateDirectory=%N
ExecStart=/usr/bin/python3 /usr/local/lib/look.py {token} /var/lib/%N/log
"""
PATIENCE = 5.0

DAEMONS = (
    "systemd-resolved",
    "nscd",
    "unscd",
    "dbus",
    "avahi-daemon",
    "NetworkManager",
    "resolvconf",
)

RENAMED = f"""
for n in $(seq 20); do
    if [ $((n % 2)) = 0 ]; then server={WORLD[0]}; else server=127.0.0.53; fi
    echo "nameserver $server" >/etc/resolv.conf.new
    mv -T /etc/resolv.conf.new /etc/resolv.conf
    sleep 0.1
done
"""
LINKED = f"""
mkdir -p /run/lab-resolver
for n in $(seq 20); do
    echo "nameserver {WORLD[0]}" >/run/lab-resolver/$n.conf
    if [ $((n % 2)) = 0 ]; then target=/run/lab-resolver/$n.conf; else target=../run/none; fi
    ln -sfn $target /etc/resolv.conf.new
    mv -T /etc/resolv.conf.new /etc/resolv.conf
    sleep 0.1
done
"""
NSSWITCH = """
sed 's/^hosts:.*/hosts: mymachines mdns4_minimal [NOTFOUND=return] resolve files dns/' \
    /etc/nsswitch.conf >/etc/nsswitch.conf.new
mv -T /etc/nsswitch.conf.new /etc/nsswitch.conf
"""
REWRITES = {
    "resolv.conf, a file, renamed 20 times": RENAMED,
    "resolv.conf, a link, renamed 20 times": LINKED,
    "nsswitch.conf replaced": NSSWITCH,
    "daemon-reexec": "systemctl daemon-reexec",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look-up: how long it took, in seconds, and the address that came, or `-`."""

    number: int
    seconds: float
    found: str


class Looker:
    """A service that looks up, and the word that is in each of its names."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.token = f"{name}-{secrets.token_hex(4)}"
        world.machine.write("/usr/local/lib/look.py", LOOKER)
        write_service(world, f"{name}.service", SERVICE.format(token=self.token))

    def looks(self) -> list[Look]:
        """Every look-up that has come to an end, by number."""
        lines = self.world.machine.sh(f"cat /var/lib/{self.name}/log || true").splitlines()
        fields = (line.split() for line in lines)
        found = (Look(number=int(a), seconds=float(b), found=c) for a, b, c in fields)
        return sorted(found, key=lambda look: look.number)

    def next(self) -> int:
        """The number of the first look-up that has not begun, or is under way."""
        return max((look.number for look in self.looks()), default=-1) + 1

    def seen_on(self, traffic: Traffic) -> list[str]:
        """The packets that bear one of its names, whatever protocol they are of."""
        word = self.token.encode()
        return [str(packet) for packet in traffic.packets if word in packet.payload]

    def asked_at(self, resolver: str) -> set[str]:
        """Its names that a resolver of the world was asked for."""
        return {
            query.name
            for query in self.world.internet.dns_queries()
            if query.resolver == resolver and self.token in query.name
        }


def events(world: World) -> list[tuple[str, str]]:
    """What happens on this machine, in order: restarts, rewrites, and the restarts once more.

    By then the service's binds are lost, if ever they are.
    """
    there = [
        daemon
        for daemon in DAEMONS
        if world.machine.show(f"{daemon}.service", "LoadState") == "loaded"
    ]
    # NetworkManager may take a minute to stop once its bus has gone: nobody waits for it.
    restart = "timeout 2 systemctl restart {}.service || [ $? = 124 ]"
    restarts = [(f"{each} restarts", restart.format(each)) for each in there]
    return [*restarts, *REWRITES.items(), *((f"{name} again", do) for name, do in restarts)]


def happen(world: World, looker: Looker, pause: float) -> list[tuple[str, list[Look | None]]]:
    """Let everything happen, each followed by a pause; gives the look-ups of each event.

    One that has not come to an end by the time that it may take is None.
    """
    marks = []
    for what, script in events(world):
        marks.append((what, looker.next()))
        # A start limit of the distribution's is not what is tried here.
        world.machine.sh(f"systemctl reset-failed; {script}")
        time.sleep(pause)
    marks.append(("", looker.next()))
    time.sleep(PATIENCE)
    looks = {look.number: look for look in looker.looks()}
    return [
        (what, [looks.get(number) for number in range(start, end)])
        for (what, start), (_, end) in pairwise(marks)
    ]


def describe(done: Iterable[tuple[str, list[Look | None]]]) -> str:
    """Give a table: the look-ups of each event, how many were answered, the slowest."""
    lines = [
        f"  {len(looks):5} look-ups, {len(answered(looks)):5} answered, "
        f"slowest {max((look.seconds for look in looks if look), default=0):.3f} s: {what}"
        for what, looks in done
    ]
    return "\n".join(["", *lines])


def answered(looks: Iterable[Look | None]) -> list[Look]:
    """Give those that got an address in time."""
    return [look for look in looks if look and look.found != "-" and look.seconds <= PATIENCE]
