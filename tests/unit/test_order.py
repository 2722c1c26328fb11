"""The long files come first, so that no worker is alone with one at the end."""

from pathlib import Path

from tests.conftest import LONGEST

TESTS = Path(__file__).parents[1]


def test_the_longest_files_are_there() -> None:
    """One that was renamed would come late again."""
    assert [] == [name for name in LONGEST if not (TESTS / name).is_file()]
