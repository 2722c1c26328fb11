"""What `verify` prints, from checks that are written here."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from wgconfine.model.verify import Area, Check, Verdict, Verification
from wgconfine.report.status import NO_TUNNEL
from wgconfine.report.verify import as_json, as_text

DROPIN = "/etc/systemd/system/transmission-daemon.service.d/zz-wgconfine.conf"
OK = tuple(
    Check(area=area, name=f"{area}-{number}", verdict=Verdict.OK, evidence="as declared")
    for area in Area
    for number in range(4)
)
ALIKE = ("home", "setuid", "shared-network", "unix-sockets")
OPEN = {
    "prowlarr.service": ALIKE,
    "qbittorrent-nox@torrent.service": (*ALIKE, "allow-path:/run/postgresql"),
    "nginx.service": ("root", "shared-network", "unix-sockets"),
}
GREEN = Verification(
    tunnel="green",
    checks=(
        *OK,
        Check(
            area=Area.STRUCTURE,
            name="inside",
            verdict=Verdict.OPEN,
            evidence="inside, not confined by wgconfine: process 4711",
            unit="hand-written.service",
        ),
        Check(
            area=Area.STRUCTURE,
            name="switch",
            verdict=Verdict.UNAVAILABLE,
            evidence="this kernel has no socket cgroupv2",
        ),
        Check(
            area=Area.UNITS,
            name="lingers",
            verdict=Verdict.OPEN,
            evidence="user torrent lingers: a user manager of its runs in the open",
            unit="qbittorrent-nox@torrent.service",
            mend="loginctl disable-linger torrent",
        ),
        *(
            Check(area=Area.UNITS, name=name, verdict=Verdict.OPEN, evidence="", unit=unit)
            for unit, names in OPEN.items()
            for name in names
        ),
        Check(
            area=Area.ESCAPES,
            name="bind-device",
            verdict=Verdict.OK,
            evidence="it is in the tunnel's network namespace",
            unit="prowlarr.service",
        ),
    ),
    seconds=0.8,
)
LEAKING = Verification(
    tunnel="leaking",
    checks=(
        *OK,
        Check(
            area=Area.UNITS,
            name="drop-in",
            verdict=Verdict.NOT_CONFINED,
            evidence=f"{DROPIN} is missing",
            unit="transmission-daemon.service",
            mend="wgconfine apply",
        ),
        Check(
            area=Area.ESCAPES,
            name="dns-varlink",
            verdict=Verdict.LEAK,
            evidence="a name of the probe's was asked for by \x1b[31mresolved\u202e",
            unit="transmission-daemon.service",
            mend="systemctl restart transmission-daemon.service",
        ),
        *(
            Check(
                area=Area.ESCAPES,
                name=name,
                verdict=Verdict.UNKNOWN,
                evidence="the probe did not answer",
                unit=unit,
            )
            for unit in ("prowlarr.service", "transmission-daemon.service")
            for name in ("tcp4", "tcp6", "udp4")
        ),
        Check(
            area=Area.WORKS,
            name="handshake",
            verdict=Verdict.BROKEN,
            evidence="the last one is 312 s ago",
        ),
    ),
    seconds=2.5,
)
DOWN = Verification(
    tunnel="off",
    checks=(
        Check(
            area=Area.STRUCTURE,
            name="tunnel",
            verdict=Verdict.UNAVAILABLE,
            evidence="disabled in its settings: nothing is installed, and nothing confined by it",
        ),
    ),
)
CLOSED = Verification(
    tunnel="",
    checks=(
        Check(
            area=Area.UNITS,
            name="closed",
            verdict=Verdict.OK,
            evidence="closed: it does not start until it is released",
            unit="ghost.service",
            mend="wgconfine release ghost.service",
        ),
    ),
)
ALL = (GREEN, LEAKING, DOWN)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_only_what_is_copied_is_wider_than_the_terminal(width: int) -> None:
    """At any width; test_screens.py has the whole of it."""
    text = as_text(ALL, CLOSED, width=width)
    # A command and a path are never broken: they are copied.
    folded = [line for line in text.splitlines() if not line.lstrip().startswith(("> ", DROPIN))]
    assert all(len(line) <= width for line in folded)


def test_text_in_a_pipe(compare_text: Callable[[str, str], None]) -> None:
    """One line for each thing, so that it can be searched."""
    compare_text("verify-pipe.txt", as_text(ALL, CLOSED) + "\n")


def test_verbose_text_lists_every_check() -> None:
    """Also those that are well."""
    text = as_text([GREEN], None, verbose=True)
    assert all(each.name in text for each in GREEN.checks)


def test_json(compare_text: Callable[[str, str], None]) -> None:
    """For a program: one object with its schema, the exit code and all checks."""
    compare_text("verify.json", as_json([LEAKING, DOWN], CLOSED, seconds=3.4) + "\n")


def test_several_that_are_closed_are_one_line() -> None:
    """With one command; one that runs all the same comes first, with its own."""
    ghosts = [replace(CLOSED.checks[0], unit=unit) for unit in ("a.service", "b.service")]
    runs = replace(
        ghosts[0], unit="c.service", verdict=Verdict.NOT_CONFINED, evidence="runs", mend="stop it"
    )

    assert as_text([], replace(CLOSED, checks=(*ghosts, runs))).splitlines() == [
        "closed: NOT CONFINED",
        "  NOT CONFINED: closed of c.service: runs",
        "      > stop it",
        "  ok: closed of a.service, b.service: closed: it does not start until it is released",
        "      > wgconfine release a.service b.service",
    ]


def test_without_a_tunnel() -> None:
    """Nothing to verify is said."""
    assert NO_TUNNEL == as_text([], None)
