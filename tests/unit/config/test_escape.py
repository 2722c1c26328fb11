"""Foreign text before it reaches a terminal, a journal or a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config.escape import HIDDEN, escape, holds_key, quote

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain ümläut 日本", "plain ümläut 日本"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\x00\x7f", "a\\x0ab\\x09c\\x00\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("no-break\xa0space\u2028line", "no-break\\xa0space\\u2028line"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("lone \udc80", "lone \\udc80"),
        ("foo\\x2dbar.service", "foo\\x2dbar.service"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, escaped: str) -> None:
    """Control, bidi, zero-width and lone surrogate characters are written out; the rest stays."""
    assert escaped == escape(text)


@given(st.text())
def test_escaped_text_is_printable(text: str) -> None:
    """Whatever the text, nothing of it moves a cursor or turns the direction of writing."""
    assert escape(text).isprintable()


def test_a_quote_is_short() -> None:
    """A long value is cut, so that a message stays a line."""
    assert "'" + "x." * 39 + "x…'" == quote("x." * 500)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"a {KEY} b",
        KEY[:-3],
        f"{KEY[:20]} {KEY[20:]}",
        f"{KEY[:20]}', \"{KEY[20:30]}`;\\{KEY[30:]}",
        f"{KEY[:20]}\0{KEY[20:30]}\u2028\xa0{KEY[30:]}",
        KEY * 9,
        KEY.encode().hex(),
    ],
)
def test_a_key_is_not_quoted(text: str) -> None:
    """What may be a key, even with a few characters lost or a space in it, is hidden."""
    assert HIDDEN == quote(text)


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/8, 192.168.0.0/16", "fd00:" * 20, "vpn.example.net"]
)
def test_ordinary_values_hold_no_key(text: str) -> None:
    """Addresses and names are not taken for keys."""
    assert not holds_key(text)
