"""`python -I -m wgconfine.runtime VERB NAME`."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import paths
from wgconfine.runtime.__main__ import OF_THE_HOST, VERBS, find, main


@pytest.mark.parametrize(
    "words", [[], ["up"], ["up", "vpn", "more"], ["upp", "vpn"], ["--help"], ["", ""]]
)
def test_wrong_words_are_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and one line that names every verb."""
    assert main(["wgconfine.runtime", *words]) == 2
    words_of_the_host = " | ".join(OF_THE_HOST)
    assert (
        f"usage: python -I -m wgconfine.runtime {words_of_the_host} | {'|'.join(VERBS)} NAME\n"
        == (capsys.readouterr().err)
    )


def test_every_verb_leads_somewhere() -> None:
    """The usage line promises no more than there is."""
    verbs = VERBS | OF_THE_HOST
    assert [] == [each for each in verbs if not callable(find(*verbs[each]))]


@pytest.mark.parametrize("word", ["up", "reload", "resume", "clear"])
def test_a_failure_is_one_line_and_status_1(
    word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No traceback in the journal: it is what systemctl status shows."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    assert main(["wgconfine.runtime", word, "no-such-tunnel"]) == 1
    assert (
        capsys.readouterr().err
        == "/etc/wgconfine/no-such-tunnel.json: No such file or directory.\n"
    )
