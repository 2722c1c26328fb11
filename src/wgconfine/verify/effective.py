"""Do the settings that systemd holds contain what our drop-in says? Pure.

By `systemctl show`, after all drop-ins of everybody. What it does not print (`Assert…=`) is judged
by the files: none that is read after ours may set a setting of ours.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network

from wgconfine.model.settings import UnitName
from wgconfine.model.units import Assignment
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import expand, is_yes
from wgconfine.render.hardening import STRICT
from wgconfine.render.service import GUARDED
from wgconfine.system.unitstates import words_of

__all__ = ["PORT_JUDGES", "PORT_PROPERTIES", "PROPERTIES", "UNSHOWN", "judge_effective"]

check = partial(Check, area=Area.UNITS)

Judge = Callable[[Sequence[str], str], bool]
"""Compares the values that ours come to, specifiers put in, with what systemd shows."""

_COMMAND = re.compile(r"^\{ path=.*? ; argv\[\]=(.*) ; flags=(.*?) ; start_time=", re.DOTALL)
_ANY_COMMAND = re.compile(
    r"^\{ path=.*? ; argv\[\]=(.*) ; (?:flags|ignore_errors)=.*? ; start_time=", re.DOTALL
)
_UNSET = str((1 << 64) - 1)


def same(ours: Sequence[str], shown: str) -> bool:
    return shown == (ours[-1] if ours else "")


def same_truth(ours: Sequence[str], shown: str) -> bool:
    return is_yes(shown) == is_yes(ours[-1])


def has_words(ours: Sequence[str], shown: str) -> bool:
    return {word for line in ours for word in line.split()} <= {*words_of(shown)}


def only_words(ours: Sequence[str], shown: str) -> bool:
    return {word for line in ours for word in line.split()} == set(shown.split())


def has_binds(ours: Sequence[str], shown: str) -> bool:
    """Binds are shown as SOURCE:DESTINATION:OPTIONS, both paths also where they are the same."""
    there = {":".join(word.lstrip("-").split(":")[:2]) for word in shown.split()}
    words = (word.lstrip("-").split(":") for line in ours for word in line.split())
    return {f"{word[0]}:{word[1] if word[1:] else word[0]}" for word in words} <= there


def denies_families(ours: Sequence[str], shown: str) -> bool:
    """Lists merge: a unit's own list of what is allowed, less ours, is as good."""
    if not shown:  # an empty list of what is allowed; without any list it is "~"
        return True
    denied = {word.lstrip("~") for line in ours for word in line.split()}
    listed = {word.lstrip("~") for word in shown.split()}
    return denied <= listed if shown.startswith("~") else bool(listed) and not denied & listed


def lacks_capabilities(ours: Sequence[str], shown: str) -> bool:
    """All that a process may have is listed, in small letters."""
    taken = {word.lstrip("~").lower() for line in ours for word in line.split()}
    return not taken & {*shown.split()}


def refuses_calls(ours: Sequence[str], shown: str) -> bool:
    """Call by call: groups (`@clock`) are shown as what is in them."""
    words = (word.lstrip("~").partition(":")[0] for line in ours for word in line.split())
    refused = {word for word in words if not word.startswith("@")}
    listed = {word.lstrip("~").partition(":")[0] for word in shown.split()}
    return refused <= listed if shown.startswith("~") else bool(listed) and not refused & listed


def first_is_ours(ours: Sequence[str], shown: str) -> bool:
    """The guard is the first command of its list, with root's rights."""
    first = next(iter(shown.splitlines()), "")
    match = _COMMAND.search(first)
    if not ours or match is None:
        return not ours and not first
    words = split_words(ours[0].removeprefix("+"))
    return match[1] == " ".join(words) and "privileged" in match[2].split()


def lets_no_refusal_pass(ours: Sequence[str], shown: str) -> bool:
    return not {"USR1", "SIGUSR1"} & {*split_words(" ".join(ours)), *shown.split()}


def unset(_: Sequence[str], shown: str) -> bool:
    return shown in {"", _UNSET}


JUDGES: dict[str, tuple[str, Judge]] = {
    "BindsTo": ("BindsTo", has_words),
    "After": ("After", has_words),
    "Wants": ("Wants", has_words),
    "PropagatesStopTo": ("PropagatesStopTo", has_words),
    "PrivateNetwork": ("PrivateNetwork", same_truth),
    "NetworkNamespacePath": ("NetworkNamespacePath", same),
    "UnsetEnvironment": ("UnsetEnvironment", has_words),
    "PAMName": ("PAMName", same),
    "BindPaths": ("BindPaths", has_binds),
    "BindReadOnlyPaths": ("BindReadOnlyPaths", has_binds),
    "TemporaryFileSystem": ("TemporaryFileSystem", has_words),
    "RestrictAddressFamilies": ("RestrictAddressFamilies", denies_families),
    "SystemCallArchitectures": ("SystemCallArchitectures", only_words),
    "Slice": ("Slice", same),
    "SuccessExitStatus": ("SuccessExitStatus", lets_no_refusal_pass),
    "PIDFile": ("PIDFile", same),
    "DelegateNamespaces": ("DelegateNamespaces", unset),
    "CapabilityBoundingSet": ("CapabilityBoundingSet", lacks_capabilities),
    "SystemCallFilter": ("SystemCallFilter", refuses_calls),
    "InaccessiblePaths": ("InaccessiblePaths", has_words),
    **{key: (key, same_truth if is_yes(value) else same) for key, value in STRICT.items()},
    **{key: (f"{key}Ex", first_is_ours) for key in GUARDED},
}
"""For each setting of the drop-in the property that shows it, and how the two are compared."""

