"""A machine with one confined service that sends without pause, and how faults are tried on it."""

import subprocess  # noqa: TID253 — a test may take its time
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from typing import Self

from lab import Capture, Completed, Traffic, VirtualMachine, World, boot_container, boot_vm
from lab.capture import CaptureError
from lab.internet import ELSEWHERE, WEB, WIREGUARD_PORT, WORLD
from tests.faulttable.fault import Fault, Found, Place, judge, limit
from tests.scenario import write_service

__all__ = ["CHANNELS", "CONF", "ENDPOINT", "PACKETS", "TUNNEL", "UNIT", "Bench", "NotWellError"]

UNIT = "sender.service"
TUNNEL = "wgconfine@vpn.service"
TICK = "wgconfine-tick"
CONF = "/etc/wireguard/vpn.conf"
ENDPOINT = "vpn.example.net"
ENDPOINTS = [(address, WIREGUARD_PORT) for address in (*WORLD, *ELSEWHERE)]
PROGRAM = Path(__file__).with_name("sender.py")
STAMPS = "/dev/shm/sender"  # noqa: S108 — in the machine, and on no disk that a fault fills
CONTROL = "/dev/shm/control"  # noqa: S108 — the same
SERVICE = """\
[Service]
User=games
ExecStart=/usr/bin/python3 -u /usr/local/lib/sender.py {stamps} {addresses}
Restart=always
RestartSec=200ms
MemoryMax=160M
[Install]
WantedBy=multi-user.target
"""
SETTINGS = f"""\
config = "{CONF}"
services = ["{UNIT}"]
[health]
handshake-max-age = "150s"
# Each row asks for it: an emulated machine has no time for more.
[verify]
every = "off"
"""

CHANNELS = ("tcp4", "tcp6", "udp4", "udp6", "dns")
GAP = 1.0
"""Seconds without a success after which a channel counts as broken: it tries every 0.3 s."""
STEADY = 2.5
"""Seconds for which every channel must go on working."""
PATIENCE = 30.0
"""Seconds beyond the limit in which it may still become well: for the words of a failed row."""
WELL = 180.0
"""Seconds in which all must have worked for a moment before a fault, on a busy machine too."""
PACKETS = 50
"""So many of the service's packets must have been seen inside, or the row proves nothing."""
KEPT = "/run/wgconfine/health/vpn"
STRAYS = 20
"""So many packets that were seen outside are told, of a row that fails."""
BARE = ("/usr/bin/python3", "-I", "-c", "pass")
"""What tells how slow an emulated machine is: a tunnel's start is mostly starts of this."""
ROUNDS = 5
CROWDED = 2.0
"""So many times longer than processors work for them programs take where others want these, too."""
AGED = 1000
"""Seconds by which what the tick keeps is made older: waiting would take minutes a row."""


class NotWellError(AssertionError):
    """Before a fault not all was well: the machine is of no use any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """One attempt of a channel that succeeded, in seconds since the machine's boot."""

    channel: str
    began: float
    ended: float


