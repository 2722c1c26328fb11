"""Half an hour in which a fault of the machine's own strikes every few seconds, at random.

WGCONFINE_SEED has it be the one of another run, WGCONFINE_SOAK is how many seconds it lasts.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import CommandFailed
from tests.faulttable.bench import CHANNELS, ENDPOINT, PACKETS, TUNNEL, UNIT, Bench
from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import PLACES
from tests.scenario import refused, wgconfine

pytestmark = [pytest.mark.container, pytest.mark.long]

PLACE = next(place for place in PLACES if place.name == "trixie-userspace")
SECONDS = float(os.environ.get("WGCONFINE_SOAK", "1800"))
SEED = int(os.environ.get("WGCONFINE_SEED", str(random.SystemRandom().randrange(1 << 32))))
SHORTEST, LONGEST = 0.5, 6.0
"""Seconds between two faults: most come before the last one is mended."""
PATIENCE = 60.0
"""Seconds in which all must be well after the last one."""


def flap(bench: Bench) -> None:
    bench.sh("ip link set eth0 down; sleep 2; systemctl restart lab-network.service")


def reload(bench: Bench) -> None:
    bench.systemctl("reload", TUNNEL)


Strike = Callable[[Bench], None]
STRIKES: dict[str, Strike] = {
    "uplink down and up": flap,
    "reload": reload,
    "tick": Bench.tick,
    **{fault.title: fault.strike for fault in FAULTS if fault.soak},
}


def test_soak(wheelhouse: Path, record_property: Callable[[str, object], None]) -> None:
    """Not a packet leaves in all that time, and afterwards everything is confined and well."""
    chance = random.Random(SEED)  # noqa: S311 — to be had again
    struck, missed = Counter[str](), Counter[str]()
    print(f"WGCONFINE_SEED={SEED}")  # noqa: T201 — pytest shows it where the test fails
    with Bench.boot(PLACE, wheelhouse) as bench:
        bench.be_well()
        with bench.capture() as uplink:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                name = chance.choice(list(STRIKES))
                try:
                    STRIKES[name](bench)
                    struck[name] += 1
                except CommandFailed:
                    missed[name] += 1  # what it takes away has not come back yet
                bench.rest(chance.uniform(SHORTEST, LONGEST))
            last = bench.now()
            well = bench.wait_until_well(lambda _: True, last, PATIENCE)
        words = f"seed {SEED}, {SECONDS:.0f} s, {struck.total()} faults, {missed.total()} missed"
        record_property("table", f"{words}: {dict(struck)}")
        assert struck.total() > SECONDS / 60, words  # else it was a soak of nothing
        assert () == uplink.traffic.foreign(lookups=[ENDPOINT]), words
        assert well is not None, words
        assert all(len(bench.of(channel)) > PACKETS for channel in CHANNELS), words
        assert f"{UNIT}: confined" == refused(bench.world, UNIT), words
        verified = wgconfine(bench.world, "verify", check=False)
        assert 0 == verified.returncode, words + verified.stdout
