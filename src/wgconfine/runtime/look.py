"""wgconfine-look@NAME.service, wgconfine-look.service: is anything gone that a tunnel is made of?

systemd listens to what the kernel tells of links, addresses, routes and rules, in the tunnel's
namespace and in the host's, and starts this at the first word. It ends when there is silence again.
What is missing is made anew by other units, so that PID 1 orders it; the tick looks all the same.
"""

from __future__ import annotations

import os
import time
from _socket import AF_NETLINK, MSG_DONTWAIT, SOCK_RAW, socket
from select import POLLIN, poll

from wgconfine.runtime import whole
from wgconfine.runtime.failure import Failure, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SOCKET = 3  # sd_listen_fds(3)
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SETTLE = 0.2
"""Seconds from a word of the kernel's to a look: one change is many words."""
LINGER = 5.0
"""Seconds of silence after which this ends: a start costs more than to wait."""
SHARE = 50
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds between two looks: so many times what one takes of a processor. Whoever changes rules
without pause costs 2 % of one, and a fault is seen in time all the same."""
TRIES = 6
"""How often the same mend is asked for, after 1, 2, 4 … seconds. Then it is left to the tick."""
PATIENCE = 8
"""Seconds for a mend to be done: what is missing after that is missing again, or still."""
MANY = 10
WAIT, LONG_WAIT = 1.0, 3.0
"""Seconds between two mends; the longer ones after many that did help, each for a moment."""


class Mender:
    """Ask for what is missing, with growing pauses as long as the same does not come back by it."""

    def __init__(self, mend: Callable[[str, str], None]) -> None:
        self.mend = mend
        self.tries = self.times = 0
        self.asked = 0.0
        self.last: whole.Missing = {}

    def given_up(self) -> bool:
        return self.tries >= TRIES

    def see(self, missing: whole.Missing, now: float) -> bool:
        """Ask for it and tell so, if its time has come; seconds of a clock that only goes on."""
        if missing != self.last:
            self.tries, self.last = 0, missing
        pause = max(WAIT * 2**self.tries / 2, WAIT if self.times < MANY else LONG_WAIT)
        if not missing or self.given_up() or (self.times and now < self.asked + pause):
            return False
        self.asked, self.tries, self.times = now, self.tries + 1, self.times + 1
        for name, what in missing.items():
            self.mend(name, what)
        return True


def inside(name: str) -> None:
    """Look after one tunnel, in its namespace, until there is silence."""
    watch(lambda: whole.missing_inside(name), whole.mend_inside)


def outside() -> None:
    """Look after the second switches of all tunnels, in the host's namespace."""
    watch(whole.missing_switches, whole.mend_switch)


def watch(look: Callable[[], whole.Missing], mend: Callable[..., None]) -> None:
    sockets = inherited_sockets()
    mender = Mender(lambda name, what: mend(name, what, patience=PATIENCE))
    quiet_at = time.monotonic() + LINGER
    time.sleep(SETTLE)
    while True:
        drain(sockets)  # before the look: what comes after it has another
        began = spent()
        try:
            missing = look()
        except (Failure, OSError, ValueError) as failure:
            # Its settings are damaged, or it has just gone. Silence is waited for all the same: a
            # unit that ends at once is started again at once.
            warn(str(failure))
            missing = {}
        if mender.see(missing, time.monotonic()):
            continue  # at once: has it helped?
        time.sleep(min(max(SHORTEST_PAUSE, SHARE * (spent() - began)), LONGEST_PAUSE))
        pending = bool(missing) and not mender.given_up()
        if not pending and not wait(sockets, quiet_at - time.monotonic()):
            return
        quiet_at = time.monotonic() + LINGER
        time.sleep(SETTLE)


def spent() -> float:
    """Give the seconds of a processor that this and the programs it ran have taken."""
    return sum(os.times()[:4])


def inherited_sockets() -> list[socket]:
    """Give the sockets that systemd listens at; none where somebody else has started this.

    From now on one that is full drops what it can't take. It would be an error of the socket, by
    which systemd gives the whole unit up; and that there are words is all that counts.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = [
        socket(AF_NETLINK, SOCK_RAW, 0, descriptor)
        for descriptor in range(FIRST_SOCKET, FIRST_SOCKET + count)
    ]
    for each in sockets:
        each.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
    return sockets


def drain(sockets: list[socket]) -> None:
    buffer = bytearray(1)  # the rest of each message is cut off
    for each in sockets:
        while True:
            try:
                each.recv_into(buffer, 1, MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS, of before we came
                continue


def wait(sockets: list[socket], seconds: float) -> bool:
    """Wait until the kernel has a word; False after so many seconds of silence."""
    poller = poll()
    for each in sockets:
        poller.register(each, POLLIN)
    return bool(poller.poll(max(0.0, seconds) * 1000))
