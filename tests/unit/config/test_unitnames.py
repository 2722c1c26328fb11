"""Which names are those of services that can be confined."""

import pytest

from wgconfine.config.unitnames import parse_service
from wgconfine.config.values import WrongValueError

KEY = "yAnz5TFxlXXJte14tji3zlMNqxhd2rYUIgJBgB3fBmk"


@pytest.mark.parametrize(
    "name",
    [
        "a.service",
        "x@a.service",
        "x@a@b.service",
        "foo-bar_1:2.3.service",
        "a\\x2db.service",
        "x@a.timer.service",
        "x" * 200 + ".service",
        "-.service",
        "x@a\\x2db:c@d.service",
    ],
)
def test_services(name: str) -> None:
    """Full names as in systemd.unit(5), instances too."""
    assert name == parse_service(name)


@pytest.mark.parametrize(
    ("value", "problem", "hint"),
    [
        (5, "5 is not the name of a service", ""),
        (["a.service"], "a list is not the name of a service", ""),
        ("", "'' is not the name of a service", ""),
        (".service", "'.service' is not the name of a service", ""),
        ("@a.service", "'@a.service' is not the name of a service", ""),
        ("a b.service", "'a b.service' is not the name of a service", ""),
        ("/etc/a.service", "'/etc/a.service' is not the name of a service", ""),
        ("ä.service", "'ä.service' is not the name of a service", ""),
        ("a\n.service", "'a\\x0a.service' is not the name of a service", ""),
        ("x@%i.service", "'x@%i.service' is not the name of a service", ""),
        ("a", "'a' has no suffix", "Write 'a.service'"),
        ("org.example.App", "'org.example.App' has no suffix", "Write 'org.example.App.service'"),
        ("x@a", "'x@a' has no suffix", "Write 'x@a.service'"),
        ("a.timer", "'a.timer' is not a service", "Name the service it starts: 'a.service'"),
        ("a.socket", "'a.socket' is not a service", "Name the service it starts: 'a.service'"),
        ("a.path", "'a.path' is not a service", "Name the service it starts: 'a.service'"),
        ("a.target", "'a.target' is not a service", ""),
        ("a.scope", "'a.scope' is not a service", ""),
        (
            "x@.service",
            "'x@.service' is a template, not a service",
            "Name each instance: 'x@INSTANCE.service'",
        ),
        ("wgconfine@a.service", "'wgconfine@a.service' is a unit of wgconfine itself", ""),
        ("wgconfine-x.service", "'wgconfine-x.service' is a unit of wgconfine itself", ""),
        (KEY, "(hidden) has no suffix", "Write (hidden)"),
    ],
)
def test_what_is_no_service(value: object, problem: str, hint: str) -> None:
    """The message says what to write instead, where that can be known."""
    with pytest.raises(WrongValueError) as caught:
        parse_service(value)
    assert (problem, hint) == (caught.value.what, caught.value.hint)


def test_a_name_leaves_room_for_ours() -> None:
    """NAME_MAX holds for the file that is to be renamed to `wgconfine-probe@UNIT.service`, too."""
    longest = "x." * 113 + ".service"
    assert 255 == len(f".wgconfine-probe@{parse_service(longest)}.new")

    with pytest.raises(WrongValueError) as caught:
        parse_service("x" + longest)
    assert f"'xx.{'x.' * 38}…' is longer than 234 characters" == caught.value.what
    assert (
        "Give the unit a shorter name: that of wgconfine-probe@UNIT.service must fit, too"
        == caught.value.hint
    )
