"""Reloads that change something, one after the other, under a service that sends without pause."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from lab import assert_confined
from tests.faulttable.bench import ENDPOINT, TUNNEL, Bench
from tests.faulttable.fault import PLACES

pytestmark = pytest.mark.container

PLACE = next(place for place in PLACES if place.name == "trixie-userspace")
MANY = 1000
FURTHER = ("10.66.0.77/32", "fd66::77/128")

CHANGES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("Endpoint", "PersistentKeepalive = 25\nEndpoint"),),
    (("DNS = 10.66.0.1", "DNS = 10.66.0.1, fd66::1"),),
    (("0.0.0.0/0, ::/0", "0.0.0.0/1, 128.0.0.0/1, ::/0"),),
    (("DNS", "MTU = 1340\nDNS"),),
    (("fd66::2/128", f"fd66::2/128, {FURTHER[0]}"),),
    (
        ("0.0.0.0/0, ::/0", "::/1, 8000::/1, 0.0.0.0/0"),
        ("DNS", "MTU = 1380\nDNS"),
        ("Endpoint", "PersistentKeepalive = 10\nEndpoint"),
    ),
)
"""What the .conf has beside, or instead of, what the provider handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a leak of any kind would have grow: of PID 1, of wireguard-go, of the kernel."""

    systemd_kib: int
    systemd_descriptors: int
    wireguard_kib: int
    wireguard_descriptors: int
    rules: int
    mounts: int
    units: int


HELD = """
go=$(systemctl show -P MainPID wgconfine-wireguard@vpn.service)
for pid in 1 $go; do
    awk '/^VmRSS/ { print $2 }' /proc/$pid/status
    ls /proc/$pid/fd | wc -l
done
(nft -a list ruleset; nsenter --net=/run/netns/vpn nft -a list ruleset) | wc -l
wc -l </proc/1/mountinfo
systemctl list-units --all --no-legend | wc -l
"""


@pytest.fixture(scope="module")
def bench(wheelhouse: Path) -> Iterator[Bench]:
    """A machine with a service that sends, by one connection that stays among others."""
    with Bench.boot(PLACE, wheelhouse) as bench:
        yield bench


def held(bench: Bench) -> Holdings:
    fields = (
        "systemd_kib", "systemd_descriptors", "wireguard_kib", "wireguard_descriptors", "rules",
        "mounts", "units",
    )  # fmt: skip
    return Holdings(**dict(zip(fields, map(int, bench.sh(HELD).split()), strict=True)))


def source_port(bench: Bench) -> str:
    return bench.sh("wg show all listen-port | cut -f2")


@pytest.mark.parametrize("count", [12, pytest.param(MANY, marks=pytest.mark.long)])
def test_reloads_under_load(
    bench: Bench, count: int, record_property: Callable[[str, object], None]
) -> None:
    """The same process, the same connection, the same source port; nothing leaves or grows."""
    bench.be_well()
    before = bench.process(), source_port(bench)
    opened = len(bench.of("opened"))
    seen: list[Holdings] = []
    with bench.capture() as uplink, bench.world.capture_tunnel() as tunnel:
        for number in range(count):
            bench.write_conf(*CHANGES[number % len(CHANGES)])
            bench.systemctl("reload", TUNNEL)
            if number % (count // 12) == 0:
                bench.look()
                seen.append(held(bench))
        bench.write_conf()
        bench.systemctl("reload", TUNNEL)
        bench.be_well()

    assert_confined(uplink.traffic, tunnel.traffic, lookups=[ENDPOINT])
    assert before == (bench.process(), source_port(bench))
    assert opened == len(bench.of("opened")), "the connection did not last"
    record_property("table", f"{count} reloads: {seen[0]} then {seen[-1]}")
    assert_no_growth(seen, memory=count == MANY)


def assert_no_growth(seen: list[Holdings], *, memory: bool) -> None:
    """Counts stay, and so does memory once caches and pools are full: by the middle of each third.

    wireguard-go takes and gives back buffers of 64 KiB as packets come: its memory grows for some
    hundreds of reloads, and then no more.
    """
    third = len(seen) // 3
    for name in ("systemd_descriptors", "wireguard_descriptors", "rules", "mounts", "units"):
        last = middle(name, seen[-third:])
        assert last <= middle(name, seen[:third]) + 8, (name, series(name, seen))
    for name in ("systemd_kib", "wireguard_kib") if memory else ():
        first, last = middle(name, seen[third : 2 * third]), middle(name, seen[-third:])
        assert last < 1.1 * first + 1024, (name, series(name, seen))


def middle(name: str, seen: list[Holdings]) -> float:
    return median(series(name, seen))


def series(name: str, seen: list[Holdings]) -> list[int]:
    return [getattr(each, name) for each in seen]
