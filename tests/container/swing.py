"""Two commands that undo each other, killed at their steps in turn, which restores the state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import unified_diff

from lab import World
from tests.faults import Table
from tests.scenario import wgconfine

KILL_AT = ("python3", "/usr/lib/lab/kill-at.py")
LOG = "/root/steps"

UNITS = (
    *("probe.service", "wgconfine-want@probe.target", "steady.service"),
    *("wgconfine@vpn.service", "wgconfine-netns@vpn.service", "wgconfine-wireguard@vpn.service"),
    *("wgconfine@two.service", "wgconfine-netns@two.service", "wgconfine-wireguard@two.service"),
    *("wgconfine-switch@vpn.service", "wgconfine-switch@two.service", "wgconfine-tick.timer"),
)

# Not what verify and the tick keep below /run/wgconfine: they run by a timer, too.
LOOK = rf"""
for place in /etc/systemd/system /usr/local/lib/systemd /etc/wgconfine /etc/systemd/network \
    /etc/NetworkManager; do
    find $place -printf '%p %y %m %U %l\n' 2>/dev/null | sort || true
done
find /etc/systemd/system /usr/local/lib/systemd /etc/wgconfine -type f -print0 | sort -z |
    xargs -0 sha256sum
systemctl show -p Id,ActiveState,NeedDaemonReload {" ".join(UNITS)}
inode() {{ stat -Lc %i "$1"; }}
for unit in probe steady; do
    pid=$(systemctl show -P MainPID $unit)
    for name in vpn two; do
        [ "$pid" = 0 ] || [ ! -e /run/wgconfine/netns/$name ] ||
            [ "$(inode /proc/$pid/ns/net)" != "$(inode /run/wgconfine/netns/$name)" ] ||
            echo "$unit is in $name"
    done
    [ "$pid" = 0 ] || [ "$(inode /proc/$pid/ns/net)" != "$(inode /proc/1/ns/net)" ] ||
        echo "$unit is in the open"
done
find /run/netns /run/wgconfine -path '/run/wgconfine/run/*/*' -prune -o \
    -path '/run/wgconfine/verify' -prune -o -path '/run/wgconfine/probe' -prune -o \
    -path '/run/wgconfine/health' -prune -o \
    -printf '%p %y %m %l\n' | grep -v '^/run/wgconfine/lock/[^=]' | sort
nft list tables | sort
systemctl list-units --failed --no-legend --plain 'wgconfine*'
find /run/wgconfine/tunnel -type f -print0 | sort -z | xargs -0r head -n 99
for name in vpn two; do
    [ -e /run/wgconfine/netns/$name ] || continue
    [ "$(inode /run/netns/$name)" = "$(inode /run/wgconfine/netns/$name)" ] || echo "two of $name"
    nsenter --net=/run/wgconfine/netns/$name sh -c \
        'nft -s list ruleset; ip -br link | cut -d" " -f1; ip -br address; ip route; ip -6 route;
         ip -o link show wg0 | grep -o "mtu [0-9]*"'
done
wg show all allowed-ips
"""

WHERE = r"""
pid=$(systemctl show -P MainPID probe)
[ "$pid" != 0 ] || { echo stopped; exit; }
case $(readlink /proc/$pid/exe) in */systemd/*) echo starting; exit;; esac
[ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/1/ns/net)" ] || { echo inside; exit; }
systemctl show -P InvocationID probe
"""
"""Where the probe is; for one in the open, which of its runs it is.

What systemd has forked and not executed yet is still on its way into its namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A command and what its owner edits before it."""

    prepare: Callable[[World], object]
    command: Sequence[str]
    opens: bool = False  # it says that the probe may run in the open


def look(world: World) -> str:
    """All that must be the same again."""
    return world.machine.sh(LOOK)


def rest(world: World) -> str:
    """Wait until nothing is under way and two looks are alike, and give what they saw."""
    seen = ""

    def at_rest() -> bool:
        nonlocal seen
        before, seen = seen, look(world)
        return before == seen and not world.machine.sh("systemctl list-jobs --no-legend; sleep 0.3")

    world.machine.wait_for(at_rest, "nothing changes any more")
    return seen


def settled(world: World, expected: str, what: str) -> None:
    """Wait until the machine is as expected: what PID 1 was asked for may still be under way."""
    try:
        world.machine.wait_for(lambda: look(world) == expected, what, timeout=60)
    except AssertionError:
        found = "\n".join(unified_diff(expected.splitlines(), look(world).splitlines(), n=0))
        raise AssertionError(f"{what}\n{found}") from None


class Swing:
    """There and back, again and again."""

    def __init__(self, world: World, there: Way, back: Way) -> None:
        self.world, self.ways = world, (there, back)
        self.clean: list[str] = []
        self.ended = 0
        self.tables: list[Table] = []

    def learn(self, most: int | None) -> None:
        """Go there and back without a kill: what the end is like, and which steps there are."""
        for way in self.ways:  # what is made once and for ever is no step
            way.prepare(self.world)
            wgconfine(self.world, *way.command)
        for way in self.ways:
            way.prepare(self.world)
            words = (*KILL_AT, "0", LOG, "/usr/local/bin/wgconfine", *way.command)
            self.world.machine.run(*words, timeout=600)
            steps = self.world.machine.read(LOG).splitlines()
            self.clean.append(rest(self.world))
            self.tables.append(Table(steps=tuple(steps), most=most))

    def kill(self) -> None:
        """At each step, or at some, of both: then the same again, and the end is the clean one."""
        turns = [list(table.numbers()) for table in self.tables]
        for turn in range(max(map(len, turns))):
            for way, clean, table, numbers in zip(
                self.ways, self.clean, self.tables, turns, strict=True
            ):
                number = numbers[min(turn, len(numbers) - 1)]
                self.kill_once(way, number, clean, f"{number}: {table.steps[number - 1]}")
        # The last step of each is one that another run may lack.
        assert self.ended <= len(turns) + sum(map(len, turns)) // 10

    def kill_once(self, way: Way, number: int, clean: str, what: str) -> None:
        machine = self.world.machine
        way.prepare(self.world)
        before = machine.sh(WHERE)
        words = (*KILL_AT, str(number), LOG, "/usr/local/bin/wgconfine", *way.command)
        killed = machine.run(*words, check=False, timeout=600)
        assert killed.returncode in {0, 137}, f"{what}: {killed.stderr}"
        self.ended += killed.returncode == 0  # a message to the bus more or less, now and then
        where = machine.sh(WHERE)
        if not way.opens:
            assert where in {"stopped", "starting", "inside", before}, (
                f"{what}: it was started in the open"
            )
        again = wgconfine(self.world, *way.command, check=False)
        assert 0 == again.returncode, f"{what}: {again.stderr}"
        settled(self.world, clean, f"{what}: {again.stderr}")

    def describe(self) -> str:
        return "; ".join(
            f"{' '.join(way.command)}: {table.describe()}"
            for way, table in zip(self.ways, self.tables, strict=True)
        )
