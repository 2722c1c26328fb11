"""docs/leaks.md is what the record says, and every fact that was measured has a test."""

import re
from pathlib import Path

import pytest

from lab import RELEASES
from tests.leaks.channel import OUT, Channel, Form
from tests.leaks.channels import CHANNELS
from tests.leaks.facts import FACTS, NUMBERS
from tests.leaks.table import PAGE, SYSTEMD, load_found, render

TESTS = Path(__file__).parents[1]


def test_the_page_is_what_the_record_says() -> None:
    """`make leak-table` writes both; nobody edits the page."""
    assert render(load_found()) == PAGE.read_text(encoding="utf-8")


def test_the_record_is_of_every_channel_on_every_systemd() -> None:
    """A new channel comes with what was found."""
    names = [channel.name for channel in CHANNELS]
    assert set(RELEASES) == set(SYSTEMD) == set(load_found())
    assert [names] * len(SYSTEMD) == [list(channels) for channels in load_found().values()]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_what_is_found_to_leak_is_declared(channel: Channel) -> None:
    """Nothing but what its channel calls open leaks under wgconfine."""
    for release, channels in load_found().items():
        found = channels[channel.name]
        assert found[Form.RECIPE] in channel.control(int(SYSTEMD[release]))
        assert channel.open == {each for each in Form if found[each] in OUT} - {Form.RECIPE}


@pytest.mark.parametrize("number", NUMBERS)
def test_each_fact_is_shown(number: str) -> None:
    """Every number has tests, and each of them is there."""
    (shown_by,) = [shown_by for fact, shown_by in FACTS if fact.number == number]
    assert shown_by
    for test in shown_by:
        file, _, function = test.partition("[")[0].partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), test


def test_each_fact_of_a_channel_is_listed() -> None:
    """A channel names no number that is unknown."""
    named = {number for channel in CHANNELS for number in channel.facts}
    assert set() == named - set(NUMBERS)
