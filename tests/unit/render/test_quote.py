"""Values on their way into the text of a unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.render.quote import UnsafeValueError, escape_path_unit, value


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "a\nExecStart=/bin/evil", "a\tb", 'a"b', "a'b", "$HOME", "a;b", "é", "\u202e",
     "a#b", "{x}", "\x00"],
)  # fmt: skip
def test_refuses_what_would_need_quoting(text: str) -> None:
    """White space, quotes, `$`, control characters: settings differ in how they quote."""
    with pytest.raises(UnsafeValueError, match="has characters that can't stand in a systemd unit"):
        value(text)


def test_a_percent_sign_is_doubled() -> None:
    """systemd would expand it as a specifier."""
    assert value("/srv/100%h") == "/srv/100%%h"


@pytest.mark.parametrize("text", ["vpn", "/opt/wgconfine/bin/python3", r"wgconfine-a\x2db.slice"])
def test_ordinary_values_stay_as_they_are(text: str) -> None:
    """Names, paths, and the backslash of an escaped name."""
    assert value(text) == text


@given(st.text())
def test_no_value_ends_its_line(text: str) -> None:
    """Whatever comes: one line, or a refusal."""
    try:
        given_out = value(text)
    except UnsafeValueError:
        return
    assert given_out.splitlines() == [given_out]


@pytest.mark.parametrize(("name", "escaped"), [("vpn", "vpn"), ("a-b-c", r"a\x2db\x2dc")])
def test_a_dash_is_escaped_within_a_slices_name(name: str, escaped: str) -> None:
    """There it makes a tree."""
    assert escape_path_unit(name) == escaped
