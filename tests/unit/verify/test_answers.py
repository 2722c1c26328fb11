"""Answers of a probe are a stranger's words."""

import json

import pytest

from wgconfine.verify.answers import MOST_SAID, READY, is_ready, parse_answers
from wgconfine.verify.channels import Answer

TOKENS = {"tcp4": "wgc01", "vsock": "wgc02"}


def line(**changed: object) -> bytes:
    right = {"channel": "tcp4", "token": "wgc01", "word": "blocked", "detail": "EPERM"}
    return json.dumps(right | changed).encode() + b"\n"


def test_an_answer() -> None:
    """By the name of its channel."""
    assert ({"tcp4": Answer(word="blocked", detail="EPERM")}, 0) == parse_answers(
        READY + line(), TOKENS
    )


@pytest.mark.parametrize(
    "said",
    [
        line(token="wgc02"),  # noqa: S106 — the word of another channel, no secret
        line(channel="nothing"),
        line(word="fine"),
        line(detail=5),
        line(channel=["tcp4"]),
        line(more=""),
        b"[]\n",
        b"5\n",
        b"\xff\xfe\n",
        b"{\n",
        b"[" * 8000 + b"\n",
        b'{"channel": "tcp4"}\n',
    ],
)
def test_what_is_no_answer(said: bytes) -> None:
    """Nothing is taken from it, and it is counted."""
    assert ({}, 1) == parse_answers(said, TOKENS)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_answers_the_worse_counts(order: int) -> None:
    """Who writes a "blocked" behind it takes nothing back."""
    lines = [line(), line(word="out", detail="there")][::order]

    assert {"tcp4": Answer(word="out", detail="there")} == parse_answers(b"".join(lines), TOKENS)[0]


def test_too_much_is_odd() -> None:
    """What is within bounds counts."""
    found, odd = parse_answers(line() + b"\n" * MOST_SAID, TOKENS)

    assert {"tcp4"} == set(found)
    assert odd > 0


def test_a_long_detail_is_cut() -> None:
    """It goes to a terminal and into JSON."""
    found, _ = parse_answers(line(detail="x" * 5000), TOKENS)

    assert 4000 == len(found["tcp4"].detail)


def test_ready_is_the_first_line() -> None:
    """Before it the program does not run yet."""
    assert [True, False] == [is_ready(READY + b"x"), is_ready(b"x" + READY)]
