"""What a command line runs in the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.plan.commandline import commands_of, split_words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a  b\tc", ("a", "b", "c")),
        ('"a b" \'c "d\'', ("a b", 'c "d')),
        ('a"b c"d', ("ab cd",)),
        ("''", ("",)),
        (r"a\x20b\sc \"", ("a b c", '"')),
        (r"\; \d", (r"\;", r"\d")),
        ('"open end', ("open end",)),
    ],
)
def test_words(value: str, expected: tuple[str, ...]) -> None:
    """Words are split as systemd.syntax(7) says."""
    assert expected == split_words(value)


@pytest.mark.parametrize(
    "value",
    [
        "/usr/bin/docker run x",
        "-@+/usr/bin/docker docker run x",
        '"!!docker" run',
        "/usr/bin/env -u A B=c docker run",
        '/bin/sh -c "docker run"',
        '/bin/sh -ec "cd /x && exec docker run"',
        "/bin/sh -c 'A=$(docker ps)'",
        "/bin/sh -c 'if true; then docker ps; fi'",
        "/bin/true ; /usr/bin/docker ps",
        "/usr/bin/timeout -s KILL 5 nice -n 5 docker ps",
        "/usr/bin/sudo -u x -- docker ps",
        "/usr/bin/busybox sh -c 'docker ps'",
        "|docker ps && true",
    ],
)
def test_found(value: str) -> None:
    """A program is seen behind prefixes, quotes, wrappers, shells and further commands."""
    assert "docker" in {command[0] for command in commands_of(value)}


@pytest.mark.parametrize(
    "value",
    ["/bin/echo docker", "/usr/bin/sudo -u docker /bin/x", "/bin/sh -c 'echo docker'", "@a docker"],
)
def test_not_found(value: str) -> None:
    """A word that is an argument is no program."""
    assert "docker" not in {command[0] for command in commands_of(value)}


@given(st.text())
def test_any_value(value: str) -> None:
    """No value makes it raise."""
    list(commands_of(value))
