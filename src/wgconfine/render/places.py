"""Where the files of ours lie that tell which services are confined, and by which settings."""

from __future__ import annotations

from pathlib import PurePosixPath

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from wgconfine.model.names import TunnelName, UnitName

__all__ = [
    "CATALOG",
    "CLOSING",
    "CLOSING_UNITS",
    "COMMANDS",
    "COMMAND_DROPIN",
    "DROPIN",
    "UNITS",
    "closing_path",
    "command_dropin_path",
    "command_prefix",
    "dropin_path",
    "record_path",
    "unit_digest",
]

UNITS = PurePosixPath("/etc/systemd/system")
CLOSING_UNITS = PurePosixPath("/usr/local/lib/systemd/system")

CATALOG = PurePosixPath("/usr/local/lib/systemd/catalog/wgconfine.catalog")
"""Beside the closing files: journalctl(1) reads this directory and /usr/lib's, none in /etc."""

# The order of both names matters: `zz-` sorts after the override.conf of `systemctl edit`, and the
# closing file before the drop-in, whose reset of ExecCondition= takes the closing line away.
DROPIN = "zz-wgconfine.conf"
CLOSING = "zz-wgconfine-closed.conf"
# Of units of `wgconfine exec`. After DROPIN: what is refused after that one is refused here, too.
COMMAND_DROPIN = "zz-wgconfine.exec.conf"
COMMANDS = "wgconfine-exec-"
"""What the units of commands of `wgconfine exec` begin with, in whatever tunnel."""


def dropin_path(unit: UnitName) -> PurePosixPath:
    return UNITS / f"{unit}.d" / DROPIN


def closing_path(unit: UnitName) -> PurePosixPath:
    return CLOSING_UNITS / f"{unit}.d" / CLOSING


def command_prefix(name: TunnelName) -> str:
    """Give what the units of a tunnel's commands begin with, and those of no other tunnel.

    systemd looks for drop-ins at each dash of a name: one in that of the tunnel is escaped.
    """
    escaped = name.replace("-", "\\x2d")
    return f"{COMMANDS}{escaped}-"


def command_dropin_path(name: TunnelName) -> PurePosixPath:
    return UNITS / f"{command_prefix(name)}.service.d" / COMMAND_DROPIN


def record_path(name: TunnelName) -> PurePosixPath:
    return PurePosixPath(f"/etc/wgconfine/{name}.json")


def unit_digest(text: str) -> str:
    """Give the digest of the unit that a drop-in of ours was written for; empty without one."""
    marks = (line.partition("# unit-digest: ") for line in text.splitlines())
    return next((digest for before, mark, digest in marks if mark and not before), "")
