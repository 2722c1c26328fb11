"""Attempts with the rights that a service has: namespaces, other processes, mounts, routes."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct

from wgconfine.verify.attempt import (
    BLOCKED,
    OPEN,
    OUT,
    PROGRAMS,
    SPOOLS,
    refusals,
    send_datagrams,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wgconfine.verify.attempt import Attempt, Outcome, Targets

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MNT_DETACH = 2
MS_REC_PRIVATE = 0x4000 | 1 << 18
NAMES = ("/run/netns", "/var/run/netns", "/run/docker/netns", "/run/wgconfine/netns")
PIDFD_OPEN = 434
MOST_PROCESSES = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    """Call a function of libc; raises OSError for -1."""
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def setns(targets: Targets) -> Outcome:
    """Enter another network namespace: by a name, a process or its descriptor, as one is and as
    root of a user namespace of one's own.
    """
    errors: list[OSError] = []
    found = _enter(targets, errors)
    if found:
        return OUT, found
    try:
        _call("unshare", CLONE_NEWUSER)
    except OSError as error:
        errors.append(error)
    else:
        found = _enter(targets, errors)
        if found:
            return OUT, f"{found}, as root of a user namespace"
    return BLOCKED, refusals(errors)


def _enter(targets: Targets, errors: list[OSError]) -> str:
    own = os.stat("/proc/self/ns/net").st_ino
    for place, descriptor in _namespaces(errors):
        try:
            _call("setns", descriptor, CLONE_NEWNET)
        except OSError as error:
            errors.append(error)
            continue
        finally:
            os.close(descriptor)
        if os.stat("/proc/self/ns/net").st_ino != own:
            ends = [(address, udp) for address, _, udp in targets.own(socket.AF_INET)]
            ends.append((targets.outside, targets.outside_port))
            send_datagrams(socket.AF_INET, ends, targets.token.encode())
            return f"entered {place}"
    return ""


def _namespaces(errors: list[OSError]) -> Iterator[tuple[str, int]]:
    """Descriptors of all that can be opened, each the caller's to close."""
    for place in _names_of_namespaces():
        try:
            yield place, os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            errors.append(error)
    try:
        yield "PID 1", _call("syscall", PIDFD_OPEN, 1, 0)
    except OSError as error:
        errors.append(error)


def _names_of_namespaces() -> Iterator[str]:
    yield "/proc/1/ns/net"
    for pid in _processes():
        yield f"/proc/{pid}/ns/net"
    for place in NAMES:
        try:
            yield from (f"{place}/{name}" for name in os.listdir(place))
        except OSError:
            continue


def _processes() -> list[str]:
    try:
        listed = os.listdir("/proc")
    except OSError:
        return []
    return [name for name in listed if name.isdecimal()][:MOST_PROCESSES]


def processes(targets: Targets) -> Outcome:
    """Find processes that are open to this one, ptrace(2), "access mode", and not confined: in the
    host's namespace, or with the host's /run.

    They are looked at and not stopped.
    """
    notes = []
    for pid in _processes():
        try:
            outside = os.readlink(f"/proc/{pid}/ns/net") == targets.host_namespace
        except OSError:
            continue
        if not outside and not os.path.lexists(f"/proc/{pid}/root/run/systemd/private"):
            continue
        how = "seen through /proc/PID/root"
        try:
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC))
            how = "may be traced"
        except OSError:
            if not _opens(f"/proc/{pid}/root/run"):
                continue
        notes.append(f"process {pid} ({_program(pid)}) {how}")
        if len(notes) == 8:
            break
    return (OUT, "; ".join(notes)) if notes else (BLOCKED, "no process of the host is open to it")


