"""What of a unit's own settings its probe takes over."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import UnitName
from wgconfine.model.units import UnitText
from wgconfine.plan.probed import reach_settings
from wgconfine.plan.unitfile import build_facts


def taken(text: str, name: str = "a-b@x-y.service") -> list[str]:
    path = PurePosixPath("/usr/lib/systemd/system/a-b@.service")
    texts = [UnitText(path=path, text=f"[Service]\n{text}")]
    facts = build_facts(name=UnitName(name), load_state="loaded", texts=texts)
    return [f"{key}={value}" for key, value in reach_settings(facts)]


def test_identity_and_sandbox_in_their_order_with_resets() -> None:
    """As systemd reads them: what a reset takes away is taken away there, too."""
    text = "CapabilityBoundingSet=CAP_KILL\nUser=x\nCapabilityBoundingSet=\nProtectHome=yes\n"

    assert text.split() == taken(text)


@pytest.mark.parametrize(
    "line",
    [
        *("ExecStart=/x", "ExecStopPost=/x", "Type=notify", "Restart=always", "Environment=A=b"),
        *("RuntimeDirectory=x", "StateDirectory=x", "LoadCredential=a:/b", "LimitNOFILE=1"),
        *("Sockets=x.socket", "TimeoutStartSec=1", "NoExecPaths=/", "StandardInput=socket"),
        *("PAMName=login", "WorkingDirectory=/srv", "SuccessExitStatus=1", "Slice=x.slice"),
    ],
)
def test_what_does_not_decide_what_is_reached_is_left(line: str) -> None:
    """Its commands and directories least of all: a stop of the probe would delete those."""
    assert [] == taken(line)


def test_other_sections_are_left() -> None:
    """`User=` elsewhere is nothing of systemd's."""
    assert [] == taken("[Unit]\nUser=x\n")


@pytest.mark.parametrize(
    ("specifier", "meant"),
    [
        *(("n", "%i.service"), ("N", "%i"), ("p", "a-b"), ("P", "a/b"), ("i", "x-y")),
        *(("I", "x/y"), ("j", "b"), ("J", "b"), ("f", "/x/y"), ("%", "%%"), ("t", "%t")),
        *(("d", "/run/credentials/a-b@x-y.service"), ("Y", "/usr/lib/systemd/system")),
        ("y", "/usr/lib/systemd/system/a-b@.service"),
    ],
)
def test_specifiers_are_those_of_the_service(specifier: str, meant: str) -> None:
    """The probe's own name stands in none of them."""
    assert [f"User={meant}"] == taken(f"User=%{specifier}")


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("/a -/b", "-/a -/b"),
        ("+/a", "-+/a"),
        ('"/a b" /c', '-"/a b" -/c'),
        ("/a\\ b /c", "-/a\\ b -/c"),
        ('/a" b"', '-/a" b"'),
        ("", ""),
    ],
)
def test_paths_need_not_be_there(written: str, becomes: str) -> None:
    """A RuntimeDirectory= is not while the service is stopped."""
    assert [f"ReadWritePaths={becomes}"] == taken(f"ReadWritePaths={written}")


def test_a_reset_of_a_capability_list_stays_a_reset() -> None:
    """It is no path."""
    assert ["AmbientCapabilities="] == taken("AmbientCapabilities=")


@pytest.mark.parametrize(
    ("name", "text", "user"),
    [
        ("x.service", "DynamicUser=yes", ["User=x"]),
        ("x@a.service", "DynamicUser=1", ["User=x"]),
        ("x.service", "DynamicUser=yes\nUser=y", []),
        ("x.service", "DynamicUser=no", []),
        ("a.b.service", "DynamicUser=yes", []),
        (f"{'x' * 32}.service", "DynamicUser=yes", []),
    ],
)
def test_a_dynamic_user_is_shared_by_its_name(name: str, text: str, user: list[str]) -> None:
    """Where the unit's name can be a user's; else systemd makes a hash of it."""
    assert [*text.splitlines(), *user] == taken(text, name)
