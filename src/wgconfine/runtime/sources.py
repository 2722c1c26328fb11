"""The files that a tunnel is made from: have they changed since they were read?

Path units and the tick ask, and what has changed is read by a reload of the tunnel.
"""

from __future__ import annotations

import os
import time

from wgconfine.runtime import paths
from wgconfine.runtime.record import Record, load
from wgconfine.runtime.services import ask_to_reload
from wgconfine.runtime.state import is_up, read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ABSENT = "-"
RECENT = 2.0
"""Seconds: what has changed that short a time ago may have been read half-way."""
COMING = 2.0
"""Seconds for a file to be there again: editors move one away before they write the next."""
LOOK = 0.1


def look(record: Record) -> str:
    """Give a line for each file, which is another one when the file is, or has changed."""
    return "".join(f"{identify(path)} {path}\n" for path in record.watched_files)


def identify(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return ABSENT
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def keep(name: str, seen: str) -> None:
    """Remember what a configuration was read from; nothing where nobody asks."""
    place = f"{paths.tunnel_state(name)}/{paths.SOURCES}"
    if seen or read_state(place):
        write_state(place, seen, mode=0o600)


def has_changed(record: Record) -> bool:
    """Tell whether a running tunnel was configured from other files than lie there now.

    A file that is away counts as unchanged: there is nothing to be read.
    """
    if not is_watched(record):
        return False
    known = remembered(record)
    now = look(record).splitlines()
    return any(line not in known and not line.startswith(f"{ABSENT} ") for line in now)


def is_watched(record: Record) -> bool:
    """Tell whether there is anything to watch, and the tunnel has been configured."""
    return bool(record.watched_files) and is_up(record.name)


def remembered(record: Record) -> list[str]:
    return read_state(f"{paths.tunnel_state(record.name)}/{paths.SOURCES}").splitlines()


def ask_to_read(name: str) -> None:
    """Have the tunnel reloaded if one of its files has changed, or did so just now.

    A path unit starts this, which does not watch meanwhile; the reload comes when it does again.
    So nothing is lost of what happens between this look and that reload.
    """
    record = load(name)
    if not is_watched(record):  # a tunnel that could not start is started again anyway
        return
    end = time.monotonic() + COMING
    while time.monotonic() < end and is_missing(record):
        time.sleep(LOOK)
    if has_changed(record) or is_recent(record):
        ask_to_reload(tunnel(name))


def is_missing(record: Record) -> bool:
    """Tell whether a file is away that the tunnel was configured from."""
    known = (line.partition(" ") for line in remembered(record))
    was_there = {path for identity, _, path in known if identity != ABSENT}
    return any(identify(path) == ABSENT for path in record.watched_files if path in was_there)


def is_recent(record: Record) -> bool:
    now = time.time()
    for path in record.watched_files:
        try:
            if abs(now - os.stat(path).st_ctime) < RECENT:
                return True
        except OSError:
            continue
    return False


def tunnel(name: str) -> str:
    return f"wgconfine@{name}.service"


def reload_changed(records: Iterable[Record]) -> None:
    """Reload each tunnel of whose files something has changed that no path unit has seen.

    A link somewhere on the way to a file may lead elsewhere now.
    """
    changed = [tunnel(record.name) for record in records if has_changed(record)]
    if changed:
        ask_to_reload(*changed)
