"""Every message of an error is asserted somewhere: by a test, or in an expected file."""

from pathlib import Path

from tests.messages import messages, untested

TOP = Path(__file__).parents[2]


def test_every_error_has_a_test() -> None:
    """What nobody has seen may never come, or come out wrong."""
    assert [] == [str(each) for each in untested(TOP)]


def test_messages_are_found_in_every_layer() -> None:
    """Whatever brings them to a person: what is raised, collected, or said beside the result."""
    found = {each.text for each in messages(TOP)}
    assert {
        "already, with other settings",
        "holds a secret and others than root may read it",
        "is already listed, at",
        "is none of",
        "it needs systemd-socket-proxyd, which is not there",
        "trying again",
    } <= found