def _program(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "?"


def _opens(place: str) -> bool:
    try:
        os.close(os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def unmount(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    """Take the private /run away, in a mount namespace of this attempt's own."""
    errors: list[OSError] = []
    for flags in (CLONE_NEWNS, CLONE_NEWNS | CLONE_NEWUSER):
        try:
            _call("unshare", flags)
            _call("mount", None, b"/", None, MS_REC_PRIVATE, None)
            for _ in range(4):
                if os.path.exists("/run/wgconfine") or os.path.exists("/run/systemd/private"):
                    return OUT, "unmounted its /run and sees the host's"
                _call("umount2", b"/run", MNT_DETACH)
        except OSError as error:
            errors.append(error)
    return BLOCKED, refusals(errors)


def routes(targets: Targets) -> Outcome:
    """Add a route to nowhere, and take it away again: rtnetlink(7)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as end:
        end.settimeout(1)
        add, delete, unreachable, request, acknowledge, create = 24, 25, 7, 1, 4, 0x400
        for kind, flags in ((add, create), (delete, 0)):
            address = struct.pack("HH4s", 8, 1, socket.inet_aton(targets.outside))
            # A table and a protocol of nobody's.
            route = struct.pack("BBBBBBBBI", socket.AF_INET, 32, 0, 0, 231, 99, 0, unreachable, 0)
            body = route + address
            head = struct.pack("IHHII", 16 + len(body), kind, request | acknowledge | flags, 1, 0)
            end.send(head + body)
            (number,) = struct.unpack_from("i", end.recv(4096), 16)
            if number:
                return BLOCKED, errno.errorcode.get(-number, str(number))
    return OPEN, "may change the routes of the tunnel"


IORING_SETUP, IORING_ENTER, IORING_OP_SOCKET = 425, 426, 45
SQ_OFFSET, SQE_OFFSET = 0, 0x10000000
CQ_OFFSET = 0x8000000


def io_uring(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    """Make a socket by a ring, which the filter of address families does not see: io_uring(7)."""
    parameters = (ctypes.c_uint32 * 30)()
    ring = _call("syscall", IORING_SETUP, 1, ctypes.byref(parameters))
    try:
        made = [name for name, number in DENIED.items() if _by_ring(ring, parameters, number) >= 0]
    finally:
        os.close(ring)
    if made:
        return OUT, f"a ring makes sockets of {' '.join(made)}"
    return OPEN, "has a ring, which no filter of families sees"


DENIED = {"AF_VSOCK": 40, "AF_ALG": 38, "AF_BLUETOOTH": 31, "AF_TIPC": 30, "AF_PACKET": 17}


def _by_ring(ring: int, parameters: ctypes.Array[ctypes.c_uint32], family: int) -> int:
    """Give the result of socket(2) by a ring of one entry: its descriptor, or -errno."""
    # struct io_uring_params: sq_off from word 10, cq_off from word 20.
    head, tail, _, _, _, _, array = (parameters[10 + i] for i in range(7))
    cq_head, cq_mask, cqes = parameters[20], parameters[22], parameters[25]
    with (
        mmap.mmap(ring, mmap.PAGESIZE, offset=SQ_OFFSET) as submission,
        mmap.mmap(ring, mmap.PAGESIZE, offset=CQ_OFFSET) as completion,
        mmap.mmap(ring, mmap.PAGESIZE, offset=SQE_OFFSET) as entries,
    ):
        # struct io_uring_sqe: the family where a descriptor would be, then the type for an offset.
        entries[:64] = struct.pack("BBHiQQI36x", IORING_OP_SOCKET, 0, 0, family, 1, 0, 0)
        (at,) = struct.unpack_from("I", submission, tail)
        struct.pack_into("I", submission, array, 0)
        struct.pack_into("I", submission, tail, at + 1)
        _call("syscall", IORING_ENTER, ring, 1, 1, 1, None, 0)
        (done,) = struct.unpack_from("I", completion, cq_head)
        (mask,) = struct.unpack_from("I", completion, cq_mask)
        _, result, _ = struct.unpack_from("QiI", completion, cqes + 16 * (done & mask))
        struct.pack_into("I", completion, cq_head, done + 1)
        struct.pack_into("I", submission, head, at + 1)
    return int(result)


def spools(targets: Targets) -> Outcome:  # noqa: ARG001 — every attempt is called alike
    """Places and programs by which a command is left for somebody outside to run."""
    notes = [place for place in SPOOLS if os.access(place, os.W_OK, effective_ids=True)]
    if not _keeps_its_rights():
        notes += [program for program in PROGRAMS if _lends_rights(program)]
    return (OPEN, " ".join(notes)) if notes else (BLOCKED, "none that it may write or run")


def _keeps_its_rights() -> bool:
    """Whether a program that it executes gets no others: PR_GET_NO_NEW_PRIVS of prctl(2)."""
    return _call("prctl", 39, 0, 0, 0, 0) == 1


def _lends_rights(program: str) -> bool:
    try:
        mode = os.stat(program).st_mode
        no_suid = os.statvfs(program).f_flag & os.ST_NOSUID
    except OSError:
        return False
    return bool(mode & 0o6000) and not no_suid and os.access(program, os.X_OK, effective_ids=True)


ATTEMPTS: dict[str, Attempt] = {
    "setns": setns,
    "processes": processes,
    "unmount": unmount,
    "routes": routes,
    "io-uring": io_uring,
    "spools": spools,
}
