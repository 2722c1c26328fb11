"""What was seen of published and reached ports becomes checks. Pure."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from wgconfine.model.ports import Publish, Reach, UnixSocket
from wgconfine.model.settings import TunnelName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.render.ports import publish_stem, reach_stem
from wgconfine.render.service import slice_name
from wgconfine.system.listeners import Stranger

__all__ = [
    "Filter",
    "Process",
    "Proxy",
    "Seen",
    "Socket",
    "SocketFile",
    "judge_clients",
    "judge_file",
    "judge_proxy",
    "judge_publish",
    "judge_reach",
    "judge_strangers",
    "judge_undeclared",
]

structure = partial(Check, area=Area.STRUCTURE)

MODE = 0o660
SHOWN = 3
DEAF = "systemd takes its proxy for running, and it is not: whoever connects waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Who may connect, as the kernel has it.

    `strangers` are addresses that it lets in and that no client of the settings has; None where
    there is no filter at all. `around` are listening sockets that it is not in force on, `slices`
    those of its control group's that allow somebody. `trouble` says why nothing could be seen.
    """

    strangers: tuple[str, ...] | None = ()
    around: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """The file of a unix socket; `listened` tells whether systemd listens at just this file."""

    mode: int
    user: str
    group: str
    listened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A `.socket` as systemd and the kernel have it.

    `listen` is what systemd holds to be its addresses, `starts` the units that a connection starts.
    `deaf` says that systemd leaves connections to a proxy that does not run.
    """

    state: UnitState
    listen: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    control_group: str = ""
    deaf: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of a proxy; `inside` is None where its network namespace could not be seen."""

    pid: int
    inside: bool | None
    host: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The service that a connection starts."""

    state: UnitState
    control_group: str = ""
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`host` and `inside` are the TCP addresses at which systemd listens, there and there.

    `unseen` says why that is not known.
    """

    host: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    unseen: str = ""
    ipv6: bool = True
    files: Mapping[str, SocketFile] = field(default_factory=dict)


def judge_publish(tunnel: TunnelName, entry: Publish, socket: Socket, seen: Seen) -> Check:
    """Tell whether the host listens where it is declared, and nowhere else, for this proxy."""
    stem = publish_stem(tunnel, entry)
    own = partial(structure, name="publish", unit=f"{stem}.socket")
    if stopped := not_listening(socket.state):
        return own(verdict=Verdict.BROKEN, evidence=stopped[0], mend=stopped[1])
    wanted = addresses_of(entry)
    if found := pointed_elsewhere(tunnel, f"{stem}.socket", socket, wanted):
        return own(verdict=Verdict.NOT_CONFINED, evidence=found, mend=see(socket))
    if socket.deaf:
        return own(verdict=Verdict.BROKEN, evidence=DEAF, mend=restart(f"{stem}.socket"))
    if seen.unseen:
        return own(verdict=Verdict.UNKNOWN, evidence=seen.unseen)
    there = {
        *seen.host,
        *(path for path, file in seen.files.items() if file.listened),
    }
    # ::1 is not to be had where the kernel has no IPv6, and 127.0.0.1 is all that was meant then.
    needed = [each for each in wanted if seen.ipv6 or not each.startswith("[")]
    missing = [each for each in needed if each not in there]
    if missing:
        evidence = f"systemd does not listen at {', '.join(missing)}"
        return own(verdict=Verdict.BROKEN, evidence=evidence, mend=restart(f"{stem}.socket"))
    return own(verdict=Verdict.OK, evidence=f"{', '.join(wanted)} leads to {entry.to} inside")


def addresses_of(entry: Publish | Reach) -> list[str]:
    """Give where it listens, as systemd and the kernel have it."""
    if isinstance(entry, Reach):
        return [str(entry.listen)]
    if isinstance(entry.listen, UnixSocket):
        return [str(entry.listen.path)]
    return list(map(str, entry.listen))


def not_listening(state: UnitState) -> tuple[str, str] | None:
    """Say why a socket does not listen, and the command that mends it; None where it does."""
    word = judge(state)
    if word == "running":
        return None
    start = f"systemctl start {state.name}"
    told = {
        "stopped": ("somebody has stopped it", start),
        "not-found": ("there is no such unit", "wgconfine apply"),
        "masked": ("it is masked", f"systemctl unmask {state.name}; wgconfine apply"),
        "failed": (f"it has failed: {state.result}", start),
    }
    return told.get(word, (f"it is {word}", start))


