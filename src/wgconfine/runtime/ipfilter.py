"""IPAddressAllow= of a socket, as the kernel has it: who could connect, and shall not.

systemd leaves this filter out without a word where BPF is missing, and adds to it what the slices
above say. So the programs that are in force for a control group are found by bpf(2) and asked of
addresses, without a packet. They decide by tables of networks, so the answer is the same between
one bound of those and the next: the addresses at the bounds tell of all.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import struct

from wgconfine.runtime.failure import Failure, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Range = tuple[int, int, int]
    """The bits of an address, the first and the last of a network."""

UNIFIED = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")

# The number of bpf(2), where it is not that of new architectures.
NUMBERS = {
    "x86_64": 321, "i386": 357, "i686": 357, "armv7l": 386, "armv6l": 386, "ppc64le": 361,
    "ppc64": 361, "s390x": 351, "sparc64": 349, "mips64": 5315,
}  # fmt: skip
GENERIC = 280

MAP_GET_NEXT_KEY, PROG_TEST_RUN, PROG_GET_FD_BY_ID = 4, 10, 13
MAP_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, PROG_QUERY = 14, 15, 16
CGROUP_INET_INGRESS, QUERY_EFFECTIVE = 0, 1
LPM_TRIE = 11
MOST = 64
"""Programs of one control group: the kernel takes no more. And tables of one program."""

HEADERS = {32: (0x0800, 26, 0x45), 128: (0x86DD, 22, 0x60)}
"""By the bits of an address: the type in Ethernet's header, where the source begins, and version
and length of the header in its first byte."""

ATTRIBUTES = 128
"""Bytes of union bpf_attr; what a command does not know of it must be 0."""


INSTEAD = (
    "Anybody could connect. Publish to 127.0.0.1 or to a unix socket, and put a web server that "
    "asks for a password before it."
)
"""What to do where there is no filter to be had."""


def prove(clients: str) -> None:
    """Raise Failure if the filter of this unit lets anybody in but `clients`, split by commas."""
    try:
        found = strangers(own_directory(), clients.split(","))
    except OSError as error:  # as in a container that may not use bpf(2): nor may systemd there
        what = "whether its filter of addresses is in force can't be seen"
        raise Failure(f"{what}: {error.strerror}. {INSTEAD}") from error
    if found is None:
        what = "its filter of addresses is not in force: this systemd or kernel lacks BPF for it"
        raise Failure(f"{what}. {INSTEAD}")
    if found:
        raise Failure(
            f"{' and '.join(found[:2])} could connect, which `from` does not have: an "
            "IPAddressAllow= of a drop-in or of a slice above adds to it. Take it away there."
        )
    say(f"[#] only {clients.replace(',', ' and ')} may connect: proven")


def own_directory() -> str:
    """Give the directory of our own control group. Raises Failure where there is none."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        groups = [line[3:].rstrip("\n") for line in file if line.startswith("0::")]
    for place in UNIFIED:
        if groups and os.path.exists(f"{place}/cgroup.procs"):
            return place + groups[0]
    what = "there are no control groups of version 2, which a filter of addresses needs"
    raise Failure(f"{what}. {INSTEAD}")


