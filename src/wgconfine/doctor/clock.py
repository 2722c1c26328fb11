"""The clock: a peer takes no handshake that is older than the last one."""

import calendar
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from wgconfine.doctor.asked import Answers, succeeded
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.runtime.clock import HINT, Handshakes, said, why_behind

__all__ = ["QUESTIONS", "ClockFacts", "built", "judge_clock", "look_at_clock"]

QUESTIONS = {"time": ("timedatectl", "show", "--property=NTP,CanNTP,NTPSynchronized")}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SET = HINT.removeprefix("Set it: ")
KEEPERS = {
    Family.DEBIAN: "apt install systemd-timesyncd",
    Family.FEDORA: "dnf install chrony",
    Family.ARCH: SET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Times are in seconds since the epoch, 0 for none. `behind` is why it certainly is.

    What could not be asked is None.
    """

    now: int
    kernel: int = 0
    behind: str = ""
    synchronized: bool | None = None
    kept: bool | None = None
    can_be_kept: bool | None = None


def look_at_clock(answers: Answers) -> ClockFacts:
    now = int(time.time())
    answer = answers.get("time")
    shown = dict(
        line.split("=", 1) for line in (answer.output if answer else "").splitlines() if "=" in line
    )
    known = succeeded(answer)
    last = max(Handshakes().last.values(), default=0) if os.geteuid() == 0 else 0
    return ClockFacts(
        now=now,
        kernel=built(os.uname().version),
        behind=why_behind(last, now),
        synchronized=shown.get("NTPSynchronized") == "yes" if known else None,
        kept=shown.get("NTP") == "yes" if known else None,
        can_be_kept=shown.get("CanNTP") == "yes" if known else None,
    )


def built(version: str) -> int:
    """Read when the kernel was built from uname(2)'s `version`, to the day; 0 for none.

    `#1 SMP Debian 6.1.0-1 (2024-05-03)` and `#1 SMP Thu Feb  5 17:31:00 UTC 2026`.
    """
    if found := re.search(r"\((\d{4})-(\d\d)-(\d\d)", version):
        year, month, day = map(int, found.groups())
    elif found := re.search(rf"({'|'.join(MONTHS)}) +(\d+) .*?(\d{{4}})\b", version):
        year, month, day = int(found[3]), MONTHS.index(found[1]) + 1, int(found[2])
    else:
        return 0
    try:
        return calendar.timegm((year, month, day, 0, 0, 0))
    except (OverflowError, ValueError):
        return 0


finding = partial(Finding, subject=Subject.CLOCK, name="clock")


def judge_clock(facts: ClockFacts, container: str, distribution: Distribution) -> Iterator[Finding]:
    """In a container it is the host's clock, and the host's to set."""
    where = " (a container has its host's clock: set it there)" if container else ""
    behind = facts.behind.removesuffix(f". {HINT}")
    if not behind and facts.now < facts.kernel:
        behind = (
            f"the machine's clock is behind: it says {said(facts.now)}, and its kernel was built "
            f"on {said(facts.kernel)[:10]}"
        )
    if behind:
        yield finding(
            grade=Grade.BROKEN,
            words=f"{behind}, so that no peer takes a handshake{where}",
            mend="" if container else SET,
        )
    elif container or facts.synchronized:
        words = "a container has its host's" if container else "it is synchronized"
        yield finding(grade=Grade.OK, words=words)
    elif facts.synchronized is None:
        yield finding(
            grade=Grade.NOTE,
            words="it is not known to be behind; systemd does not say whether it is kept right",
        )
    else:
        yield not_synchronized(facts, distribution)


def not_synchronized(facts: ClockFacts, distribution: Distribution) -> Finding:
    if facts.kept:
        words = "it is not synchronized yet; what keeps it runs"
        return finding(grade=Grade.NOTE, words=words)
    mend = SET if facts.can_be_kept else KEEPERS.get(distribution.family, "")
    words = (
        "nothing that systemd knows of keeps it right: one that falls behind, as after a boot "
        "without a battery, has no handshake"
    )
    return finding(grade=Grade.NOTE, words=words, mend=mend)
