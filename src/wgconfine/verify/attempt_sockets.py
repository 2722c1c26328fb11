"""Attempts to have somebody of the host do something: unix sockets, systemd, vsock, families."""

from __future__ import annotations

import os
import socket
import stat
import time

from wgconfine.verify.attempt import (
    BLOCKED,
    OPEN,
    OUT,
    SECONDS,
    ask_each,
    name_of,
    refusals,
)
from wgconfine.verify.attempt_names import REFUSED
from wgconfine.verify.bus import Bus, BusError, ask_system_bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wgconfine.verify.attempt import Attempt, Outcome, Targets

PLACES = (
    *("/run", "/var/run", "/tmp", "/var/tmp", "/dev", "/var/lib", "/var/spool", "/var/snap"),  # noqa: S108 — places to look into
    *("/srv", "/opt", "/home", "/root", "/mnt", "/etc", "/var"),
)
MOST_ENTRIES = 40_000
MOST_SOCKETS = 48
WALK_SECONDS = 1.5
OUR_WAY_IN = ("/run/systemd/journal/", "/run/systemd/notify", "/dev/log")
"""What the drop-in leaves a service of the host on purpose: its log and its state."""
DYNAMIC_USERS = "/run/systemd/userdb/io.systemd.DynamicUser"
"""And names of users; but root could start units by it."""

KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
FAMILIES = {
    "AF_KEY": 15, "AF_RDS": 21, "AF_CAN": 29, "AF_TIPC": 30, "AF_BLUETOOTH": 31, "AF_IUCV": 32,
    "AF_ISDN": 34, "AF_ALG": 38, "AF_NFC": 39, "AF_QIPCRTR": 42, "AF_SMC": 43, "AF_XDP": 44,
}  # fmt: skip
"""Those that the drop-in denies, less AF_VSOCK and AF_PACKET, which are tried for real."""
VSOCK_HOST, VSOCK_LOCAL = 2, 1


def unix_sockets(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    """Connect to every socket that can be found; connecting alone says nothing to anybody."""
    reached: list[str] = []
    ours = OUR_WAY_IN if os.geteuid() == 0 else (*OUR_WAY_IN, DYNAMIC_USERS)
    for path in _sockets():
        if path.startswith(ours):
            continue
        if _connects(path):
            reached.append(path)
        if len(reached) == MOST_SOCKETS:
            break
    return (OPEN, "\n".join(reached)) if reached else (BLOCKED, "none within reach")


def _sockets() -> Iterator[str]:
    deadline = time.monotonic() + WALK_SECONDS
    seen: set[tuple[int, int]] = set()
    waiting = list(reversed(PLACES))
    entries = 0
    while waiting and entries < MOST_ENTRIES and time.monotonic() < deadline:
        place = waiting.pop()
        try:
            found = os.stat(place)
            listed = list(os.scandir(place))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        for entry in listed:
            entries += 1
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except OSError:
                continue
            if stat.S_ISSOCK(mode):
                yield entry.path
            elif stat.S_ISDIR(mode):
                waiting.append(entry.path)


def _connects(path: str) -> bool:
    for kind in KINDS:
        with socket.socket(socket.AF_UNIX, kind) as end:
            end.setblocking(False)
            try:
                end.connect(path)
            except BlockingIOError:
                return True  # its queue is full
            except OSError as error:
                if name_of(error) == "EPROTOTYPE":
                    continue
                return False
            return True
    return False


def abstract_socket(targets: Targets) -> Outcome:
    """Names without a file belong to a network namespace: unix(7)."""
    return ask_each(["\0" + targets.abstract], targets.token.encode())


def systemd_dbus(targets: Targets) -> Outcome:
    """Ask for a unit; with nothing in it systemd refuses even whom it lets."""
    return ask_system_bus(lambda bus: _transient_unit(bus, targets.token))


def _transient_unit(bus: Bus, token: str) -> Outcome:
    body = bus.pack("ssu", f"wgconfine-{token}.scope", "fail", 0)
    # Two empty arrays of structs, each of which would begin at a multiple of eight.
    body += b"\0" * (-len(body) % 8) + b"\0" * 8
    place = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
    interface, signature = "org.freedesktop.systemd1.Manager", "ssa(sv)a(sa(sv))"
    try:
        bus.call(*place, interface, "StartTransientUnit", signature=signature, body=body)
    except BusError as error:
        if error.name in REFUSED:
            return BLOCKED, f"the bus says {error.name.rpartition('.')[2]}"
        return OUT, f"systemd says {error.name}"
    return OUT, "systemd took it"


def system_bus(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    try:
        return ask_system_bus(lambda bus: (OPEN, f"{bus.path} takes it for a client"))
    except BusError as error:
        return OPEN, f"the bus says {error.name}"


def systemd_private(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    return ask_each(["/run/systemd/private", "/var/run/systemd/private"], b"\0AUTH EXTERNAL\r\n")


def vsock(targets: Targets) -> Outcome:
    """A virtual machine's line to its host takes no notice of namespaces: vsock(7)."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as end:
        notes = []
        for peer in (VSOCK_HOST, VSOCK_LOCAL):
            end.settimeout(SECONDS / 4)
            try:
                end.connect((peer, targets.outside_port))
            except OSError as error:
                notes.append(f"{peer} {name_of(error)}")
                if name_of(error) in {"ECONNREFUSED", "ECONNRESET"}:
                    return OUT, f"peer {peer} answered: {name_of(error)}"
                continue
            return OUT, f"connected to {peer}"
    return OPEN, f"has a socket of AF_VSOCK; {'; '.join(notes)}"


def families(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    made = []
    errors: list[OSError] = []
    for name, number in FAMILIES.items():
        for kind in (*KINDS, socket.SOCK_RAW):
            try:
                socket.socket(number, kind, 2 if name == "AF_KEY" else 0).close()
            except OSError as error:
                errors.append(error)
                continue
            made.append(name)
            break
    return (OPEN, " ".join(made)) if made else (BLOCKED, refusals(errors))


ATTEMPTS: dict[str, Attempt] = {
    "unix-sockets": unix_sockets,
    "abstract-socket": abstract_socket,
    "system-bus": system_bus,
    "systemd-dbus": systemd_dbus,
    "systemd-private": systemd_private,
    "vsock": vsock,
    "families": families,
}