def pointed_elsewhere(
    tunnel: TunnelName, name: str, socket: Socket, wanted: Collection[str]
) -> str:
    """Say at what else it listens, or whom else it starts; empty where it is as rendered."""
    if is_among_services(tunnel, socket.control_group):
        return f"it is in {slice_name(tunnel)}, among the services"
    more = [each for each in socket.listen if each not in wanted]
    if more:
        return f"it listens at {', '.join(more)} too"
    proxy = f"{name.removesuffix('.socket')}.service"
    others = [each for each in socket.starts if each != proxy]
    return f"a connection starts {', '.join(others)}, not its proxy" if others else ""


def is_among_services(tunnel: TunnelName, control_group: str) -> bool:
    """Tell whether the second switch would drop what it sends, and count it as a leak."""
    return f"/{slice_name(tunnel)}/" in f"{control_group}/"


def see(socket: Socket) -> str:
    return f"systemctl cat {socket.state.name}"


def restart(unit: str) -> str:
    return f"systemctl restart {unit}"


def judge_clients(tunnel: TunnelName, entry: Publish, socket: Socket, found: Filter) -> list[Check]:
    """Tell whether nobody but `from` may connect, as the kernel itself answers.

    Nothing of a unix socket, which has a mode, nor of what does not listen.
    """
    if isinstance(entry.listen, UnixSocket) or not_listening(socket.state):
        return []
    unit = f"{publish_stem(tunnel, entry)}.socket"
    own = partial(structure, name="publish-clients", unit=unit)
    clients = ", ".join(map(str, entry.clients)) or "this machine"
    if found.trouble:  # of loopback nothing depends on it, and some machines let nobody ask
        verdict = Verdict.UNKNOWN if entry.clients else Verdict.UNAVAILABLE
        return [own(verdict=verdict, evidence=found.trouble)]
    if found.strangers is None or found.around:
        what = (
            "systemd or the kernel lacks BPF for it"
            if found.strangers is None
            else (f"{', '.join(found.around)} is outside of its control group")
        )
        evidence = f"its filter of addresses is not in force: {what}"
        if not entry.clients:  # that nobody else reaches loopback is the kernel's own rule
            return [own(verdict=Verdict.UNAVAILABLE, evidence=f"{evidence}. It is loopback")]
        return [own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=restart(unit))]
    if found.strangers:
        evidence = f"{' and '.join(found.strangers[:SHOWN])} may connect too, not only {clients}"
        if found.slices:
            evidence += f": {', '.join(found.slices)} has an IPAddressAllow="
        mend = restart(unit)
        if found.slices:  # the last that it may be is -.slice
            mend = f"systemctl cat -- {shlex.quote(found.slices[0])}"
        return [own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)]
    return [own(verdict=Verdict.OK, evidence=f"the kernel lets {clients} connect, nobody else")]


def judge_file(
    tunnel: TunnelName, entry: Publish, socket: Socket, file: SocketFile | None
) -> list[Check]:
    """Compare mode and owners of a unix socket; nothing of another, or of what does not listen."""
    if not isinstance(entry.listen, UnixSocket) or not_listening(socket.state) or file is None:
        return []  # a file that is gone is what `publish` says
    unit = f"{publish_stem(tunnel, entry)}.socket"
    own = partial(structure, name="publish-file", unit=unit)
    wanted = f"0660 {entry.listen.user}:{entry.listen.group}"
    there = f"{file.mode:04o} {file.user}:{file.group}"
    evidence = f"{entry.listen.path} is {there}"
    if there == wanted:
        return [own(verdict=Verdict.OK, evidence=evidence)]
    evidence = f"{evidence}, not {wanted}"
    return [own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=restart(unit))]


