"""The unit that tries to get out in the place of a service."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.tree import MARK
from wgconfine.model.units import UnitText
from wgconfine.plan.probed import reach_settings
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.probe import probe_files
from wgconfine.render.quote import UnsafeValueError

DROPIN = """\
# a comment = no setting
[Unit]
BindsTo=wgconfine@vpn.service
After=wgconfine@vpn.service
Wants=wgconfine-want@%N.target
AssertPathExists=/run/wgconfine/run/%N

[Service]
ExecCondition=
ExecCondition=+/guard 100%%N
ExecCondition=/bin/own
ExecReload=
ExecReload=+/guard
ExecStopPost=/bin/own
SuccessExitStatus=
SuccessExitStatus=3
PIDFile=/run/wgconfine/run/%N/x.pid
BindPaths=/run/wgconfine/run/%N:/run
Slice=wgconfine-vpn.slice
"""


def rendered(own: list[tuple[str, str]] | None = None, unit: str = "x.service") -> list[str]:
    """Give the lines of the unit and those of its drop-in, without comments."""
    files = probe_files(
        TunnelName("vpn"),
        UnitName(unit),
        dropin=DROPIN,
        own=own or [],
        python=PurePosixPath("/usr/bin/python3"),
    )
    assert all(MARK in file.text[:200] for file in files)
    return [line for file in files for line in file.text.splitlines() if line and line[0] != "#"]


def test_it_has_the_lines_that_confine() -> None:
    """Whatever stands in the drop-in, with the service's name in place of the probe's."""
    lines = rendered()

    assert "BindPaths=/run/wgconfine/run/%i:/run" in lines
    assert "Slice=wgconfine-vpn.slice" in lines
    assert "AssertPathExists=/run/wgconfine/run/%i" in lines


def test_it_has_the_guard_and_no_command_of_the_service() -> None:
    """The reset and the guard are the first two lines of ExecCondition=."""
    lines = rendered()
    commands = [line for line in lines if line.startswith("Exec")]

    assert ["ExecCondition=", "ExecCondition=+/guard 100%%N"] == commands[1:]
    assert commands[0].startswith("ExecStart=/usr/bin/python3 -I -c ")
    assert not [line for line in lines if line.startswith(("SuccessExit", "PIDFile"))]


def test_it_starts_no_tunnel_and_stops_with_it() -> None:
    """A look at a stopped tunnel must not start it."""
    lines = rendered()

    assert not [line for line in lines if line.startswith(("BindsTo", "Wants", "Requires"))]
    assert "Requisite=wgconfine@vpn.service wgconfine-netns@vpn.service" in lines


def test_the_units_own_settings_come_before_those_that_confine() -> None:
    """The last one read wins."""
    lines = rendered([("BindPaths", "-/srv:/run"), ("User", "x")])

    assert lines.index("BindPaths=-/srv:/run") < lines.index("BindPaths=/run/wgconfine/run/%i:/run")


@pytest.mark.parametrize("text", ["a\nExecStart=/x", "a\rb", "a\0b"])
def test_what_would_begin_another_line_is_refused(text: str) -> None:
    """Nothing that was read of a unit file has any of these."""
    with pytest.raises(UnsafeValueError):
        rendered([("User", text)])


TEXTS = st.text(
    st.sampled_from(["\n", "\r", "\\", "%", "=", "[", "]", "#", ";", '"', "'", " ", "a", "/"]),
    max_size=24,
)


@pytest.mark.parametrize("end", ["\\", "\\\\\\"])
def test_a_backslash_at_the_end_does_not_join_the_next_line(end: str) -> None:
    """systemd.syntax(7): it does so at the very end of a line alone."""
    lines = rendered([("User", f"a{end}"), ("Group", "b")])

    assert [f"User=a{end} ", "Group=b"] == lines[lines.index("Group=b") - 1 :][:2]


@given(TEXTS, TEXTS, st.sampled_from(["User", "ReadWritePaths", "BindPaths", "SystemCallFilter"]))
def test_no_text_of_a_unit_adds_a_line(before: str, after: str, key: str) -> None:
    """Whatever systemd reads as the value of one setting is one line of the probe's."""
    text = f"[Service]\n{before}\n{key}={after}\nUMask=0077\n"
    texts = [UnitText(path=PurePosixPath("/x.service"), text=text)]
    facts = build_facts(name=UnitName("x.service"), load_state="loaded", texts=texts)
    own = list(reach_settings(facts))

    assert len(rendered()) + len(own) == len(rendered(own))
