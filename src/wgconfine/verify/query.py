"""One DNS query as bytes, and whether what came back answers it: RFC 1035, section 4. Pure."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["AAAA", "CODES", "A", "Answer", "NotAnAnswer", "encode", "read_answer"]

A, AAAA = 1, 28
INTERNET = 1
HEADER = struct.Struct(">6H")
RECORD = struct.Struct(">HHIH")
RESPONSE, RECURSION = 0x8000, 0x0100
POINTER = 0xC0
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

Answer = tuple[int, tuple[IPv4Address | IPv6Address, ...]]
"""The response code, and the addresses of the kind that was asked for."""


class NotAnAnswer(ValueError):
    """What came back is no answer to this query; the text says why."""


def encode(name: str, kind: int, number: int) -> bytes:
    """Give a query for the records of a `kind` of a host name; `number` is its ID."""
    return HEADER.pack(number, RECURSION, 1, 0, 0, 0) + question(name, kind)


def question(name: str, kind: int) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):  # noqa: PLR2004 — the longest is 63
        raise NotAnAnswer("it is no host name")
    encoded = b"".join(bytes([len(label)]) + label for label in labels)
    return encoded + b"\0" + struct.pack(">2H", kind, INTERNET)


def read_answer(data: bytes, name: str, kind: int, number: int) -> Answer:
    """Read a response. Raises NotAnAnswer unless its ID and question are those of the query."""
    asked = question(name, kind)
    try:
        found, flags, questions, answers, *_ = HEADER.unpack_from(data)
    except struct.error as error:
        raise NotAnAnswer("it is too short") from error
    if found != number or not flags & RESPONSE or questions > 1:
        raise NotAnAnswer("it answers another query")
    body = HEADER.size
    # FORMERR and NOTIMP may come without the question (RFC 1035, 4.1.1, says nothing of it).
    if questions:
        # Resolvers may mix letter case in the name (and must not change it): compared without.
        if data[body : body + len(asked)].lower() != asked.lower():
            raise NotAnAnswer("it answers another question")
        body += len(asked)
    try:
        return flags & 0xF, tuple(addresses(data, body, answers, kind))
    except (struct.error, IndexError) as error:
        raise NotAnAnswer("it is cut off") from error


def addresses(data: bytes, offset: int, count: int, kind: int) -> list[IPv4Address | IPv6Address]:
    size = 4 if kind == A else 16
    found = []
    for _ in range(count):
        offset = skip_name(data, offset)
        this, network, _, length = RECORD.unpack_from(data, offset)
        offset += RECORD.size
        if (this, network, length) == (kind, INTERNET, size):
            found.append(ip_address(data[offset : offset + size]))
        offset += length
    return found


def skip_name(data: bytes, offset: int) -> int:
    """Give where a name ends; a pointer, which may lead in circles, is not followed."""
    while length := data[offset]:
        if length >= POINTER:
            return offset + 2
        offset += length + 1
    return offset + 1
