"""Which words are in colour, and that nothing else changes."""

import re

import pytest

from tests.golden.test_status import STATUS
from tests.golden.test_verify_words import ALL, CLOSED
from wgconfine.report import status, verify
from wgconfine.report.paint import painted


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vpn: up, kernel", "vpn: <32>up<>, kernel"),
        ("vpn: LEAK. 1 of 2 checks:", "vpn: <31>LEAK<>. 1 of 2 checks:"),
        ("  a.service: NOT CONFINED (its", "  a.service: <31>NOT CONFINED<> (its"),
        ("  LEAK: dns of a.service: seen", "  <31>LEAK<>: dns of a.service: seen"),
        ("  publish 80 -> 127.0.0.1:8: listening", "  publish 80 -> 127.0.0.1:8: <32>listening<>"),
        ("  verify 12 min ago: ok", "  verify 12 min ago: <32>ok<>"),
        ("  ! it is late: wgconfine apply", "  <1;31>!<> it is late: wgconfine apply"),
        ("  why: LEAK", "  why: LEAK"),
        ("upper: down", "upper: down"),
        ("    open: ok", "    open: ok"),
        ("      failed (as", "      failed (as"),
    ],
)
def test_the_word_is_painted_and_nothing_else(line: str, expected: str) -> None:
    """Where a line is about it."""
    assert expected == re.sub("\x1b\\[0?([0-9;]*)m", r"<\1>", painted(line))


@pytest.mark.parametrize("width", [60, 80, None])
def test_without_its_colours_a_screen_is_the_same(width: int | None) -> None:
    """Nothing is said by colour alone."""
    plain = status.as_text(STATUS, width=width), verify.as_text(ALL, CLOSED, width=width)
    coloured = (
        status.as_text(STATUS, width=width, colour=True),
        verify.as_text(ALL, CLOSED, width=width, colour=True),
    )

    assert plain != coloured
    assert plain == tuple(re.sub("\x1b\\[[0-9;]*m", "", each) for each in coloured)
