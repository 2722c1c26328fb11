"""DNS on the wire: what is asked, and what counts as an answer to it."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.verify.query import AAAA, A, NotAnAnswer, encode, read_answer

NAME = "token.invalid"
QUERY = encode(NAME, A, 7)
QUESTION = QUERY[12:]


def response(
    *, number: int = 7, flags: int = 0x8183, question: bytes = QUESTION, records: bytes = b""
) -> bytes:
    counts = (1 if question else 0, 1 if records else 0, 0, 0)
    return struct.pack(">6H", number, flags, *counts) + question + records


def record(kind: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def test_a_query_is_as_the_standard_has_it() -> None:
    """One question, of the internet, recursion desired."""
    assert bytes.fromhex("0007 0100 0001 0000 0000 0000 05") + b"token" == QUERY[:18]
    assert b"\x07invalid\0" + bytes.fromhex("0001 0001") == QUERY[18:]


@pytest.mark.parametrize(
    ("data", "code", "addresses"),
    [
        (response(), 3, ()),
        (response(question=QUESTION.upper()[:-4] + QUESTION[-4:]), 3, ()),
        (response(flags=0x8001, question=b""), 1, ()),
        (response(flags=0x8180, records=record(A, b"\x0a\x42\0\1")), 0, ("10.66.0.1",)),
        (response(flags=0x8180, records=record(A, b"\x0a\x42\0\1", b"\1a\0")), 0, ("10.66.0.1",)),
        (response(flags=0x8180, records=record(5, b"\1a\0")), 0, ()),
    ],
)
def test_an_answer_is_read(data: bytes, code: int, addresses: tuple[str, ...]) -> None:
    """Any code is one; a name may be a pointer or in other letter case."""
    assert (code, tuple(map(ip_address, addresses))) == read_answer(data, NAME, A, 7)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is too short"),
        (QUERY, "it answers another query"),
        (response(number=8), "it answers another query"),
        (response(question=encode("other.invalid", A, 7)[12:]), "it answers another question"),
        (response(question=encode(NAME, AAAA, 7)[12:]), "it answers another question"),
        (response(records=b"\xc0"), "it is cut off"),
        (response(records=record(A, b"\x0a\x42\0\1")[:8]), "it is cut off"),
    ],
)
def test_what_answers_something_else_is_none(data: bytes, why: str) -> None:
    """Another ID or question, the query itself, or a part."""
    with pytest.raises(NotAnAnswer, match=why):
        read_answer(data, NAME, A, 7)


@given(st.binary(max_size=80))
def test_no_datagram_does_harm(tail: bytes) -> None:
    """A stranger writes it: it is read or refused."""
    try:
        read_answer(response(records=tail), NAME, A, 7)
    except NotAnAnswer:
        return


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64])
def test_what_is_no_host_name_is_not_asked_for(name: str) -> None:
    """A label has 1 to 63 bytes."""
    with pytest.raises(NotAnAnswer, match="it is no host name"):
        encode(name, A, 7)
