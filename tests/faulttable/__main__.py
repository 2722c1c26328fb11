"""`make fault-table`: try every fault on every machine, and write the record and the page.

`python -m tests.faulttable PLACE [FAULT…]` tries some on one machine, and keeps what was found of
the others; several may run at once.
"""

import fcntl
import sys
from pathlib import Path

from lab.layers import build_wheelhouse
from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import PLACES, Fault, Found, Place
from tests.faulttable.run import run_faults
from tests.faulttable.table import FOUND, PAGE, dump_found, load_found, render


def main(arguments: list[str]) -> None:
    wheelhouse = build_wheelhouse(Path(__file__).parents[2])
    if not arguments:
        FOUND.write_text(dump_found({}), encoding="utf-8")
    for place in PLACES:
        if not arguments or place.name == arguments[0]:
            wanted = [each for each in FAULTS if not arguments[1:] or each.name in arguments[1:]]
            for fault, found in run_faults(place, wanted, wheelhouse):
                keep(place, fault, found)


def keep(place: Place, fault: Fault, seen: Found) -> None:
    took = f"{seen.seconds:.1f} s" if seen.seconds is not None else "-"
    sys.stderr.write(f"{place.name}: {fault.name}: {took}: {seen.failed or 'ok'}\n")
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = load_found()
        found.setdefault(place.name, {})[fault.name] = seen
        FOUND.write_text(dump_found(found), encoding="utf-8")
        PAGE.write_text(render(found), encoding="utf-8")


main(sys.argv[1:])
