"""Is the machine's clock behind? A peer takes no handshake older than the last one it took.

So a machine that starts without a battery for its clock has no tunnel until that is set, and
nothing else says why. The time of the last handshake is kept on the disk, seldom written.
"""

from __future__ import annotations

import os
import time

from wgconfine.runtime import paths
from wgconfine.runtime.failure import warn
from wgconfine.runtime.state import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

SELDOM = 900
"""Seconds between two times that are written down: less than that is not found out."""
TOLERANCE = 5
"""Seconds that a clock may be set back by whoever keeps it right."""
HINT = "Set it: timedatectl set-ntp true"


class Handshakes:
    """When each tunnel has shaken hands last, in seconds since the epoch, over restarts."""

    def __init__(self) -> None:
        try:
            lines = [line.partition(" ") for line in read_state(paths.HANDSHAKES).splitlines()]
        except OSError as error:
            warn(f"{paths.HANDSHAKES}: {error.strerror}")
            lines = []
        # Not synced: after a power cut anything may be in there.
        self.last = {name: int(last) for name, _, last in lines if last.isdecimal()}
        self.changed = False

    def saw(self, name: str, last: int) -> None:
        """Learn of a handshake that came about just now: after an earlier one, its peer forgot."""
        before = self.last.get(name)
        if before is None or not before <= last < before + SELDOM:
            self.last[name] = last
            self.changed = True

    def save(self, names: Collection[str]) -> None:
        """Write them down, of installed tunnels, if there is anything new."""
        known = {name: last for name, last in self.last.items() if name in names}
        if self.changed or known != self.last:
            text = "".join(f"{name} {last}\n" for name, last in sorted(known.items()))
            try:
                write_state(paths.HANDSHAKES, text, mode=0o600)
            except OSError as error:  # a full disk is no reason not to look at tunnels
                warn(f"{paths.HANDSHAKES}: {error.strerror}")


def why_behind(last: int, now: int) -> str:
    """Say why the clock is behind, if it is: it was later at a handshake, or when we came."""
    installed = int(os.stat(__file__).st_mtime)
    if now + TOLERANCE < last:
        later = f"the last handshake was at {said(last)}"
    elif now < installed:
        later = f"wgconfine was installed at {said(installed)}"
    else:
        return ""
    return f"the machine's clock is behind: it says {said(now)}, and {later}. {HINT}"


def since_boot() -> int:
    """Give the seconds since boot: setting a clock does not move them, a suspend counts."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def said(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