def judge_reach(tunnel: TunnelName, entry: Reach, socket: Socket, seen: Seen) -> Check:
    """Say of the hole that its owner asked for that it is open, and to where."""
    stem = reach_stem(tunnel, entry)
    own = partial(structure, name="reach", unit=f"{stem}.socket")
    if stopped := not_listening(socket.state):
        return own(verdict=Verdict.BROKEN, evidence=stopped[0], mend=stopped[1])
    if found := pointed_elsewhere(tunnel, f"{stem}.socket", socket, addresses_of(entry)):
        return own(verdict=Verdict.NOT_CONFINED, evidence=found, mend=see(socket))
    if socket.deaf:
        return own(verdict=Verdict.BROKEN, evidence=DEAF, mend=restart(f"{stem}.socket"))
    if seen.unseen:
        return own(verdict=Verdict.UNKNOWN, evidence=seen.unseen)
    if str(entry.listen) not in seen.inside:
        evidence = f"systemd does not listen at {entry.listen} inside"
        return own(verdict=Verdict.BROKEN, evidence=evidence, mend=restart(f"{stem}.socket"))
    return own(
        verdict=Verdict.OPEN,
        evidence=f"by {entry.listen} every process inside talks to {entry.to} outside: "
        f'reach = ["{entry.listen}:{entry.to}"]',
    )


def judge_proxy(tunnel: TunnelName, entry: Publish | Reach, proxy: Proxy) -> Check:
    """Tell whether a proxy that runs is in its namespace, and not among the services."""
    publishes = isinstance(entry, Publish)
    stem = publish_stem(tunnel, entry) if isinstance(entry, Publish) else reach_stem(tunnel, entry)
    unit = f"{stem}.service"
    own = partial(Check, area=Area.PROCESSES, name="proxy", unit=unit)
    home = "the tunnel's" if publishes else "the host's"
    where = [each.inside if publishes else each.host for each in proxy.processes]
    outside = [
        str(each.pid) for each, fine in zip(proxy.processes, where, strict=True) if fine is False
    ]
    if outside:
        evidence = f"process {', '.join(outside[:SHOWN])} is not in {home} network namespace"
        return own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=f"systemctl stop {unit}")
    if proxy.processes and is_among_services(tunnel, proxy.control_group):
        evidence = f"it runs in {slice_name(tunnel)}, among the services"
        mend = f"systemctl cat {unit}"
        return own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    if None in where:
        evidence = "the network namespace of its process can't be seen"
        return own(verdict=Verdict.UNKNOWN, evidence=evidence)
    if judge(proxy.state) in {"failed", "refused", "masked"}:
        evidence = f"it has failed: {proxy.state.result}: nobody gets through"
        return own(verdict=Verdict.BROKEN, evidence=evidence, mend=f"journalctl -u {unit}")
    if not proxy.processes:
        return own(verdict=Verdict.OK, evidence="idle: a connection starts it")
    return own(verdict=Verdict.OK, evidence=f"in {home} network namespace")


def judge_undeclared(units: Iterable[str]) -> Iterator[Check]:
    """Name what runs under our names and is in no settings that were applied."""
    for unit in sorted(units):
        yield structure(
            name="undeclared-port",
            unit=unit,
            verdict=Verdict.NOT_CONFINED,
            evidence="no applied settings have it, and it is there",
            mend=f"systemctl stop {unit}",
        )


def judge_strangers(found: Iterable[Stranger], units: Mapping[str, str]) -> Check:
    """Say who answers inside and is not inside, but for `reach`.

    `units` are socket units that listen in this namespace, by the address.
    """
    own = partial(Check, area=Area.ESCAPES, name="listeners")
    said, mends = [], []
    unknown = True
    for each in found:
        unit = units.get(each.local, "") if each.holder.pid == 1 else ""
        if unit:
            who = unit
            mends.append(f"systemctl stop {shlex.quote(unit)}")
        elif each.holder.pid:
            who = f"process {each.holder.pid} ({each.holder.name})"
        else:
            who = "nobody who can be found"
        unknown = unknown and not each.holder.pid
        said.append(f"{each.protocol} {each.local}: {who}")
    if not said:
        return own(verdict=Verdict.OK, evidence="whoever answers inside is inside, but for reach")
    return own(
        verdict=Verdict.UNKNOWN if unknown else Verdict.NOT_CONFINED,
        evidence=f"somebody outside answers inside: {'; '.join(said[:SHOWN])}",
        mend="; ".join(dict.fromkeys(mends)),
    )
