"""What confines a command of `wgconfine exec`: the lines of a service, and who they are for."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.model.settings import ConfFile, Ready, Settings, TunnelName, UnitName
from wgconfine.plan.hardening import COMMAND_RIGHTS
from wgconfine.render.command import COMMAND_REFUSAL, command_dropin, command_settings
from wgconfine.render.places import COMMAND_DROPIN, DROPIN, command_dropin_path, command_prefix
from wgconfine.render.service import dropin_file, dropin_settings

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True).map(TunnelName)


def settings(ready: Ready = Ready.LINK) -> Settings:
    return Settings(
        name=TunnelName("my-lab"),
        path=PurePosixPath("/etc/wgconfine/my-lab.toml"),
        digest="",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/my-lab.conf")),
        ready=ready,
    )


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def prefixes(unit: str) -> set[str]:
    """Give the names of all directories whose drop-ins systemd reads: dropin.c, by dashes."""
    stem = unit.removesuffix(".service")
    cut = {stem[: place + 1] for place, letter in enumerate(stem) if letter == "-"}
    return {f"{each}.service.d" for each in {*cut, stem}}


@pytest.mark.parametrize("ready", Ready)
def test_it_has_every_line_of_a_service(ready: Ready) -> None:
    """But for the want@ target, by which services come back."""
    unit = UnitName("x.service")
    service = dropin_file(settings(ready), unit, digest="", own={}, rights=COMMAND_RIGHTS)
    command = command_dropin(settings(ready), COMMAND_RIGHTS, 0)

    missing = set(lines(service.text)) - set(lines(command.text))
    assert {
        "Wants=wgconfine-want@%N.target",
        "PropagatesStopTo=wgconfine-want@%N.target",
    } == missing


def test_the_guard_is_first_and_runs_once_next() -> None:
    """Before the program, and before what keeps its exit code."""
    found = lines(command_dropin(settings(), COMMAND_RIGHTS, 0).text)
    conditions = [line for line in found if line.startswith("ExecCondition=")]
    last = [line for line in found if line.startswith("ExecStopPost=")]

    assert "ExecCondition=" == conditions[0]
    assert "/proc/1/root/run/wgconfine/netns/my-lab" in conditions[1]
    assert "%N.begun" in conditions[2]
    assert ["ExecStopPost=", conditions[1].replace("ExecCondition", "ExecStopPost")] == last[:2]
    assert "%N.ended" in last[2]


@given(NAMES, NAMES)
def test_commands_of_one_tunnel_are_no_others(one: TunnelName, other: TunnelName) -> None:
    """Whatever the names have in common: systemd reads the drop-in of the own tunnel alone."""
    unit = f"{command_prefix(one)}4711_0a1b2c.service"

    assert (one == other) == (command_dropin_path(other).parent.name in prefixes(unit))


def test_files_of_others_that_are_read_later_are_known() -> None:
    """What is refused as later than a service's drop-in is later than this one, or it is this."""
    assert COMMAND_DROPIN > DROPIN
    assert not COMMAND_DROPIN.startswith(DROPIN)


def test_no_later_file_may_set_what_it_sets() -> None:
    """All that of a service, and what commands have besides."""
    ours, services = command_settings()["Service"], dropin_settings()["Service"]

    assert {"NoNewPrivileges", "SendSIGHUP", "IgnoreSIGPIPE", "Restart", "TimeoutStopSec"} <= ours
    assert services <= ours


def test_the_refusal_dies_by_the_guards_signal() -> None:
    """An exit status could be a success."""
    assert COMMAND_REFUSAL.startswith("+/bin/sh -p ")
    assert "kill -USR1 $$$$" in COMMAND_REFUSAL
