"""Services as people type them."""

import pytest

from wgconfine.config.unitwords import find_services
from wgconfine.config.values import WrongValueError
from wgconfine.model.settings import UnitName

KNOWN = frozenset(
    map(UnitName, ("sonarr.service", "radarr.service", "prowlarr.service", "wg@a.service"))
)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sonarr"], ["sonarr.service"]),
        (["sonarr.service"], ["sonarr.service"]),
        (["sonarr", "sonarr.service", "radarr"], ["sonarr.service", "radarr.service"]),
        (["*arr"], ["prowlarr.service", "radarr.service", "sonarr.service"]),
        (["?onarr", "[rs]*"], ["sonarr.service", "radarr.service"]),
        (["wg@*"], ["wg@a.service"]),
        (["elsewhere"], ["elsewhere.service"]),
        (["qbittorrent-nox@me"], ["qbittorrent-nox@me.service"]),
        (["org.example.thing"], ["org.example.thing.service"]),
        ([], []),
    ],
)
def test_words_stand_for_services(words: list[str], found: list[str]) -> None:
    """The suffix may be left out; a pattern is all that it fits; each comes once."""
    assert found == find_services(words, KNOWN)


@pytest.mark.parametrize(
    ("word", "what", "hint"),
    [
        ("", "'' is not the name of a service", ""),
        ("a b", "'a b.service' is not the name of a service", ""),
        ("x.socket", "'x.socket' is not a service", "Name the service it starts: 'x.service'"),
        ("tmp.mount", "'tmp.mount' is not a service", ""),
        (
            "wg@",
            "'wg@.service' is a template, not a service",
            "Name each instance: 'wg@INSTANCE.service'",
        ),
        ("powlar*", "'powlar*' fits no service", "Did you mean 'prowlarr.service'?"),
        ("zzzz*", "'zzzz*' fits no service", ""),
    ],
)
def test_what_is_none_is_refused(word: str, what: str, hint: str) -> None:
    """With the word, as it would be, and what to write instead."""
    with pytest.raises(WrongValueError) as error:
        find_services([word], KNOWN)

    assert (what, hint) == (error.value.what, error.value.hint)
