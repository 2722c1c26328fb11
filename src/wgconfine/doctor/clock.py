"""The clock: a peer takes no handshake that is older than the last one."""

import calendar
import os
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from wgconfine.doctor.asked import Answers, succeeded
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.runtime.clock import HINT, Handshakes, said, why_behind
from wgconfine.system.inside import Answer

__all__ = [
    "QUESTIONS",
    "ClockFacts",
    "Daemon",
    "built",
    "daemon_of",
    "judge_clock",
    "look_at_clock",
]

DAEMONS = ("chrony", "chronyd", "ntpsec", "ntp", "ntpd", "openntpd")
"""Units of daemons beside systemd's own, as Debian, Fedora and Arch name them."""
QUESTIONS = {
    "time": ("timedatectl", "show", "--property=NTP,CanNTP,NTPSynchronized"),
    "daemons": (
        *("systemctl", "show", "--property=Id,LoadState,ActiveState", "--"),
        *(f"{each}.service" for each in DAEMONS),
    ),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SET = HINT.removeprefix("Set it: ")
INSTALL = {
    Family.DEBIAN: "apt install systemd-timesyncd",
    Family.FEDORA: "dnf install chrony && systemctl enable --now chronyd",
    Family.ARCH: SET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Another one that keeps clocks right, and is installed here."""

    unit: str
    active: bool = False
    masked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Times are in seconds since the epoch, 0 for none. `behind` is why it certainly is.

    What could not be asked is None. `daemon` is one that systemd need not know to keep the clock;
    `daemons_known` says that they were asked for.
    """

    now: int
    kernel: int = 0
    behind: str = ""
    synchronized: bool | None = None
    kept: bool | None = None
    can_be_kept: bool | None = None
    daemon: Daemon | None = None
    daemons_known: bool = True


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
        daemon=daemon_of(answers.get("daemons")),
        daemons_known=succeeded(answers.get("daemons")),
    )


def daemon_of(answer: Answer | None) -> Daemon | None:
    """Give the daemon that runs, else one that could; None where none is installed."""
    found = []
    for block in (answer.output if answer is not None else "").split("\n\n"):
        shown = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if shown.get("LoadState") in {"loaded", "masked"}:
            active = shown.get("ActiveState") in {"active", "activating", "reloading"}
            masked = shown["LoadState"] == "masked"
            found.append(Daemon(unit=shown.get("Id", ""), active=active, masked=masked))
    return min(found, key=lambda each: (not each.active, each.masked), default=None)


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
    if facts.daemon is not None and (facts.daemon.active or not facts.can_be_kept):
        return by_daemon(facts.daemon)
    install = INSTALL.get(distribution.family, "") if facts.daemons_known else ""
    words = (
        "nothing that systemd knows of keeps it right: one that falls behind, as after a boot "
        "without a battery, has no handshake"
    )
    return finding(grade=Grade.NOTE, words=words, mend=SET if facts.can_be_kept else install)


def by_daemon(daemon: Daemon) -> Finding:
    """Say who is to keep it: on Debian the package of another such daemon would remove this one."""
    if daemon.active:
        words = f"{daemon.unit} keeps it, and has not told the kernel that it is synchronized"
        return finding(grade=Grade.NOTE, words=words)
    words = (
        f"nothing keeps it right, and {daemon.unit} is there for it: a clock that falls behind, as "
        "after a boot without a battery, has no handshake"
    )
    mend = "" if daemon.masked else f"systemctl enable --now {shlex.quote(daemon.unit)}"
    return finding(grade=Grade.NOTE, words=words, mend=mend)
