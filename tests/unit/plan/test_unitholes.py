"""What a unit needs of the host: the line that opens it, and what is wrong with such a line."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import Refinement, UnitName
from wgconfine.model.units import BusUser, UnitFacts, UnitText
from wgconfine.plan.unitcheck import check_unit
from wgconfine.plan.unitfile import build_facts
from wgconfine.plan.unitholes import bus_user
from wgconfine.render.service import dropin_settings

TABLE = '[service."x.service"]'


def facts(lines: str, name: str = "x.service") -> UnitFacts:
    path = PurePosixPath(f"/etc/systemd/system/{name}")
    text = UnitText(path=path, text=f"[Service]\nExecStart=/usr/bin/x\n{lines}\n")
    return build_facts(name=UnitName(name), load_state="loaded", texts=[text])


def problems(lines: str, *, paths: tuple[str, ...] = (), bus: tuple[str, ...] = ()) -> list[str]:
    said = Refinement(
        unit=UnitName("x.service"), allow_paths=tuple(map(PurePosixPath, paths)), allow_bus=bus
    )
    return [
        f"{each.what}. {each.hint}" for each in check_unit(facts(lines), dropin_settings(), said)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "ReadWritePaths=/run/db",
        "ReadOnlyPaths=/run/db/socket",
        "WorkingDirectory=/run/db",
        "ExecReload=/run/db/bin/reload",
        "BindPaths=/run/db",
        "BindReadOnlyPaths=/run/db/socket",
        "StandardInput=file:/run/db/fifo",
    ],
)
def test_a_unit_is_let_through_with_the_line_that_its_refusal_names(line: str) -> None:
    """Whichever of its settings needs the path."""
    (problem,) = problems(line)
    path = problem.partition('allow-paths = ["')[2].partition('"]')[0]

    assert f'Write allow-paths = ["{path}"] under {TABLE}, or ' in problem
    assert [] == problems(line, paths=(path,))
    assert [] == problems(line, paths=("/run/db",))
    assert 1 == len(problems(line, paths=("/run/dbus-x",)))


@pytest.mark.parametrize(
    "line", ["ReadWritePaths=/run/docker.sock", "BindPaths=/run/dbus", 'BindPaths="/run/a b"']
)
def test_a_path_that_stays_shut_has_no_such_line(line: str) -> None:
    """The way out that is left is named."""
    assert all("allow-paths" not in each for each in problems(line))
    assert problems(line)


def test_a_bind_to_another_place_is_no_matter_of_that_line() -> None:
    """What is opened is seen where the host has it."""
    (problem,) = problems("BindPaths=/run/db:/srv/db", paths=("/run/db",))

    assert "Take it away by an empty BindPaths=" in problem


def test_a_name_with_a_backslash_stands_in_single_quotes() -> None:
    """As TOML wants it."""
    unit = facts("ReadWritePaths=/run/db", r"x@a\x2db.service")
    (problem,) = check_unit(unit, dropin_settings())

    assert r"""under [service.'x@a\x2db.service'], or""" in problem.hint


def test_its_own_name_on_the_bus_is_opened_by_a_line() -> None:
    """Which the refusal names; Type=dbus then works."""
    lines = "Type=dbus\nBusName=org.example.X\nUser=x"
    (problem,) = problems(lines)

    assert f'Write allow-bus = ["org.example.X"] under {TABLE}, or set Type=exec' in problem
    assert [problem] == problems(lines, bus=("org.example.Other",))
    assert [] == problems(lines, bus=("org.example.X", "org.example.Other"))


def test_a_name_that_stays_shut_has_no_such_line() -> None:
    """A resolver's, say."""
    (problem,) = problems("BusName=org.freedesktop.resolve1\nUser=x")

    assert "allow-bus" not in problem


@pytest.mark.parametrize("lines", ["", "User=root", "User=0", "User=", "DynamicUser=no"])
def test_root_is_given_no_bus(lines: str) -> None:
    """It could trace the proxy, which has the same user."""
    (problem,) = problems(lines, bus=("org.example.X",))

    assert "runs as root" in problem


@pytest.mark.parametrize("lines", ["User=%I", "User=x y", "User=x\nGroup=%h", "User=ü"])
def test_a_user_must_be_known_for_the_bus(lines: str) -> None:
    """The proxy's unit names it."""
    (problem,) = problems(lines, bus=("org.example.X",))

    assert "no plain name" in problem


def test_who_a_unit_is_to_the_bus() -> None:
    """Its user, its groups and its name, with the specifiers of its own name put in."""
    lines = "User=%p-u\nGroup=g\nSupplementaryGroups=a b\nSupplementaryGroups=c\nBusName=org.%i.X"

    assert BusUser(user="x-u", group="g", groups=("a", "b", "c"), name="org.home.X") == bus_user(
        facts(lines, "x@home.service")
    )
    assert BusUser(user="x", dynamic=True) == bus_user(facts("DynamicUser=yes", "x@home.service"))


def test_a_unit_that_is_cut_off_from_mounts_is_given_none() -> None:
    """They are made while it runs."""
    (problem,) = problems("MountFlags=private", paths=("/run/db",))

    assert "cuts it off" in problem
    assert [] == problems("MountFlags=private")


def test_a_path_in_another_is_left_out() -> None:
    """It would be mounted in the host's own directory."""
    (problem,) = problems("", paths=("/run/db", "/run/db/socket"))

    assert "'/run/db/socket', which is in '/run/db' already" in problem


def test_a_path_in_its_own_directory_is_left_out() -> None:
    """systemd brings that in."""
    (problem,) = problems("RuntimeDirectory=x:y", paths=("/run/x/socket",))

    assert "RuntimeDirectory='x:y' already" in problem
