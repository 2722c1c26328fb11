"""The message catalog: an entry for each message, in the form that journalctl(1) takes."""

import re
from pathlib import Path

import pytest

from wgconfine.model.tree import MARK
from wgconfine.render.catalog import MESSAGES, catalog_file
from wgconfine.runtime import journal

TOP = Path(__file__).parents[3]
IDS = {
    name: value
    for name, value in vars(journal).items()
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)
}
FIELDS = {"WGCONFINE_TUNNEL", "WGCONFINE_UNIT", "OBJECT_SYSTEMD_UNIT"}
OF_A_UNIT = {journal.STOPPED, journal.REFUSED}


@pytest.mark.parametrize("name", IDS)
def test_every_message_has_an_entry(name: str) -> None:
    """Each ID that a message can have; there is none that no message has."""
    assert IDS[name] in MESSAGES


def test_no_entry_is_for_nothing() -> None:
    """And no two messages share an ID."""
    assert sorted(MESSAGES) == sorted(IDS.values())


@pytest.mark.parametrize("name", IDS)
def test_what_is_told(name: str) -> None:
    """What happened, why, and what to do, with fields that every such message has."""
    entry = MESSAGES[IDS[name]]
    text = entry.text(IDS[name])
    header, _, body = text.partition("\n\n")

    assert [f"-- {IDS[name]}", "Subject", "Defined-By", "Documentation"] == [
        line.partition(":")[0] for line in header.splitlines()
    ]
    assert ["Why", "What to do"] == [each.partition(":")[0] for each in body.split("\n\n")[1:]]
    assert (TOP / "docs" / entry.page).is_file()
    fields = set(re.findall("@([A-Z_]+)@", text))
    assert fields <= FIELDS - (set() if IDS[name] in OF_A_UNIT else {"WGCONFINE_UNIT"})


def test_the_file() -> None:
    """Ours by its mark; what begins with `#` or `--` would be no text of an entry."""
    first, *lines = catalog_file().text.splitlines()

    assert MARK in first
    assert [f"-- {each}" for each in MESSAGES] == [line for line in lines if line.startswith("--")]
    assert [] == [line for line in lines if line.startswith(("#", ";")) or len(line) > 100]
