"""Published and reached ports as they are: what systemd and the kernel tell of them.

Observes; `verify/portjudge.py` judges. What is looked at is what was applied (NAME.json): whether
that is what the settings say now is asked elsewhere.
"""

import dataclasses
import grp
import pwd
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from wgconfine.model.errors import OperationFailed
from wgconfine.model.ports import Publish, Reach, UnixSocket
from wgconfine.model.settings import UnitName
from wgconfine.model.state import ALIVE
from wgconfine.model.tree import File
from wgconfine.model.units import Assignment, UnitText
from wgconfine.model.verify import Check
from wgconfine.plan.unitfile import parse_unit
from wgconfine.render.places import UNITS
from wgconfine.render.ports import publish_stem, reach_stem
from wgconfine.runtime import ipfilter
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.link import has_ipv6
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import record_of_namespace
from wgconfine.system.cgroup import Cgroup
from wgconfine.system.listeners import (
    HOST,
    host_listeners,
    inside_listeners,
    sockets_of,
)
from wgconfine.system.servicestatus import is_set_up
from wgconfine.system.sockdiag import InetSocket, UnixListener
from wgconfine.system.systemctl import loaded_units
from wgconfine.system.unitstates import words_of
from wgconfine.verify.effective import PORT_JUDGES, PORT_PROPERTIES, judge_effective
from wgconfine.verify.inside import ask_outside
from wgconfine.verify.portjudge import (
    Filter,
    Process,
    Proxy,
    Seen,
    Socket,
    SocketFile,
    addresses_of,
    judge_clients,
    judge_file,
    judge_proxy,
    judge_publish,
    judge_reach,
    judge_undeclared,
)
from wgconfine.verify.subject import Subject, units_of_ports

__all__ = ["check_ports", "listed_inside", "listed_on_host", "listened_at"]

Entry = Publish | Reach
Shown = Mapping[str, Mapping[str, str]]

SECONDS = 5.0
LOOKS, PAUSE = 3, 0.3
"""A proxy has just ended, or is about to start: what lasts is looked at so often, and seconds."""
SYSTEMD = 1
ROOT = Path("/proc/1/root")
LOOPBACK = ("127.0.0.0/8", "::1/128")
ASKED = ("Listen", "Triggers", "ControlGroup", "Slice", *PORT_PROPERTIES)
RUNS = ALIVE - {"deactivating"}


def check_ports(subject: Subject) -> list[Check]:
    """Look at each published and reached port, and for others under our names. Needs root."""
    found = list(judge_undeclared(undeclared_units(subject)))
    entries: tuple[Entry, ...] = (*subject.publish, *subject.reach)
    if not entries:
        return found
    units = units_of_ports(subject.applied)
    shown = subject.systemctl.show(units, ASKED)
    for unit in units:
        if subject.states[unit].load == "loaded":
            lines = rendered_lines(unit, subject)
            found += judge_effective(unit, lines, shown[unit], PORT_JUDGES)
    if subject.states[f"wgconfine-netns@{subject.name}.service"].active not in RUNS:
        return found  # they come with it: that it is away is what there is to say
    seen = look_at_listeners(subject)
    for entry in entries:
        found += check_port(subject, entry, shown, seen)
    return found


def stem_of(subject: Subject, entry: Entry) -> str:
    if isinstance(entry, Publish):
        return publish_stem(subject.name, entry)
    return reach_stem(subject.name, entry)


def check_port(subject: Subject, entry: Entry, shown: Shown, looked: "Looked") -> Iterator[Check]:
    name, stem = subject.name, stem_of(subject, entry)
    unit, service = UnitName(f"{stem}.socket"), UnitName(f"{stem}.service")
    socket = Socket(
        state=subject.states[unit],
        listen=tuple(listened_at(shown[unit]["Listen"])),
        starts=tuple(words_of(shown[unit]["Triggers"])),
        control_group=shown[unit]["ControlGroup"],
        deaf=subject.states[unit].sub == "running" and is_deaf(subject, unit, service),
    )
    if isinstance(entry, Publish):
        yield judge_publish(name, entry, socket, looked.seen)
        found = filter_of(entry, shown[unit]["ControlGroup"], looked.host)
        if found.strangers:
            slices = tuple(slices_that_allow(subject, shown[unit]["Slice"]))
            found = dataclasses.replace(found, slices=slices)
        yield from judge_clients(name, entry, socket, found)
        file = looked.seen.files.get(addresses_of(entry)[0])
        yield from judge_file(name, entry, socket, file)
    else:
        yield judge_reach(name, entry, socket, looked.seen)
    yield judge_proxy(name, entry, proxy_of(subject, service, shown[service]["ControlGroup"]))


