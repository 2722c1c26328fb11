"""Other tools that put things into tunnels."""

from dataclasses import replace
from pathlib import Path

from tests.unit.doctor.tree import write
from wgconfine.doctor.asked import json_of
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.doctor.others import (
    OtherFacts,
    OtherUnit,
    enabled_units,
    foreign_namespaces,
    judge_others,
    parse_units,
    tools_seen,
    with_enabled,
)
from wgconfine.model.doctor import Grade
from wgconfine.system.inside import Answer

DEBIAN = Distribution(family=Family.DEBIAN)


SHOWN = """\
Id=wg-quick@home.service
ActiveState=active
LoadState=loaded

Id=wg-quick@old.service
ActiveState=inactive
LoadState=not-found

Id=netns@x.service
ActiveState=inactive
LoadState=loaded

Id=other.service
ActiveState=active
LoadState=loaded
"""


def test_units_of_other_tools(tmp_path: Path) -> None:
    """Those that are loaded, and those that come up with the next boot."""
    links = tmp_path / "etc/systemd/system/multi-user.target.wants"
    links.mkdir(parents=True)
    for name in ("wg-quick@boot.service", "wg-quick@home.service", "nginx.service"):
        (links / name).symlink_to("/nowhere")
    loaded = {each.name: each for each in parse_units(SHOWN)}
    expected = [
        OtherUnit(name="netns@x.service", tool="the NixOS recipe or systemd-named-netns"),
        OtherUnit(name="wg-quick@boot.service", tool="wg-quick", enabled=True),
        OtherUnit(name="wg-quick@home.service", tool="wg-quick", active=True, enabled=True),
    ]
    assert expected == with_enabled(loaded, enabled_units(tmp_path))
    assert [] == [*parse_units("")]


def test_tools_by_what_they_leave(tmp_path: Path) -> None:
    """Processes, as much of their names as the kernel keeps, and links of the host."""
    for number, name in ((7, "gluetun-entrypo"), (8, "sshd")):
        write(tmp_path, f"proc/{number}/comm", f"{name}\n")
    (tmp_path / "proc/9").mkdir()
    (tmp_path / "proc/self").mkdir()
    links = ("vo_mv_d", "veth-wg-br", "veth-x")
    assert ["VPN-Confinement", "gluetun", "vopono"] == [*tools_seen(tmp_path, links)]
    assert [] == [*tools_seen(tmp_path / "nowhere", ())]


def test_namespaces_of_others(tmp_path: Path) -> None:
    """What has a name and no record of ours beside it."""
    for path in ("netns/vpn", "netns/theirs", "wgconfine/netns/vpn"):
        write(tmp_path, f"run/{path}", "")
    assert ["theirs"] == [*foreign_namespaces(tmp_path)]
    assert [] == [*foreign_namespaces(tmp_path / "nowhere")]


def test_a_key_that_is_used_twice() -> None:
    """A unit of wg-quick with it, and a link of anybody's: told once."""
    unit = OtherUnit(name="wg-quick@it's.service", tool="wg-quick", active=True, twin="vpn")
    facts = OtherFacts(units=(unit,), links={"wg9": "vpn", "wg8": "other"})
    one, two = judge_others(facts)
    assert {Grade.BROKEN} == {one.grade, two.grade}
    assert """systemctl disable --now 'wg-quick@it'"'"'s.service'""" == one.mend
    assert "and is up" in one.words
    assert "the link wg8 of this machine has the key of other" in two.words
    (boot,) = judge_others(OtherFacts(units=(replace(unit, active=False, enabled=True),)))
    assert "comes up with the next boot" in boot.words
    assert [] == [*judge_others(OtherFacts(units=(replace(unit, active=False),)))]


def test_other_tools_beside() -> None:
    """They are notes; none is said, too."""
    unit = OtherUnit(name="wg-quick@home.service", tool="wg-quick", active=True)
    facts = OtherFacts(units=(unit,), tools=("gluetun",), namespaces=("theirs",))
    assert ["beside", "beside", "namespaces"] == [each.name for each in judge_others(facts)]
    assert [Grade.OK] == [each.grade for each in judge_others(OtherFacts())]


def test_what_is_no_json() -> None:
    """A program's error message is no answer."""
    said = ("", "Error", "{}", '[1, {"a": 2}]')
    found = [json_of(Answer(status=0, output=each, complaint="")) for each in said]
    assert [[], [], [], [{"a": 2}]] == found
    assert [] == json_of(None)
