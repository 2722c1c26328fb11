"""docs/faults.md: the faults, and what was found on each machine.

`make fault-table` writes the record, found.json, from a run on each, and the page from that.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import LIMITS, PLACES, Fault, Found, Kind, Place

__all__ = ["FOUND", "PAGE", "Record", "dump_found", "load_found", "render"]

FOUND = Path(__file__).with_name("found.json")
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

Record = Mapping[str, Mapping[str, Found]]
"""By the place's name and the fault's."""

HEAD = """\
# Faults, and what became of them

Written by `make fault-table` from what it found; do not edit. On each machine one confined service
sends without pause, by TCP and UDP over IPv4 and IPv6, and look-ups, each with a name of its own;
then a fault strikes, under a capture of the machine's uplink. The endpoint is a host name.

Machines are containers of Debian with systemd 252, 257 and 262 and `wireguard-go`, and virtual
machines of the same releases with the kernel's WireGuard. Where those were emulated, each start of
a program takes many times longer, and a restart of the tunnel is some ten of them: before each
fault a bare `python3 -I -c pass` is timed there and outside by turns, and a local fault has so much
longer. It is said after the time then, like *of 5 s x 21*.

A cell says how many packets were seen on the uplink that are not the tunnel's; how long it took
until every channel worked again, or in how many ticks; and whether the service has the *same*
process as before or a *new* one. A row holds where

- no foreign packet was seen, while at least 50 of the service's were seen inside;
- all was well again within 5 s; for faults of the way to the server or of the server itself
  (*endpoint*) within two ticks, 120 s;
- the service was restarted where that has to be, and nowhere else;
- `wgconfine verify` says afterwards that it is confined.

Before that the same program, confined to nothing, was seen on the uplink by each of its channels.
"""
TABLE_HEAD = """
## Faults

"""


def load_found() -> dict[str, dict[str, Found]]:
    return {
        place: {name: Found(**values) for name, values in faults.items()}
        for place, faults in json.loads(FOUND.read_text(encoding="utf-8")).items()
    }


def dump_found(found: Record) -> str:
    values = {
        place.name: {
            fault.name: asdict(found[place.name][fault.name])
            for fault in FAULTS
            if fault.name in found.get(place.name, {})
        }
        for place in PLACES
    }
    return json.dumps(values, indent=1) + "\n"


def render(found: Record) -> str:
    """Give the page."""
    heads = [f"{place.systemd}, {'kernel' if place.kernel else 'wireguard-go'}" for place in PLACES]
    lines = [
        f"| fault | {' | '.join(heads)} |",
        f"|---|{'---|' * len(PLACES)}",
        *(
            f"| [{fault.title}](#{fault.name})"
            f"{' (endpoint)' if fault.kind is Kind.ENDPOINT else ''} | "
            + " | ".join(cell(found, fault, place) for place in PLACES)
            + " |"
            for fault in FAULTS
        ),
    ]
    sections = [f"\n### {fault.name}\n\n{fault.does}\n" for fault in FAULTS]
    return (
        HEAD
        + count_slow(found)
        + TABLE_HEAD
        + "".join(f"{line}\n" for line in lines)
        + "".join(sections)
    )


def count_slow(found: Record) -> str:
    """Say how many rows hold by the longer limit of an emulated machine alone."""
    slowed = [
        each
        for faults in found.values()
        for fault in FAULTS
        if fault.kind is Kind.LOCAL and (each := faults.get(fault.name)) and each.slowness > 1
    ]
    slow = [each for each in slowed if (each.seconds or 0) > LIMITS[Kind.LOCAL]]
    return f"""
Of the {len(slowed)} rows with a longer limit {len(slow)} took more than 5 s by the clock. They
hold by that limit alone: a machine with virtualization has yet to show them within 5 s.
"""


def cell(found: Record, fault: Fault, place: Place) -> str:
    """Give what was found on one machine."""
    if not fault.applies(place):
        return "does not apply"
    seen = found.get(place.name, {}).get(fault.name)
    if seen is None:
        return "not tried"
    if seen.failed:
        return f"**FAILED**: {seen.foreign}, {seen.failed}"
    took = f"{seen.seconds:.1f} s"
    if seen.ticks is not None:
        took = f"{seen.ticks} tick{'s' if seen.ticks != 1 else ''}"
    elif seen.slowness > 1 and fault.kind is Kind.LOCAL:
        took += f" of 5 s x {seen.slowness:.0f}"
    return f"{seen.foreign}, {took}, {'same' if seen.same else 'new'}"