def is_deaf(subject: Subject, unit: UnitName, service: UnitName) -> bool:
    """Tell whether systemd has handed the socket to a proxy that is not there, and stays away.

    A socket whose `Service=` was another's for a while stays like that over a daemon-reload.
    """
    for attempt in range(LOOKS):
        time.sleep(PAUSE if attempt else 0)
        shown = subject.systemctl.show([unit, service], ("SubState", "ActiveState", "Job"))
        waits = shown[service]["Job"] not in {"", "0"}
        gone = shown[service]["ActiveState"] in {"inactive", "failed"} and not waits
        if shown[unit]["SubState"] != "running" or not gone:
            return False
    return True


def listened_at(shown: str) -> Iterator[str]:
    """Give the addresses of `Listen`, one a line as systemd shows it: `127.0.0.1:80 (Stream)`."""
    for line in shown.splitlines():
        yield line.rpartition(" (")[0]


def rendered_lines(unit: UnitName, subject: Subject) -> list[Assignment]:
    """Give the settings of ours that the unit must have in the end: by what is installed.

    Whether that is as rendered is what `own-files` says.
    """
    prefix, _, rest = unit.partition("@")
    template = f"{prefix}@.{rest.rpartition('.')[2]}"
    paths = (UNITS / unit, UNITS / template, UNITS / f"{unit}.d" / "wgconfine.conf")
    files = [file for path in paths if isinstance(file := subject.installed.get(path), File)]
    lines = [
        line for file in files for line in parse_unit(UnitText(path=file.path, text=file.text))
    ]
    return lines + (unset_lines(unit) if unit.endswith(".service") else [])


def unset_lines(unit: UnitName) -> list[Assignment]:
    """Give what no proxy has: by its environment it is told where to connect to."""
    keys = ("EnvironmentFile", "PassEnvironment", "UnsetEnvironment")
    return [
        Assignment(section="Service", key=key, value="", path=UNITS / unit, line=0) for key in keys
    ]


def undeclared_units(subject: Subject) -> Iterator[str]:
    """Give the units that run under the names of this tunnel's ports and are none of them."""
    patterns = [f"wgconfine-{kind}@{subject.name}.*" for kind in ("publish", "reach")]
    known = set(units_of_ports(subject.applied))
    for unit, shown in loaded_units(patterns, ("ActiveState",)).items():
        if shown["ActiveState"] in ALIVE and unit not in known:
            yield unit


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """`seen` is judged; `host` are the sockets of the host's namespace that systemd holds."""

    seen: Seen
    host: tuple[InetSocket, ...] = ()


def look_at_listeners(subject: Subject) -> Looked:
    """List who listens on the host and inside, for systemd. Never raises for what it can't see."""
    record = record_of_namespace(subject.name)
    paths = [
        str(each.listen.path) for each in subject.publish if isinstance(each.listen, UnixSocket)
    ]
    held = sockets_of(SYSTEMD)
    if not held:
        return Looked(seen=Seen(unseen="what systemd holds can't be seen"))
    try:
        (inet, unix), listed = listed_on_host(), listed_inside(record)
    except OperationFailed as failure:
        return Looked(seen=Seen(unseen=str(failure)))
    host = tuple(each for each in inet if each.inode in held)
    inside = [each for each in listed if each.inode in held]
    bound = {(each.device, each.file) for each in unix if each.inode in held}
    files = {path: file for path in paths if (file := socket_file(path, bound))}
    return Looked(
        seen=Seen(
            host=frozenset(each.local for each in host if each.protocol == "tcp"),
            inside=frozenset(each.local for each in inside if each.protocol == "tcp"),
            ipv6=has_ipv6(),
            files=files,
        ),
        host=host,
    )


