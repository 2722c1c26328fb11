"""Guesses at misspelt words."""

import pytest

from wgconfine.config.words import suggest

KNOWN = ["services", "address", "private-key-file", "mtu"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("adress", "Did you mean 'address'?"),
        ("Service", "Did you mean 'services'?"),
        ("private_key_file", "Did you mean 'private-key-file'?"),
        ("MUT", ""),
        ("", ""),
        ("something", ""),
    ],
)
def test_suggestions(word: str, hint: str) -> None:
    """A close word is suggested, whatever its case and dashes; a distant one is not."""
    assert hint == suggest(word, KNOWN)
