"""Guesses at misspelt words."""

import pytest

from wgconfine.config.words import refuse_strangers, suggest, suggest_services
from wgconfine.model.errors import OperationFailed

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


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("qbittorrent", "Did you mean 'qbittorrent-nox.service'?"),
        ("qbitorent-nox.service", "Did you mean 'qbittorrent-nox.service'?"),
        ("darr", "Did you mean 'radarr.service' or 'sonarr.service'?"),
        ("sonar", "Did you mean 'sonarr.service'?"),
        ("x", ""),
        ("", ""),
    ],
)
def test_services_that_are_near(word: str, hint: str) -> None:
    """The nearest first, at most three, spelt alike or longer than the word."""
    known = ["qbittorrent-nox.service", "sonarr.service", "radarr.service"]
    assert hint == suggest_services(word, known)


def test_names_of_no_tunnel_are_refused_at_once() -> None:
    """Those that are known are not, and the message has them."""
    refuse_strangers(["home"], ["work", "home"])

    with pytest.raises(
        OperationFailed, match=r"^hom, wrk: there is no such tunnel\nThere are: home, work\.$"
    ):
        refuse_strangers(["wrk", "home", "hom"], ["work", "home"])
