"""What this machine has that a new tunnel could be made of: .conf files, services, their ports."""

import os
import pwd
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from wgconfine.config.check import parse_conf
from wgconfine.config.conf import Conf
from wgconfine.config.confcopy import copy_conf
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Refinement, UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.plan.desired import check_service
from wgconfine.plan.unituser import is_root
from wgconfine.system.cgroup import Cgroup
from wgconfine.system.installed import LIVE
from wgconfine.system.listeners import sockets_of
from wgconfine.system.rooted import RootedFiles
from wgconfine.system.sockdiag import inet_listeners
from wgconfine.system.systemctl import RealSystemctl, loaded_units
from wgconfine.system.units import read_facts
from wgconfine.system.unitsearch import UnitSearch

__all__ = [
    "conf_at",
    "conf_files",
    "conf_of",
    "key_of",
    "known_services",
    "read_foreign",
    "running_services",
    "tcp_ports",
    "twins",
]

LIMIT = 1 << 20
MOST = 30
_CONF_PLACES = ("/etc/wireguard", "/etc/amnezia/amneziawg")
_HOST = ("systemd-", "wgconfine", "user@", "getty@", "serial-getty@")
"""Services of systemd, of ours and of people who are logged in: nobody means those."""


def conf_files() -> list[Path]:
    """Give the WireGuard configurations in the usual places, without what else is called .conf.

    Those of wg-quick(8), and where a browser leaves a download: the homes of root and of whoever
    calls sudo(8), and the current directory.
    """
    found: dict[str, Path] = {}
    for directory in (Path(), *_download_places(), *map(Path, _CONF_PLACES)):
        with suppress(OSError):
            for path in sorted(directory.absolute().glob("*.conf")):
                if _is_conf(path):
                    found.setdefault(os.path.realpath(path), path)
    return list(found.values())[:MOST]


def _download_places() -> Iterator[Path]:
    for user in dict.fromkeys((os.environ.get("SUDO_UID", ""), str(os.getuid()))):
        if user.isdecimal():
            with suppress(KeyError, OverflowError):
                home = Path(pwd.getpwuid(int(user)).pw_dir)
                yield from (home, home / "Downloads")


def _is_conf(path: Path) -> bool:
    try:
        text = read_foreign(path).lower().replace(b" ", b"")
    except OSError:
        return False
    return b"[interface]" in text and b"privatekey=" in text


def read_foreign(path: Path) -> bytes:
    """Read a file that anybody may have put there: a FIFO does not hold us up. Raises OSError.

    One byte more than 1 MiB at most, so that the parser can refuse what is too long.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            what = "Is a directory" if stat.S_ISDIR(mode) else "Is not a regular file"
            raise OSError(0, what, os.fspath(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LIMIT + 1)
    finally:
        os.close(descriptor)


def twins(private_key: str) -> list[str]:
    """Give the units of wg-quick(8) that have a link up with this key: the two would fight."""
    shown = loaded_units(("wg-quick@*.service",), ("ActiveState",))
    active = [unit for unit, each in sorted(shown.items()) if each["ActiveState"] == "active"]
    return [unit for unit in active if key_of(conf_of(unit)) == private_key]


def conf_of(unit: str) -> PurePosixPath:
    """Give the file that a unit of wg-quick(8) reads."""
    name = unit.removeprefix("wg-quick@").removesuffix(".service")
    return PurePosixPath("/etc/wireguard", f"{name}.conf")


def key_of(path: PurePosixPath) -> str | None:
    """Give the private key of a .conf; None where there is none."""
    conf = conf_at(path)
    return conf.private_key if conf is not None else None


def conf_at(path: PurePosixPath) -> Conf | None:
    """Read a .conf, whatever hooks stand in it; None where there is none, or what is none."""
    try:
        text = copy_conf(read_foreign(Path(path)).decode()).text
        return parse_conf(path, text.encode())
    except (OSError, UnicodeDecodeError, ProblemsFound):
        return None


def known_services(root: Path) -> frozenset[UnitName]:
    """Give the services that have a unit below `root`; here the instances that are loaded, too."""
    names = {*UnitSearch(RootedFiles(root)).services()}
    if root == LIVE:
        shown = loaded_units(("*.service",), ("LoadState",))
        names |= {UnitName(unit) for unit, each in shown.items() if each["LoadState"] == "loaded"}
    return frozenset(unit for unit in names if not unit.startswith("wgconfine"))


def running_services(confined: Collection[UnitName]) -> dict[UnitName, str]:
    """Give the services that run in the open and can be confined, each with its description.

    Not those that run as root: what serves this machine itself (sshd, cron) is better named than
    chosen from a list.
    """
    shown = loaded_units(("*.service",), ("ActiveState", "Description"))
    active = [
        UnitName(unit)
        for unit, each in sorted(shown.items())
        if each["ActiveState"] == "active" and not unit.startswith(_HOST) and unit not in confined
    ]
    facts = read_facts(RealSystemctl(), active)
    return {unit: shown[unit]["Description"] for unit in active if _may_be_confined(facts[unit])}


def _may_be_confined(facts: UnitFacts) -> bool:
    return not is_root(facts) and not check_service(facts, Refinement(unit=facts.name))


def tcp_ports(units: Sequence[UnitName]) -> dict[int, UnitName]:
    """Give the TCP ports on which services listen in the open, lowest first."""
    groups = RealSystemctl().show(units, ["ControlGroup"]) if units else {}
    owners = dict(_sockets_of(groups))
    ports: dict[int, UnitName] = {}
    for each in inet_listeners():
        if each.protocol == "tcp" and each.inode in owners:
            ports.setdefault(int(each.local.rpartition(":")[2]), owners[each.inode])
    return dict(sorted(ports.items()))


def _sockets_of(groups: Mapping[str, Mapping[str, str]]) -> Iterable[tuple[int, UnitName]]:
    for unit, shown in groups.items():
        group = Cgroup.find(shown["ControlGroup"])
        with suppress(OSError):
            for pid in group.processes() if group else ():
                yield from ((inode, UnitName(unit)) for inode in sockets_of(pid))