def listed_on_host() -> tuple[list[InetSocket], list[UnixListener]]:
    def asked() -> Any:
        inet, unix = host_listeners()
        return [[dataclasses.asdict(each) for each in found] for found in (inet, unix)]

    inet, unix = ask_outside(asked, SECONDS, "the host's sockets")
    return [InetSocket(**each) for each in inet], [UnixListener(**each) for each in unix]


def listed_inside(record: str) -> list[InetSocket]:
    def asked() -> Any:
        return [dataclasses.asdict(each) for each in inside_listeners(record)]

    found = ask_outside(asked, SECONDS, f"the sockets of {record}")
    return [InetSocket(**each) for each in found]


def socket_file(path: str, bound: Iterable[tuple[int, int]]) -> SocketFile | None:
    """Give what is at a path of the host's; None where no socket is."""
    try:
        found = (ROOT / path.lstrip("/")).lstat()
    except OSError:
        return None
    if not stat.S_ISSOCK(found.st_mode):
        return None
    return SocketFile(
        mode=stat.S_IMODE(found.st_mode),
        user=name_of(lambda: pwd.getpwuid(found.st_uid).pw_name, found.st_uid),
        group=name_of(lambda: grp.getgrgid(found.st_gid).gr_name, found.st_gid),
        listened=(found.st_dev, found.st_ino & 0xFFFFFFFF) in set(bound),
    )


def name_of(look: Callable[[], str], number: int) -> str:
    try:
        return look()
    except KeyError:  # a number that nobody has
        return str(number)


def filter_of(entry: Publish, control_group: str, host: Iterable[InetSocket]) -> Filter:
    """Ask the kernel whom it lets in, by the control group that systemd made the sockets in."""
    if isinstance(entry.listen, UnixSocket):
        return Filter()
    group = next(
        (
            place
            for root in ipfilter.UNIFIED
            if control_group and (place := Path(f"{root}{control_group}")).is_dir()
        ),
        None,
    )
    if group is None:
        return Filter(strangers=None)
    clients = [str(each) for each in entry.clients] or list(LOOPBACK)
    wanted = addresses_of(entry)
    number = group.stat().st_ino
    try:
        found = ipfilter.strangers(str(group), clients)
    except (OSError, Failure) as error:
        return Filter(trouble=f"its filter of addresses can't be asked: {error}")
    return Filter(
        strangers=None if found is None else tuple(found),
        # A socket keeps the group that it was made in, and a filter is of a group.
        around=tuple(
            each.local for each in host if each.local in wanted and each.cgroup not in {0, number}
        ),
    )


def slices_that_allow(subject: Subject, innermost: str) -> list[str]:
    """Give the slices around a unit whose IPAddressAllow= adds to its own."""
    shown = subject.systemctl.show(slices_around(innermost), ("IPAddressAllow",))
    return [each for each, values in shown.items() if values["IPAddressAllow"]]


def slices_around(innermost: str) -> list[str]:
    """Give a slice and those that it lies in, by the dashes of its name (systemd.slice(5))."""
    parts = [each for each in innermost.removesuffix(".slice").split("-") if each]
    return ["-".join(parts[:count]) + ".slice" for count in range(len(parts), 0, -1)] + ["-.slice"]


def proxy_of(subject: Subject, unit: UnitName, control_group: str) -> Proxy:
    """Look at the processes of a proxy that live; one that systemd sets up has joined nothing."""
    cgroup = Cgroup.find(control_group)
    pids = sorted(cgroup.processes()) if cgroup else []
    inside, host = identity(record_of_namespace(subject.name)), identity(HOST)
    found = []
    for pid in pids:
        if is_set_up(pid):
            continue
        where = network_of(pid)
        if where is None and not is_alive(pid):
            continue
        found.append(
            Process(
                pid=pid,
                inside=None if where is None or inside is None else where == inside,
                host=None if where is None or host is None else where == host,
            )
        )
    return Proxy(state=subject.states[unit], control_group=control_group, processes=tuple(found))


def network_of(pid: int) -> tuple[int, int] | None:
    """Give the network namespace of a process; None where it has ended, or can't be seen.

    One that is about to end has left its namespace already, and is no zombie yet.
    """
    for _ in range(LOOKS):
        where = identity(f"/proc/{pid}/ns/net")
        if where is not None or not is_alive(pid):
            return where
        time.sleep(PAUSE)
    return None


def is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in {"Z", "X"}
