"""Which distribution this is, by os-release(5), and how a package is installed there. Pure."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Distribution", "Family", "parse_os_release"]


class Family(StrEnum):
    """Whose packages and commands it has."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    ARCH = "arch"
    OTHER = ""


ALIKE = {"ubuntu": Family.DEBIAN, "rhel": Family.FEDORA, "centos": Family.FEDORA}
"""What others name in ID_LIKE= that are themselves like one of the three."""
INSTALL = {
    Family.DEBIAN: "apt install",
    Family.FEDORA: "dnf install",
    Family.ARCH: "pacman -S",
}
PACKAGES: dict[str, dict[Family, str]] = {
    "ip": {Family.DEBIAN: "iproute2", Family.FEDORA: "iproute", Family.ARCH: "iproute2"},
    "nft": dict.fromkeys(INSTALL, "nftables"),
    "wg": dict.fromkeys(INSTALL, "wireguard-tools"),
    # Fedora has none: its kernels have WireGuard.
    "wireguard-go": {Family.DEBIAN: "wireguard-go", Family.ARCH: "wireguard-go"},
    "mount": {Family.DEBIAN: "mount", Family.FEDORA: "util-linux", Family.ARCH: "util-linux"},
    "umount": {Family.DEBIAN: "mount", Family.FEDORA: "util-linux", Family.ARCH: "util-linux"},
    "nsenter": dict.fromkeys(INSTALL, "util-linux"),
    "unshare": dict.fromkeys(INSTALL, "util-linux"),
    "xdg-dbus-proxy": dict.fromkeys(INSTALL, "xdg-dbus-proxy"),
}
"""The package that has a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """`name` is its own, for people: foreign text."""

    name: str = ""
    family: Family = Family.OTHER

    def install(self, *programs: str) -> str:
        """Give the command that installs programs; empty where none is known."""
        packages = [PACKAGES.get(each, {}).get(self.family, "") for each in programs]
        if self.family is Family.OTHER or not all(packages):
            return ""
        return f"{INSTALL[self.family]} {' '.join(sorted(set(packages)))}"


def parse_os_release(text: str) -> Distribution:
    """Read it; what can't be read is as if it were not there."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, found, value = line.partition("=")
        if found:
            values[key.strip()] = _unquoted(value)
    names = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    name = values.get("PRETTY_NAME") or values.get("NAME") or values.get("ID", "")
    return Distribution(name=name, family=_family(names))


def _family(names: Iterable[str]) -> Family:
    for each in names:
        if each in ALIKE:
            return ALIKE[each]
        if each and each in set(Family):
            return Family(each)
    return Family.OTHER


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:  # a quotation mark too many
        return value.strip("\"' ")
