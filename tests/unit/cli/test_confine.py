"""`confine` and `release` on a tree of files: settings change as a person would have done it."""

from pathlib import PurePosixPath

import pytest

from tests.unit.cli.conftest import Machine, Run, closing, dropin
from wgconfine.cli.confine import confined_by, moves
from wgconfine.cli.release import release_words
from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ExitCode
from wgconfine.model.settings import Settings, UnitName

A, B, C = "a.service", "b.service", "c.service"
OTHER = """\
config = "/etc/wireguard/other.conf"

# Where nothing is yet.
services = []

# About the checks.
[verify]
every = "1h"
"""
REFINED = """\

# It needs the database.
[service."b.service"]
allow-paths = ["/run/postgresql"]  # only this
"""


@pytest.fixture
def applied(machine: Machine, run: Run) -> Machine:
    """Two tunnels, applied: the first has two services, one with a table of its own."""
    machine.write("/etc/wgconfine/other.toml", OTHER)
    machine.write("/etc/wgconfine/vpn.toml", machine.read("/etc/wgconfine/vpn.toml") + REFINED)
    machine.write(f"/usr/lib/systemd/system/{C}", "[Service]\nExecStart=/usr/bin/x\n")
    assert run("apply") == ExitCode.OK
    return machine


def test_a_service_is_added_where_a_person_would_add_it(applied: Machine, run: Run) -> None:
    """Comments and order stay, and it is confined."""
    before = applied.read("/etc/wgconfine/vpn.toml")

    assert run("confine", "vpn", "c") == ExitCode.OK

    assert before.replace('  "b.service",\n]', '  "b.service",\n  "c.service",\n]') == applied.read(
        "/etc/wgconfine/vpn.toml"
    )
    assert "wgconfine@vpn.service" in applied.read(dropin(C))


def test_a_port_is_added(applied: Machine, run: Run) -> None:
    """Alone, too; the same port in other words is there already."""
    assert run("confine", "vpn", "--publish", "8080", "--publish", "9090:80") == ExitCode.OK

    assert 'publish = [\n  "8080",\n  "9090:80",\n]' in applied.read("/etc/wgconfine/vpn.toml")
    before = applied.files()
    assert run("confine", "vpn", "--publish", "8080:8080") == ExitCode.OK
    assert before == applied.files()


def test_twice_is_once(applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there already is no change."""
    before = applied.files()

    assert run("confine", "vpn", "a", "b.service") == ExitCode.OK

    assert before == applied.files()
    assert "Nothing to do: the machine is as the settings say.\n" == capsys.readouterr().out


def test_a_service_moves_with_what_is_said_of_it(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its table and the comment in it go along; its closing file stays where it is all the time."""
    assert run("confine", "other", "b") == ExitCode.OK

    assert B not in applied.read("/etc/wgconfine/vpn.toml")
    assert '# About the checks.\n[verify]\nevery = "1h"' in applied.read(
        "/etc/wgconfine/other.toml"
    )
    moved = applied.read("/etc/wgconfine/other.toml")
    assert '\nservices = ["b.service"]\n' in moved
    assert '[service."b.service"]\nallow-paths = ["/run/postgresql"]  # only this\n' in moved
    assert applied.has(closing(B))
    said = capsys.readouterr().err
    assert "b.service moves from vpn to other, stopped in between." in said
    assert f"[#] update {dropin(B)}" in said
    assert "remove" not in said.replace("/etc/wgconfine", "")


def test_a_pattern_is_of_what_there_is(applied: Machine, run: Run) -> None:
    """All that fit, wherever they are."""
    assert run("confine", "other", "[bc]") == ExitCode.OK

    assert '"b.service"' in applied.read("/etc/wgconfine/other.toml")
    assert '"c.service"' in applied.read("/etc/wgconfine/other.toml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vpn"], "Name a service, or a port"),
        (["vpm", "c"], "There is no tunnel 'vpm'. There are: off, other, vpn."),
        (["vpn", "cc"], "There is no service 'cc.service'."),
        (["vpn", "c", "--publish", "x"], "--publish: 'x'"),
        (["vpn", "x.socket"], "'x.socket' is not a service."),
        (["off", "c"], "off is disabled."),
    ],
)
def test_wrong_words_change_nothing(
    applied: Machine,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    """Exit code 2, and what to say instead."""
    applied.write("/etc/wgconfine/off.toml", 'enable = false\nconfig = "/etc/wireguard/x.conf"\n')
    before = applied.files()

    assert run("confine", *arguments) == ExitCode.USAGE

    assert words in capsys.readouterr().err
    assert before == applied.files()


def test_a_service_that_can_not_be_confined_changes_nothing(applied: Machine, run: Run) -> None:
    """It is found before the settings are touched."""
    applied.write("/usr/lib/systemd/system/bus.service", "[Service]\nType=dbus\nBusName=x.y\n")
    before = applied.files()

    assert run("confine", "vpn", "c", "bus") == ExitCode.SETTINGS

    assert before == applied.files()


def test_a_release_takes_names_without_a_suffix_and_patterns(applied: Machine, run: Run) -> None:
    """Of what is confined, and of nothing else."""
    assert run("release", "--yes", "a") == ExitCode.OK
    assert not applied.has(dropin(A))
    assert run("release", "--yes", "?") == ExitCode.OK
    assert not applied.has(dropin(B))
    assert run("release", "--yes", "*") == ExitCode.USAGE


def settings(name: str, services: str = "[]", extra: str = "") -> Settings:
    text = f'config = "/etc/wireguard/{name}.conf"\nservices = {services}\n{extra}'
    return parse_settings(name, [(PurePosixPath(f"/etc/wgconfine/{name}.toml"), text)])


def test_an_alias_moves_as_the_unit_that_it_is() -> None:
    """The other tunnel lists it by another name."""
    one = settings("one", '["alias.service"]', 'publish = ["80"]\n[service."alias.service"]\n')
    two = settings("two")
    names = {UnitName("alias.service"): UnitName("b.service")}

    move = confined_by(two, [one, two], [UnitName("b.service")], (), names)

    first, second = move.edits()
    assert () == first.services
    assert () == first.refinements
    assert ("b.service",) == second.services
    assert ["b.service"] == [each.unit for each in second.refinements]
    assert [
        "b.service moves from one to two, stopped in between.",
        "The ports that one publishes stay there; --publish is for new ones.",
    ] == list(moves(move))


def test_a_release_is_said_in_words() -> None:
    """What runs and what does not, whence, and what the open is."""
    vpn = settings("vpn", '["a.service", "b.service"]', 'publish = ["80"]\n')
    homes = {UnitName("a.service"): vpn, UnitName("b.service"): vpn}

    words = release_words(map(UnitName, (A, B, C)), homes, {UnitName(A)})

    assert [
        "a.service: confined to vpn, and runs. It is stopped, and starts again in the open.",
        "b.service: confined to vpn, and does not run. After this it may start in the open.",
        "c.service: closed, in no tunnel, and does not run. After this it may start in the open.",
        "In the open it uses the address and the resolver of this machine, outside of any tunnel.",
        "The ports that vpn publishes go on leading into that tunnel.",
    ] == list(words)  # fmt: skip
