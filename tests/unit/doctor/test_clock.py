"""The clock: when it is certainly behind, and who keeps it."""

import calendar

import pytest

from wgconfine.doctor.clock import ClockFacts, Daemon, built, daemon_of, judge_clock
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.model.doctor import Finding, Grade
from wgconfine.runtime.clock import HINT
from wgconfine.system.inside import Answer

NOW = calendar.timegm((2026, 11, 26, 12, 0, 0))
DEBIAN = Distribution(family=Family.DEBIAN)


@pytest.mark.parametrize(
    ("version", "day"),
    [
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.12.9-1 (2025-01-10)", (2025, 1, 10)),
        ("#1 SMP PREEMPT_DYNAMIC PMX 6.2.16-10 (2023-08-18T11:42Z)", (2023, 8, 18)),
        ("#1 SMP PREEMPT_DYNAMIC Thu Feb  5 17:31:00 UTC 2026", (2026, 2, 5)),
        ("#1-NixOS SMP Tue Jan  1 00:00:00 UTC 1980", (1980, 1, 1)),
        ("#1 SMP (2025-13-40)", None),
        ("#1 SMP", None),
    ],
)
def test_when_a_kernel_was_built(version: str, day: tuple[int, int, int] | None) -> None:
    """As distributions write it."""
    assert (calendar.timegm((*day, 0, 0, 0)) if day else 0) == built(version)


def clock(facts: ClockFacts, container: str = "") -> Finding:
    (found,) = judge_clock(facts, container, DEBIAN)
    return found


def test_a_clock_that_is_behind() -> None:
    """By the last handshake or the kernel: it can be set, but for a host's."""
    behind = f"the machine's clock is behind: it says x, and the last handshake was at y. {HINT}"
    found = clock(ClockFacts(now=NOW, behind=behind))
    assert (Grade.BROKEN, "timedatectl set-ntp true") == (found.grade, found.mend)
    assert "was at y, so that no peer takes a handshake" in found.words
    early = clock(ClockFacts(now=1000, kernel=NOW))
    assert "it says 1970-01-01 00:16:40Z, and its kernel was built on 2026-11-26" in early.words
    assert "" == clock(ClockFacts(now=1000, kernel=NOW), "lxc").mend


@pytest.mark.parametrize(
    ("facts", "container", "grade", "mend"),
    [
        (ClockFacts(now=NOW, kernel=NOW - 9, synchronized=True), "", Grade.OK, ""),
        (ClockFacts(now=NOW), "", Grade.NOTE, ""),
        (ClockFacts(now=NOW), "lxc", Grade.OK, ""),
        (ClockFacts(now=NOW, synchronized=False, kept=True), "", Grade.NOTE, ""),
        (
            ClockFacts(now=NOW, synchronized=False, kept=False, can_be_kept=True),
            "",
            Grade.NOTE,
            "timedatectl set-ntp true",
        ),
        (
            ClockFacts(now=NOW, synchronized=False, kept=False, can_be_kept=False),
            "",
            Grade.NOTE,
            "apt install systemd-timesyncd",
        ),
    ],
)
def test_who_keeps_the_clock(facts: ClockFacts, container: str, grade: Grade, mend: str) -> None:
    """systemd's word, and the command for it; a container has its host's clock."""
    found = clock(facts, container)
    assert (grade, mend) == (found.grade, found.mend)


UNITS = """\
Id=chrony.service
LoadState=not-found
ActiveState=inactive

Id=ntpsec.service
LoadState=masked
ActiveState=inactive

Id=openntpd.service
LoadState=loaded
ActiveState={}
"""


def test_another_daemon() -> None:
    """The one that runs, before one that could, before one that is masked."""

    def found(text: str) -> Daemon | None:
        return daemon_of(Answer(status=0, output=text, complaint=""))

    assert Daemon(unit="openntpd.service", active=True) == found(UNITS.format("active"))
    assert Daemon(unit="openntpd.service") == found(UNITS.format("inactive"))
    masked = UNITS.rpartition("\n\n")[0]
    assert Daemon(unit="ntpsec.service", masked=True) == found(masked)
    assert found("") is None
    assert daemon_of(None) is None


@pytest.mark.parametrize(
    ("daemon", "can_be_kept", "mend"),
    [
        (Daemon(unit="openntpd.service", active=True), True, ""),
        (Daemon(unit="openntpd.service", active=True), False, ""),
        (Daemon(unit="openntpd.service"), False, "systemctl enable --now openntpd.service"),
        (Daemon(unit="ntpsec.service", masked=True), False, ""),
        (Daemon(unit="chrony.service"), True, "timedatectl set-ntp true"),
    ],
)
def test_no_daemon_is_put_beside_another(daemon: Daemon, mend: str, *, can_be_kept: bool) -> None:
    """On Debian the package of one removes the other; the one that is there is to keep it."""
    facts = ClockFacts(
        now=NOW, synchronized=False, kept=False, can_be_kept=can_be_kept, daemon=daemon
    )
    found = clock(facts)
    assert (Grade.NOTE, mend) == (found.grade, found.mend)
    assert can_be_kept or daemon.unit in found.words


def test_daemons_that_were_not_asked_for() -> None:
    """Nothing is installed on a guess."""
    facts = ClockFacts(now=NOW, synchronized=False, kept=False, daemons_known=False)
    assert "" == clock(facts).mend


def test_what_keeps_it_on_fedora() -> None:
    """A package alone starts nothing there."""
    facts = ClockFacts(now=NOW, synchronized=False, kept=False, can_be_kept=False)
    (found,) = judge_clock(facts, "", Distribution(family=Family.FEDORA))
    assert "dnf install chrony && systemctl enable --now chronyd" == found.mend