def strangers(directory: str, clients: list[str]) -> list[str] | None:
    """Give whom the filter of a control group lets in, though no network of `clients` has it.

    Not each, but one of every network. None where there is no filter at all, unless `clients` are
    everybody. Raises OSError.
    """
    networks = [ipaddress.ip_network(each) for each in clients]
    wanted = [
        (each.max_prefixlen, int(each.network_address), int(each.broadcast_address))
        for each in networks
    ]
    if not outside(wanted, []):
        return []
    programs = list(attached(directory))
    try:
        if not programs:
            return None
        known = [found for program in programs for found in tables(program)]
        return [
            str(ipaddress.ip_address(address.to_bytes(bits // 8, "big")))
            for bits, address in outside(wanted, known)
            if all(lets_in(program, bits, address) for program in programs)
        ]
    finally:
        for program in programs:
            os.close(program)


def outside(wanted: Sequence[Range], known: Sequence[Range]) -> list[tuple[int, int]]:
    """Give an address of each part of all networks that lies outside of those that are wanted.

    Such a part begins or ends at a bound of a network, or beside one that is wanted: so it is
    enough to try the addresses there.
    """
    ranges = [*known, (32, 0, (1 << 32) - 1), (128, 0, (1 << 128) - 1)]
    bounds = {(bits, each) for bits, *ends in ranges for each in ends}
    bounds |= {(bits, first - 1) for bits, first, _ in wanted if first}
    bounds |= {(bits, last + 1) for bits, _, last in wanted if last + 1 < 1 << bits}
    return sorted(
        (bits, address)
        for bits, address in bounds
        if not any(bits == each[0] and each[1] <= address <= each[2] for each in wanted)
    )


def bpf(command: int, attributes: bytearray) -> int:
    """Call bpf(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = NUMBERS.get(os.uname().machine, GENERIC)
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    result: int = libc.syscall(number, command, buffer, len(attributes))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf: {os.strerror(error)}")
    return result


def packed(form: str, *values: int) -> bytearray:
    attributes = bytearray(ATTRIBUTES)
    struct.pack_into(form, attributes, 0, *values)
    return attributes


def address_of(buffer: bytearray) -> int:
    """Give where a buffer lies, which must outlive the call that it is for."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def attached(directory: str) -> Iterator[int]:
    """Open every program that is in force there for what arrives, those of slices above too."""
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        numbers = bytearray(4 * MOST)
        query = packed(
            "=IIIIQI", group, CGROUP_INET_INGRESS, QUERY_EFFECTIVE, 0, address_of(numbers), MOST
        )
        bpf(PROG_QUERY, query)
    finally:
        os.close(group)
    (count,) = struct.unpack_from("=I", query, 24)
    for number in struct.unpack_from(f"={count}I", numbers):
        yield bpf(PROG_GET_FD_BY_ID, packed("=I", number))


def information(descriptor: int, form: str, *values: int) -> bytearray:
    """Ask for what the kernel knows of a program or a table."""
    found = packed(form, *values)
    bpf(OBJ_GET_INFO_BY_FD, packed("=IIQ", descriptor, len(found), address_of(found)))
    return found


def tables(program: int) -> Iterator[Range]:
    """Give every network in the tables that a program looks into."""
    numbers = bytearray(4 * MOST)
    found = information(program, "=52xIQ", MOST, address_of(numbers))
    (count,) = struct.unpack_from("=I", found, 52)
    for number in struct.unpack_from(f"={count}I", numbers):
        table = bpf(MAP_GET_FD_BY_ID, packed("=I", number))
        try:
            kind, _, size = struct.unpack_from("=III", information(table, ""))
            if kind == LPM_TRIE:
                yield from networks_of(table, size)
        finally:
            os.close(table)


def networks_of(table: int, size: int) -> Iterator[Range]:
    """Give the keys of a table: the length of a prefix, then the address."""
    key, following = bytearray(size), bytearray(size)
    where = 0  # of the key before; without one it gives the first
    while True:
        try:
            bpf(MAP_GET_NEXT_KEY, packed("=IxxxxQQ", table, where, address_of(following)))
        except FileNotFoundError:
            return
        key[:] = following
        where = address_of(key)
        (prefix,) = struct.unpack_from("=I", key)
        bits = 8 * (size - 4)
        rest = (1 << (bits - prefix)) - 1
        address = int.from_bytes(key[4:], "big")
        yield bits, address & ~rest, address | rest


def lets_in(program: int, bits: int, address: int) -> bool:
    """Ask a program of a packet that comes from an address."""
    packet = bytearray(14 + 60)  # Ethernet's header, that of IP, some room
    source = address.to_bytes(bits // 8, "big")
    kind, start, first = HEADERS[bits]
    struct.pack_into("!12xHB", packet, 0, kind, first)
    packet[start : start + len(source)] = source
    question = packed("=IIIIQQI", program, 0, len(packet), 0, address_of(packet), 0, 1)
    bpf(PROG_TEST_RUN, question)
    (answer,) = struct.unpack_from("=I", question, 4)
    return bool(answer & 1)
