"""What is worth a word is said once, also of a hundred services."""

import pytest

from wgconfine.cli.check import show_warnings
from wgconfine.model.problem import Problem
from wgconfine.system.confcheck import Findings

SLICE = "Slice='system.slice' is replaced"


def of(unit: str, what: str, hint: str = "", line: int = 5) -> Problem:
    return Problem(where=f"{unit} (/etc/systemd/system/{unit}:{line})", what=what, hint=hint)


def test_the_same_of_several_services_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of all; another hint is another line, and a single one says where."""
    show_warnings(
        Findings(
            warnings=[
                of("a.service", SLICE, "Set its limits"),
                of("a.service", "lingers"),
                of("b.service", SLICE, "Set its limits", 9),
                of("b.service", SLICE, "Another hint"),
                of("b.service", SLICE, "Set its limits", 11),
                Problem(where="c.service", what=SLICE, hint="Set its limits"),
            ]
        )
    )
    assert capsys.readouterr().err == (
        f"warning: a.service, b.service, c.service: {SLICE}. Set its limits.\n"
        "warning: a.service (/etc/systemd/system/a.service:5): lingers.\n"
        f"warning: b.service (/etc/systemd/system/b.service:5): {SLICE}. Another hint.\n"
    )


def test_places_that_are_no_services_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A file's name may have parentheses in it."""
    places = ("/etc/wireguard/a (1).conf:3", "/etc/wireguard/a (2).conf:3")
    show_warnings(Findings(warnings=[Problem(where=each, what="is odd") for each in places]))

    assert f"warning: {', '.join(places)}: is odd.\n" == capsys.readouterr().err
