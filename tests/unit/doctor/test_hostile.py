"""Names that others chose, on their way to a terminal and to a shell."""

import json
import shlex
from pathlib import Path, PurePosixPath

import pytest

from tests.unit.doctor.tree import write
from wgconfine.doctor.base import SystemdFacts, judge_systemd
from wgconfine.doctor.distribution import parse_os_release
from wgconfine.doctor.others import (
    OtherFacts,
    enabled_units,
    judge_others,
    with_enabled,
    with_twin,
)
from wgconfine.doctor.run import facts_of, judge_machine
from wgconfine.model.settings import TunnelName
from wgconfine.report.doctor import as_json, as_text

NAMES = (
    "wg-quick@a;touch pwned;.service",
    "wg-quick@`touch pwned`$(touch pwned).service",
    'wg-quick@it\'s "x" & y.service',
    "wg-quick@\x1b]0;title\x07\x1b[2J.service",
    "wg-quick@a\nfine: all is well.service",
    "wg-quick@\udcff\u202egnol.service",
    "wg-quick@-\\x2d.service",
)
OS_RELEASE = """\
PRETTY_NAME="\x1b[2JDebian `touch pwned` $(touch pwned)\x07\u202e"
NAME=\x1b[31m
ID="debian;touch pwned"
ID_LIKE="`touch pwned` \x1b[2J"
"""


def is_plain(text: str) -> bool:
    """Tell whether each line is of characters that can be seen."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("name", NAMES)
def test_an_enabled_unit_with_a_hostile_name(name: str, tmp_path: Path) -> None:
    """It is one line that shows what it is, and one word of the command for a shell."""
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / name).symlink_to("/nowhere")
    conf = name.removeprefix("wg-quick@").removesuffix(".service")
    confs = {TunnelName("vpn"): PurePosixPath(f"/etc/wireguard/{conf}.conf")}
    units = [with_twin(each, confs, {}) for each in with_enabled({}, enabled_units(tmp_path))]
    (same,) = judge_others(OtherFacts(units=tuple(units)))
    assert ["systemctl", "disable", "--now", name] == shlex.split(same.mend)
    text = as_text([same])
    assert is_plain(text)
    assert 3 == len(text.splitlines())
    assert is_plain(as_text([same], width=60))
    assert is_plain(as_json([same]))
    assert same.mend == json.loads(as_json([same]))["findings"][0]["mend"]
    command = text.splitlines()[2].strip().removeprefix("> ")
    assert 4 == len(shlex.split(command))


def test_an_os_release_that_lies() -> None:
    """Its name is shown without effect, and no command has anything of it."""
    found = parse_os_release(OS_RELEASE)
    assert "" == found.install("nft")
    old = judge_systemd(SystemdFacts(booted=True, version=249), found)
    text = as_text([old])
    assert "\\x1b[2JDebian `touch pwned`" in text
    assert is_plain(text)
    assert 2 == len(text.splitlines())


def test_a_machine_with_that_os_release(tmp_path: Path) -> None:
    """Nothing that is said of it has control characters, and no command a word of it."""
    write(tmp_path, "etc/os-release", OS_RELEASE)
    write(tmp_path, "proc/1/comm", "\x1b[2J`init`\n")
    findings = [*judge_machine(facts_of([], {}, tmp_path), [])]
    assert is_plain(as_text(findings, width=80))
    assert "`init`" in as_text(findings)
    assert not any("pwned" in each.mend for each in findings)