UNSHOWN = frozenset({"AssertPathExists", "X-AllowBus"})
"""What `systemctl show` calls unprintable, or is ours alone."""

PROPERTIES = tuple(name for name, _ in JUDGES.values())


def same_networks(ours: Sequence[str], shown: str) -> bool:
    """They add up, and a network too many is as wrong as one too few."""
    return _networks(" ".join(ours)) == _networks(shown)


_WORDS = {
    "any": "0.0.0.0/0 ::/0",
    "localhost": "127.0.0.0/8 ::1/128",
    "link-local": "169.254.0.0/16 fe80::/64",
    "multicast": "224.0.0.0/4 ff00::/8",
}
"""systemd.resource-control(5), IPAddressAllow=."""


def _networks(text: str) -> set[IPv4Network | IPv6Network]:
    words = " ".join(_WORDS.get(word, word) for word in text.split()).split()
    return {ip_network(word, strict=False) for word in words}


def same_capabilities(ours: Sequence[str], shown: str) -> bool:
    return {word.lower() for line in ours for word in line.split()} == {*shown.lower().split()}


def only_ours(ours: Sequence[str], shown: str) -> bool:
    """The commands of a list are ours alone, in their order."""
    found = [match[1] for line in shown.splitlines() if (match := _ANY_COMMAND.search(line))]
    return found == [" ".join(split_words(line.lstrip("+"))) for line in ours]


PORT_JUDGES: dict[str, tuple[str, Judge]] = {
    "BindsTo": ("BindsTo", has_words),
    "After": ("After", has_words),
    "IPAddressAllow": ("IPAddressAllow", same_networks),
    "IPAddressDeny": ("IPAddressDeny", same_networks),
    "SocketMode": ("SocketMode", same),
    "SocketUser": ("SocketUser", same),
    "SocketGroup": ("SocketGroup", same),
    "BindIPv6Only": ("BindIPv6Only", same),
    "FreeBind": ("FreeBind", same_truth),
    "NetworkNamespacePath": ("NetworkNamespacePath", same),
    "DynamicUser": ("DynamicUser", same_truth),
    "NoNewPrivileges": ("NoNewPrivileges", same_truth),
    "RestrictAddressFamilies": ("RestrictAddressFamilies", only_words),
    "CapabilityBoundingSet": ("CapabilityBoundingSet", same_capabilities),
    "AmbientCapabilities": ("AmbientCapabilities", same_capabilities),
    "ExecStartPre": ("ExecStartPre", only_ours),
    "ExecStart": ("ExecStart", only_ours),
    "Environment": ("Environment", has_words),
    "EnvironmentFile": ("EnvironmentFiles", unset),
    "PassEnvironment": ("PassEnvironment", unset),
    "UnsetEnvironment": ("UnsetEnvironment", unset),
}
"""The same for the sockets and proxies of published and reached ports."""

PORT_PROPERTIES = tuple(name for name, _ in PORT_JUDGES.values())


def judge_effective(
    unit: UnitName,
    assignments: Iterable[Assignment],
    shown: Mapping[str, str],
    judges: Mapping[str, tuple[str, Judge]] = JUDGES,
) -> list[Check]:
    """Compare each setting of the drop-in with the unit's; `shown` are the properties of `judges`.

    Each is a check by its own name. A property that this systemd does not have is not asked for.
    """
    ours: dict[str, list[str]] = {}
    for assignment in assignments:
        values = ours.setdefault(assignment.key, [])
        if assignment.value:
            values.append(expand(unit, assignment.value))
        else:
            values.clear()
    return [
        judge_setting(unit, key, values, shown.get(judges[key][0], ""), judges[key][1])
        for key, values in ours.items()
        if key in judges
    ]


def judge_setting(
    unit: UnitName, key: str, ours: Sequence[str], shown: str, is_in_force: Judge
) -> Check:
    if is_in_force(ours, shown):
        return check(name=key, unit=unit, verdict=Verdict.OK, evidence="as rendered")
    return check(
        name=key,
        unit=unit,
        verdict=Verdict.NOT_CONFINED,
        evidence=f"{key}= is {shorten(shown) or 'empty'} in the end, not what wgconfine set",
        mend=f"systemctl cat {shlex.quote(unit)}",
    )


def shorten(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 80 else f"{one_line[:79]}…"  # noqa: PLR2004 — a line
