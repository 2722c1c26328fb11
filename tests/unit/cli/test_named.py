"""Services by name, as they are in a tree of files."""

import pytest

from tests.unit.cli.conftest import Machine
from wgconfine.cli.named import fitting, refusal, there
from wgconfine.config.values import WrongValueError
from wgconfine.model.errors import Refused
from wgconfine.model.settings import UnitName
from wgconfine.system.offers import known_services


def test_what_a_tree_knows(machine: Machine) -> None:
    """Services that have a file; no template, and nothing of wgconfine's own."""
    for name in ("x@.service", "wgconfine-a.service", "b.timer"):
        machine.write(f"/usr/lib/systemd/system/{name}", "[Service]\n")
    machine.path("/etc/systemd/system").mkdir(parents=True)
    machine.path("/etc/systemd/system/alias.service").symlink_to(
        "/usr/lib/systemd/system/a.service"
    )

    assert {"a.service", "b.service", "alias.service"} == known_services(machine.root)


def test_an_alias_is_the_unit_that_it_stands_for(machine: Machine) -> None:
    """And comes once, however often it is named."""
    machine.path("/etc/systemd/system").mkdir(parents=True)
    machine.path("/etc/systemd/system/alias.service").symlink_to(
        "/usr/lib/systemd/system/a.service"
    )
    known = known_services(machine.root)

    assert ["a.service"] == list(there(machine.root, fitting(["alias", "a"], known), known))


def test_all_that_are_not_there_are_named_at_once(machine: Machine) -> None:
    """Each with the nearest, where there is one."""
    known = frozenset({UnitName("sonarr.service")})

    with pytest.raises(Refused) as error:
        there(machine.root, list(map(UnitName, ("sonar.service", "zzz.service"))), known)

    assert (
        "There is no service 'sonar.service'. Did you mean 'sonarr.service'?\n"
        "There is no service 'zzz.service'. "
        "To see which there are: systemctl list-unit-files --type=service"
    ) == str(error.value)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        ("", "--x: a is b."),
        ("Write c", "--x: a is b. Write c."),
        ("Is it c?", "--x: a is b. Is it c?"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_a_hint(hint: str, words: str) -> None:
    """With the option that it stood behind."""
    assert words == str(refusal(WrongValueError("a is b", hint), "--x:"))


def test_what_is_no_name_is_refused() -> None:
    """As wrong usage."""
    with pytest.raises(Refused, match=r"^'a b\.service' is not the name of a service\.$"):
        fitting(["a b"], frozenset())
