"""What `doctor` found: one Finding for each thing that was looked at, and what they come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wgconfine.model.errors import ExitCode

__all__ = ["Finding", "Grade", "Subject", "exit_code"]


class Grade(StrEnum):
    """What is said of one thing, the worst first.

    A NOTE is worth knowing, and no failure. UNKNOWN could not be looked at.
    """

    BROKEN = "will not work"
    UNKNOWN = "not looked at"
    NOTE = "note"
    OK = "fine"


class Subject(StrEnum):
    """What a finding is about, in the order in which they are shown."""

    SYSTEMD = "systemd"
    CONTAINER = "container"
    WIREGUARD = "WireGuard"
    TOOLS = "tools"
    CGROUPS = "control groups"
    CLOCK = "clock"
    RESOLVER = "resolver"
    FIREWALL = "firewall"
    VPN = "the host's VPN"
    ACCESS = "access control"
    OTHERS = "other tools"
    SETTINGS = "settings"
    INSTALLED = "installed"
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    `name` is a stable word for JSON and tests; `words` say what was seen and why that is so, `mend`
    is the one command that mends it, empty where there is nothing to mend or no command for it;
    `lines` are what is to be put into a configuration elsewhere. `fix` says that `doctor --fix`
    does it. Foreign text is escaped where it is shown.
    """

    subject: Subject
    name: str
    grade: Grade
    words: str
    mend: str = ""
    lines: tuple[str, ...] = ()
    fix: bool = False


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """Give what the process returns: what certainly will not work goes before what is unknown."""
    grades = {each.grade for each in findings}
    if Grade.BROKEN in grades:
        return ExitCode.FAILED
    return ExitCode.UNCHECKED if Grade.UNKNOWN in grades else ExitCode.OK