@dataclass(slots=True, kw_only=True)
class Bench:
    """The machine under test, and what is known of the fault that is under way."""

    place: Place
    world: World
    successes: list[Success] = field(default_factory=list)
    read: int = 0
    over: float | None = None
    ticks: int | None = None
    control: int = 0
    crowding: float = 1.0
    """How many times longer all took, the last time it was waited for, than processors worked."""

    @classmethod
    @contextmanager
    def boot(cls, place: Place, wheelhouse: Path) -> Iterator[Self]:
        """A machine of a place, with the service confined and the capture tried."""
        boot = boot_vm if place.kernel else boot_container
        with boot(place.release, wheelhouse=wheelhouse) as world:
            bench = cls(place=place, world=world)
            bench.set_up()
            yield bench

    def set_up(self) -> None:
        world, machine = self.world, self.world.machine
        machine.write("/usr/local/lib/sender.py", PROGRAM.read_text(encoding="utf-8"))
        for name, stamps in ((UNIT, STAMPS), ("control.service", CONTROL)):
            write_service(world, name, SERVICE.format(stamps=stamps, addresses=" ".join(WEB)))
        self.control = len(self.seen_in_the_open())
        self.write_conf()
        machine.write("/etc/wgconfine/vpn.toml", SETTINGS)
        self.wgconfine("apply")
        machine.systemctl("enable", "--now", UNIT)

    def seen_in_the_open(self) -> set[str]:
        """The control: the same program, confined to nothing, is seen on the uplink."""
        machine = self.world.machine
        with self.capture() as uplink:
            machine.systemctl("start", "control.service")
            written = f"[ $(cut -d' ' -f1 {CONTROL} | sort -u | wc -l) -gt {len(CHANNELS)} ]"
            machine.wait_for(lambda: self.holds(written), "the control sends", 90)
            machine.systemctl("stop", "control.service")
        foreign = uplink.traffic.foreign()
        kinds = {
            f"{each.protocol} {each.target_port} {6 if ':' in each.target else 4}"
            for each in foreign
        }
        wanted = {"TCP 7 4", "TCP 7 6", "UDP 7 4", "UDP 7 6", "UDP 53 4"}
        if not wanted <= kinds:
            raise CaptureError(f"the control was not seen: {sorted(wanted - kinds)}")
        return {str(each) for each in foreign}

    def capture(self) -> Capture:
        # A machine that has lost its addresses sends by its link-local one, and the server answers
        # so from then on: WireGuard roams.
        listed = self.world.internet.run("ip", "-6", "-o", "address", "show", "scope", "link")
        local = [line.split()[3].partition("/")[0] for line in listed.splitlines()]
        endpoints = [*ENDPOINTS, *((address, WIREGUARD_PORT) for address in local)]
        return self.world.capture_uplink(endpoints=endpoints, beacons="world")

    def write_conf(self, *changes: tuple[str, str]) -> None:
        """Write the provider's .conf, its endpoint a name, with some of its text replaced."""
        text = self.world.internet.provider_conf(f"{ENDPOINT}:{WIREGUARD_PORT}")
        for old, new in changes:
            text = text.replace(old, new)
        self.world.machine.write(CONF, text, mode=0o600)

    def wgconfine(self, *arguments: str, check: bool = True) -> Completed:
        """Run the command; an emulated machine takes its time."""
        return self.world.machine.run("wgconfine", *arguments, check=check, timeout=600)

    # What faults are made of.

    def sh(self, script: str, *, check: bool = True) -> str:
        return self.world.machine.sh(script, check=check)

    def inside(self, command: str) -> str:
        return self.sh(f"nsenter --net=/run/wgconfine/netns/vpn {command}")

    def systemctl(self, *arguments: str, check: bool = True) -> None:
        self.world.machine.systemctl(*arguments, check=check)

    def holds(self, script: str) -> bool:
        """Whether a script succeeds on the machine."""
        return self.world.machine.run("bash", "-c", script, check=False).returncode == 0

    @property
    def vm(self) -> VirtualMachine:
        machine = self.world.machine
        assert isinstance(machine, VirtualMachine)
        return machine

    def now(self) -> float:
        """Seconds since the machine's boot."""
        return float(self.world.machine.read("/proc/uptime").split()[0])

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def measure_slowness(self) -> float:
        """How many times longer a bare Python takes to start here than on what emulates this.

        Both by turns, while the service sends. 1 where the machine is a container, or no slower.
        """
        if not self.place.kernel:
            return 1.0
        timed = f"time.monotonic(); subprocess.run({BARE!r}); print(time.monotonic() - began)"
        program = f"import subprocess, time; began = {timed}"
        ratios = []
        for _ in range(ROUNDS):
            there = float(self.world.machine.run("python3", "-c", program).stdout)
            began = time.monotonic()
            subprocess.run(BARE, check=True)
            ratios.append(there / (time.monotonic() - began))
        return max(1.0, median(ratios))

    def crowded(self) -> float:
        """How many times longer all took in a container, while it was waited for, than alone.

        1 where next to nobody else wanted the processors.
        """
        return self.crowding if self.crowding >= CROWDED and not self.place.kernel else 1.0

    def recovers(self) -> None:
        """From now on everything has to become well again by itself."""
        self.over = self.now()

    def recovers_from_start(self) -> None:
        """The same, from when systemd began to start the tunnel."""
        machine = self.world.machine
        began = int(machine.show(TUNNEL, "InactiveExitTimestampMonotonic")) / 1e6
        program = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())"
        self.over = began + float(machine.run("python3", "-c", program).stdout)

    def stays_closed(self, seconds: float, *, runs: bool = False) -> None:
        """Nothing comes through for a while, and the service runs or does not."""
        moment = self.now()
        self.rest(seconds)
        self.look()
        through = sorted({each.channel for each in self.successes if each.began > moment})
        assert not through, f"not closed: {', '.join(through)}"
        active = self.world.machine.is_active(UNIT)
        assert active is runs, f"the service {'runs' if active else 'does not run'}"

    def tick(self) -> None:
        self.systemctl("start", f"{TICK}.service", check=False)

    def by_hand(self) -> None:
        """From now on ticks come when they are called, and are counted."""
        self.systemctl("stop", f"{TICK}.timer")

    def age_handshake(self) -> None:
        """Have what the tick keeps be older: a handshake of now is then too old at the next."""
        lines = []
        for line in self.world.machine.read(KEPT).splitlines():
            words = line.split()
            if words[:1] == ["peer"]:
                words[5] = str(int(words[5]) - AGED)
            lines.append(" ".join(words))
        self.world.machine.write(KEPT, "\n".join(lines) + "\n")

    def count_ticks(self, at_most: int = 5, apart: float = 20) -> None:
        """Have one tick after the other until all is well, and count them."""
        for number in range(1, at_most + 1):
            self.tick()
            began = time.monotonic()
            while time.monotonic() < began + apart:
                self.rest(0.5)
                self.look()
                if self.fresh(self.now()):
                    self.ticks = number
                    return

    def new_boot(self) -> None:
        """The stamps of the boot before are gone, and their clock with them."""
        self.successes.clear()
        self.read = 0

    # How the service fares.

    def look(self) -> None:
        """Read what the service has written down since the last time."""
        tail = f"tail -c +{self.read + 1} {STAMPS} 2>/dev/null || true"
        text = self.world.machine.run("sh", "-c", tail).stdout
        whole = text[: text.rfind("\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            channel, began, ended = line.split()
            self.successes.append(Success(channel=channel, began=float(began), ended=float(ended)))

    def of(self, channel: str) -> list[Success]:
        return [each for each in self.successes if each.channel == channel]

    def fresh(self, now: float) -> bool:
        """Whether every channel has just succeeded."""
        last = {each.channel: each.ended for each in self.successes}
        return all(last.get(channel, 0) > now - GAP for channel in CHANNELS)

    def came_back(self, channel: str, moment: float) -> float | None:
        """When a channel last came back after a moment: its first success, or one after a gap."""
        stamps = self.of(channel)
        after = [each.ended for each in stamps if each.began >= moment]
        if not after:
            return None
        ends = sorted(each.ended for each in stamps)
        gaps = [late for early, late in pairwise(ends) if late - early > GAP and late > moment]
        return max([min(after), *gaps])

    def wait_until_well(
        self, mended: Callable[[Self], bool], moment: float, patience: float
    ) -> float | None:
        """Seconds from a moment until all was well for good; None where that did not come."""
        there: float | None = moment  # what was never away did not have to come back
        began = time.monotonic()
        worked, rested = worked_so_far(), 0.0
        while time.monotonic() < began + patience:
            if not mended(self):
                there = None
            elif there is None:
                there = self.now()
            self.look()
            backs = [self.came_back(channel, moment) for channel in CHANNELS]
            back = max(each or 0.0 for each in backs)
            now = self.now()
            if there is not None and None not in backs and self.fresh(now):
                well = max(back, there, moment)
                if now - well > STEADY:
                    took = time.monotonic() - began - rested
                    self.crowding = took / max(worked_so_far() - worked, 0.01)
                    return well - moment
            self.rest(0.2)
            rested += 0.2
        return None

    def process(self) -> tuple[str, str]:
        """The service's main process; after a boot another one may have its number."""
        show = self.world.machine.show
        return show(UNIT, "MainPID"), show(UNIT, "InvocationID")

    # A fault.

    def be_well(self) -> None:
        """Raise NotWellError where not all works before a fault."""
        moment = self.now()
        if self.wait_until_well(lambda _: True, moment, WELL) is None:
            raise NotWellError("not all channels work before the fault")

    def try_fault(self, fault: Fault) -> Found:
        """Have a fault strike, and see what becomes of the service and of what it sends."""
        self.be_well()
        self.over = self.ticks = None
        before = self.process()
        slowness = self.measure_slowness()
        found, failed = Found(), ""
        with self.capture() as uplink, self.world.capture_tunnel() as tunnel:
            self.rest(1)
            try:
                found = self.endure(fault, before, limit(fault, slowness) + PATIENCE)
                slowness = max(slowness, self.crowded())
            except AssertionError as error:
                failed = str(error).split("\n", maxsplit=1)[0] or "an assertion"
        verified = self.wgconfine("verify", "vpn", check=False)
        strays = uplink.traffic.foreign(lookups=[ENDPOINT])
        for packet in strays[:STRAYS]:
            words = f"{packet}, quotes {packet.quoted}" if packet.quoted else str(packet)
            sys.stderr.write(f"{self.place.name}: {fault.name}: foreign: {words}\n")
        found = replace(
            found,
            foreign=len(strays),
            verified=verified.returncode,
            slowness=slowness,
            failed=failed or too_little(uplink.traffic, tunnel.traffic),
        )
        return replace(found, failed=judge(fault, found))

    def endure(self, fault: Fault, before: tuple[str, str], patience: float) -> Found:
        fault.strike(self)
        if self.over is None:
            raise AssertionError("the fault does not say when it is over")
        seconds = self.wait_until_well(fault.mended, self.over, patience)
        return Found(seconds=seconds, ticks=self.ticks, same=self.process() == before)


def worked_so_far() -> float:
    """Seconds that processors have worked for us and for what we ran."""
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def too_little(uplink: Traffic, tunnel: Traffic) -> str:
    """Say what makes a row prove nothing."""
    if len(tunnel.packets) < PACKETS:
        return f"{len(tunnel.packets)} packets seen inside: proves nothing"
    return "" if uplink.wireguard() else "no WireGuard on the uplink: proves nothing"
