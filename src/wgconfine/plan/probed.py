"""Which of a unit's own settings decide what its processes may reach: its probe has them too. Pure.

Left out are commands, environment and credentials, directories (a stop of the probe would delete
the service's), limits, and what may be executed: a process that may not execute can still ask.
"""

import re
from collections.abc import Iterator

from wgconfine.model.settings import UnitName
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.settled import is_yes, last_line

__all__ = ["reach_settings"]

_PATHS = (
    *("BindPaths", "BindReadOnlyPaths"),
    *("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths"),
)
_KEYS = frozenset(
    (
        *("User", "Group", "DynamicUser", "SupplementaryGroups", "UMask", "KeyringMode"),
        *("CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges", "SecureBits"),
        *("SELinuxContext", "AppArmorProfile", "SmackProcessLabel"),
        *("ProtectSystem", "ProtectHome", "ProtectHostname", "ProtectClock", "ProtectProc"),
        *("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProcSubset"),
        *("ProtectControlGroups", "PrivateTmp", "PrivateDevices", "PrivateUsers", "PrivatePIDs"),
        *("PrivateIPC", "IPCNamespacePath", "PrivateMounts", "PrivateBPF", "MountFlags"),
        *("MountAPIVFS", "BindLogSockets", "TemporaryFileSystem", *_PATHS),
        *("RestrictAddressFamilies", "RestrictFileSystems", "RestrictNamespaces"),
        *("RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute"),
        *("SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures", "Personality"),
        *("DevicePolicy", "DeviceAllow", "IPAddressAllow", "IPAddressDeny"),
        *("SocketBindAllow", "SocketBindDeny", "RestrictNetworkInterfaces"),
    )
)
_SPECIFIER = re.compile("%(.)", re.DOTALL)
_USER_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_-]{0,30}")
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")


def reach_settings(facts: UnitFacts) -> Iterator[tuple[str, str]]:
    """Give them in the order in which systemd reads them, resets included, as a unit has them."""
    names = _names(facts)
    for line in facts.assignments:
        if line.section == "Service" and line.key in _KEYS:
            yield line.key, _SPECIFIER.sub(lambda match: names.get(match[1], match[0]), _text(line))
    yield from _dynamic_user(facts)


def _text(line: Assignment) -> str:
    """A path need not be there: a RuntimeDirectory= is not while the service is stopped."""
    return _may_be_missing(line.value) if line.key in _PATHS else line.value


def _may_be_missing(value: str) -> str:
    """Put a `-` before each path that has none; quotes may begin within a word."""
    marked, quotation, within = "", "", False
    escaped = False
    for character in value:
        if not within and not character.isspace():
            marked += "" if character == "-" else "-"
            within = True
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif quotation:
            quotation = "" if character == quotation else quotation
        elif character in "\"'":
            quotation = character
        elif character.isspace():
            within = False
        marked += character
    return marked


def _names(facts: UnitFacts) -> dict[str, str]:
    """What specifiers of the unit's name and place stand for, `%` doubled: systemd.unit(5).

    The probe's instance is the service's name without its suffix.
    """
    stem = facts.name.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    last = prefix.rpartition("-")[2]
    place = facts.texts[0].path if facts.texts else None
    names = {
        "p": prefix,
        "P": _unescaped(prefix),
        "i": instance,
        "I": _unescaped(instance),
        "j": last,
        "J": _unescaped(last),
        "f": f"/{_unescaped(instance or prefix)}",
        "d": f"/run/credentials/{facts.name}",
    } | ({"y": str(place), "Y": str(place.parent)} if place else {})
    escaped = {letter: name.replace("%", "%%") for letter, name in names.items()}
    return escaped | {"n": "%i.service", "N": "%i"}


def _unescaped(name: str) -> str:
    """What systemd-escape(1) made of a text, back: `-` was `/`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name.replace("-", "/"))


def _dynamic_user(facts: UnitFacts) -> Iterator[tuple[str, str]]:
    """Units with DynamicUser= and the same name share the user, which systemd counts.

    One whose name can't be a user's has a hash for it; the probe then has a user of its own.
    """
    line = last_line(facts, "Service", "DynamicUser")
    if line and is_yes(line.value) and not last_line(facts, "Service", "User"):
        name = UnitName(facts.name).rpartition(".")[0].partition("@")[0]
        if _USER_NAME.fullmatch(name):
            yield "User", name
