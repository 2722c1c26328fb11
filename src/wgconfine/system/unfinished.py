"""/run/wgconfine/lock/=unfinished: what a run is about, for the next one if this is cut off.

In /run, so that a reboot forgets it: what runs after a boot is for the units' own settings to say.
Whoever writes it holds `apply_lock`.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from wgconfine.model.settings import UnitName
from wgconfine.plan.unfinished import Unfinished
from wgconfine.runtime.paths import STATE
from wgconfine.system.replacing import new_name, replace_file

__all__ = ["keep_unfinished", "read_unfinished"]

NAME = "=unfinished"
SCHEMA = 1


def read_unfinished(root: Path) -> Unfinished:
    """Give what an earlier run was about; nothing where it came to its end, and for a tree.

    Nor where it was written by another version: nothing is started or released by a guess.
    """
    if root != Path("/"):
        return Unfinished()
    try:
        values = json.loads((Path(STATE) / "lock" / NAME).read_text(encoding="utf-8"))
        if values["schema"] != SCHEMA:
            return Unfinished()
        return Unfinished(
            stopped=frozenset(map(UnitName, values["stopped"])),
            starting=frozenset(values["starting"]),
            restarting=frozenset(values["restarting"]),
            released={UnitName(unit): str(word) for unit, word in values["released"].items()},
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return Unfinished()


def keep_unfinished(root: Path, unfinished: Unfinished) -> None:
    """Have the next run know this; nothing at all takes the file away. A tree has none."""
    if root != Path("/"):
        return
    directory = os.open(Path(STATE) / "lock", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if unfinished:
            replace_file(directory, NAME, as_json(unfinished).encode(), 0o644)
            return
        for name in (NAME, new_name(NAME)):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)


def as_json(unfinished: Unfinished) -> str:
    values = {
        "schema": SCHEMA,
        "stopped": sorted(unfinished.stopped),
        "starting": sorted(unfinished.starting),
        "restarting": sorted(unfinished.restarting),
        "released": dict(sorted(unfinished.released.items())),
    }
    return json.dumps(values, indent=2) + "\n"
