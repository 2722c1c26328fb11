"""Who is in a tunnel's namespace beside its services: inside, and not confined by us."""

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from wgconfine.model.settings import UnitName
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.runtime.namespace import identity
from wgconfine.system.cgroup import unit_in

__all__ = ["judge_inhabitants", "read_inhabitants"]

check = partial(Check, area=Area.STRUCTURE)

OURS = "wgconfine"
SHOWN = 8


def read_inhabitants(namespace: tuple[int, int]) -> dict[str, list[int]]:
    """Give the processes in the namespace, by the unit that they belong to."""
    found: dict[str, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 — names, not paths
        if identity(f"/proc/{entry}/ns/net") == namespace:
            try:
                text = Path(f"/proc/{entry}/cgroup").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has just ended
            found.setdefault(unit_in(text), []).append(int(entry))
    return found


def judge_inhabitants(found: Mapping[str, list[int]], services: Iterable[UnitName]) -> list[Check]:
    """Name who is inside and no service of this tunnel: no guard and no resolver of ours is theirs.

    They are in the tunnel's network and nowhere else, so that this is no failure.
    """
    known = {*services}
    strangers = {
        unit: pids
        for unit, pids in found.items()
        if unit not in known and not unit.startswith(OURS)
    }
    if not strangers:
        return [check(name="inside", verdict=Verdict.OK, evidence="its own services alone")]
    return [
        check(
            name="inside",
            verdict=Verdict.OPEN,
            evidence="inside, not confined by wgconfine: "
            + ", ".join(f"process {pid}" for pid in sorted(pids)[:SHOWN])
            + (f" and {len(pids) - SHOWN} more" if len(pids) > SHOWN else ""),
            unit=unit,
        )
        for unit, pids in sorted(strangers.items())
    ]
