"""`make fault-table`: try every fault on every machine, and write the record and the page.

`python -m tests.faulttable PLACE [FAULT…]` tries some on one machine, and keeps what was found of
the others.
"""

import sys
from pathlib import Path

from lab.layers import build_wheelhouse
from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import PLACES, Fault, Found, Place
from tests.faulttable.run import run_faults
from tests.faulttable.table import FOUND, PAGE, dump_found, load_found, render


def main(arguments: list[str]) -> None:
    wheelhouse = build_wheelhouse(Path(__file__).parents[2])
    found = load_found() if arguments and FOUND.exists() else {}
    places = [place for place in PLACES if not arguments or place.name == arguments[0]]
    wanted = [fault for fault in FAULTS if not arguments[1:] or fault.name in arguments[1:]]
    for place in places:
        found.setdefault(place.name, {}).update(try_on(place, wanted, wheelhouse))
        FOUND.write_text(dump_found(found), encoding="utf-8")
    if all(fault.name in found.get(p.name, {}) for p in PLACES for fault in FAULTS if fault.applies(p)):
        PAGE.write_text(render(found), encoding="utf-8")


def try_on(place: Place, wanted: list[Fault], wheelhouse: Path) -> dict[str, Found]:
    found = {}
    for fault, seen in run_faults(place, wanted, wheelhouse):
        found[fault.name] = seen
        took = f"{seen.seconds:.1f} s" if seen.seconds is not None else "-"
        sys.stderr.write(f"{place.name}: {fault.name}: {took}: {seen.failed or 'ok'}\n")
    return found


main(sys.argv[1:])
