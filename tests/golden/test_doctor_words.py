"""What `doctor` prints, from findings that are written here."""

from collections.abc import Callable

import pytest

from wgconfine.model.doctor import Finding, Grade, Subject, exit_code
from wgconfine.model.errors import ExitCode
from wgconfine.report.doctor import as_json, as_text

FINDINGS = (
    Finding(subject=Subject.SYSTEMD, name="systemd", grade=Grade.OK, words="version 257, running"),
    Finding(
        subject=Subject.CONTAINER,
        name="namespace",
        grade=Grade.BROKEN,
        words="no network namespace can be made: unshare: unshare failed: Operation not permitted",
        lines=(
            "LXC, in the container's config:",
            "lxc.apparmor.profile = generated",
            "lxc.apparmor.allow_nesting = 1",
        ),
    ),
    Finding(
        subject=Subject.WIREGUARD, name="backend", grade=Grade.OK, words="the kernel's is used"
    ),
    Finding(
        subject=Subject.RESOLVER,
        name="resolver",
        grade=Grade.OK,
        words="this machine asks systemd-resolved, 127.0.0.53. None of these is asked by a "
        "confined service, which has the resolvers of its tunnel",
    ),
    Finding(
        subject=Subject.FIREWALL,
        name="ufw",
        grade=Grade.BROKEN,
        words="port 8080 of vpn: ufw drops what 192.168.1.0/24 sends to 192.168.1.10:8080",
        mend="ufw allow proto tcp from 192.168.1.0/24 to 192.168.1.10 port 8080",
    ),
    Finding(
        subject=Subject.VPN,
        name="carrier",
        grade=Grade.NOTE,
        words="what leaves this machine goes through home\x1b[31m\u202e (wireguard, MTU 1420), and "
        "so do encrypted packets of tunnels",
        lines=("beside it, in the settings: fwmark = 51820",),
    ),
    Finding(
        subject=Subject.ACCESS,
        name="denials",
        grade=Grade.UNKNOWN,
        words="SELinux is enforcing; what it has denied stands in the journal, which could not be "
        "read",
    ),
    Finding(
        subject=Subject.INSTALLED,
        name="files",
        grade=Grade.BROKEN,
        words="/etc/systemd/system/wgconfine-tick.service: missing",
        mend="wgconfine apply",
        fix=True,
    ),
)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_only_what_is_copied_is_wider_than_the_terminal(width: int) -> None:
    """At any width; test_screens.py has the whole of it."""
    text = as_text(FINDINGS, width=width)
    lines = (each.lstrip() for each in text.splitlines())
    assert [] == [
        each
        for each in lines
        if len(each) > width and not each.startswith(("> ", "| ", "/etc/systemd/"))
    ]
    assert text.replace("\n", "").isprintable()


def test_text_in_a_pipe(compare_text: Callable[[str, str], None]) -> None:
    """One line for each thing, so that it can be searched."""
    compare_text("doctor-pipe.txt", as_text(FINDINGS) + "\n")


def test_json(compare_text: Callable[[str, str], None]) -> None:
    """For a program: one object with its schema, the exit code and all findings."""
    compare_text("doctor.json", as_json(FINDINGS) + "\n")


@pytest.mark.parametrize(
    ("grades", "code"),
    [
        ((), ExitCode.OK),
        ((Grade.OK, Grade.NOTE), ExitCode.OK),
        ((Grade.UNKNOWN, Grade.NOTE), ExitCode.UNCHECKED),
        ((Grade.UNKNOWN, Grade.BROKEN), ExitCode.FAILED),
    ],
)
def test_the_exit_code(grades: tuple[Grade, ...], code: ExitCode) -> None:
    """What certainly will not work goes before what is unknown; a note is no failure."""
    findings = [Finding(subject=Subject.CLOCK, name="x", grade=each, words="") for each in grades]
    assert code == exit_code(findings)
