"""systemd, WireGuard, programs and control groups: what is made of what was seen."""

from dataclasses import replace
from pathlib import Path

import pytest

from wgconfine.doctor.base import (
    BaseFacts,
    SystemdFacts,
    cgroup_version,
    judge_base,
    systemd_facts,
)
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.doctor.wireguard import WireguardFacts, look_at_wireguard
from wgconfine.model.doctor import Finding, Grade
from wgconfine.system.inside import Answer

DEBIAN = Distribution(name="Debian", family=Family.DEBIAN)
WELL = BaseFacts(
    systemd=SystemdFacts(booted=True, version=257, state="running"),
    wireguard=WireguardFacts(kernel=True, module=True),
    distribution=DEBIAN,
)
USERSPACE = WireguardFacts(kernel=False, userspace=True, tun=True, release="6.1.0")


def judged(facts: BaseFacts, name: str) -> Finding:
    (found,) = [each for each in judge_base(facts) if each.name == name]
    return found


def test_a_machine_that_has_all() -> None:
    """Nothing but what is fine."""
    assert {Grade.OK} == {each.grade for each in judge_base(WELL)}


@pytest.mark.parametrize(
    ("facts", "grade", "words"),
    [
        (SystemdFacts(booted=True, version=252, state="degraded"), Grade.OK, "no hindrance"),
        (SystemdFacts(booted=True, version=251), Grade.BROKEN, "252 is the oldest"),
        (SystemdFacts(booted=True), Grade.UNKNOWN, "does not say its version"),
        (SystemdFacts(booted=False, init="runit"), Grade.BROKEN, "but by runit"),
        (SystemdFacts(booted=False), Grade.BROKEN, "as in a chroot"),
        (SystemdFacts(booted=False, init="systemd"), Grade.BROKEN, "as in a chroot"),
    ],
)
def test_systemd(facts: SystemdFacts, grade: Grade, words: str) -> None:
    """It must be there, and new enough; that some unit has failed is no matter."""
    found = judged(replace(WELL, systemd=facts), "systemd")
    assert grade == found.grade
    assert words in found.words


def test_what_systemd_says(tmp_path: Path) -> None:
    """Its version has a distribution's own behind the number."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("systemd\n")
    said = "Version=257.13-1~deb13u1\nSystemState=degraded\n"
    answer = Answer(status=0, output=said, complaint="")
    expected = SystemdFacts(booted=True, init="systemd", version=257, state="degraded")
    assert expected == systemd_facts(tmp_path, answer)


def test_nothing_is_there(tmp_path: Path) -> None:
    """An empty root directory, and no program that answers."""
    assert SystemdFacts(booted=False) == systemd_facts(tmp_path, None)
    assert 0 == cgroup_version(tmp_path)
    found = look_at_wireguard(tmp_path, "6.1.0", ())
    assert (False, False, False) == (found.module, found.modules, found.tun)


@pytest.mark.parametrize(
    ("facts", "container", "name", "grade", "words", "mend"),
    [
        (USERSPACE, "", "backend", Grade.NOTE, "no modules of the running kernel 6.1.0", "reboot"),
        (
            replace(USERSPACE, module=True),
            "",
            "backend",
            Grade.NOTE,
            "there and makes no link",
            "modprobe wireguard",
        ),
        (USERSPACE, "lxc", "backend", Grade.NOTE, "its module is the host's to load", ""),
        (
            replace(USERSPACE, userspace=False),
            "",
            "backend",
            Grade.BROKEN,
            "wireguard-go is not installed",
            "apt install wireguard-go",
        ),
        (replace(USERSPACE, tun=False), "", "tun", Grade.BROKEN, "/dev/net/tun", "modprobe tun"),
        (replace(USERSPACE, tun=False), "lxc", "tun", Grade.BROKEN, "/dev/net/tun", ""),
        (WireguardFacts(kernel=None, module=True), "", "backend", Grade.UNKNOWN, "is there", ""),
        (WireguardFacts(kernel=None), "", "backend", Grade.UNKNOWN, "no module", ""),
        (
            WireguardFacts(kernel=True, declared=("vpn",)),
            "",
            "backend",
            None,
            "vpn has backend",
            "",
        ),
    ],
)
def test_which_wireguard(
    *,
    facts: WireguardFacts,
    container: str,
    name: str,
    grade: Grade | None,
    words: str,
    mend: str,
) -> None:
    """The kernel's before wireguard-go, as the runtime decides; and why there is none."""
    seen = replace(facts, modules=facts.module)
    found = [
        each
        for each in judge_base(replace(WELL, wireguard=seen, container=container))
        if each.name == name
    ]
    assert words in found[0].words
    if grade is not None:
        assert (grade, mend) == (found[0].grade, found[0].mend)
    else:  # the one that asks for wireguard-go has none
        assert [Grade.BROKEN, Grade.OK] == [each.grade for each in found]


@pytest.mark.parametrize(
    ("container", "line"),
    [
        ("lxc", "lxc.cgroup2.devices.allow = c 10:200 rwm"),
        ("systemd-nspawn", "Bind=/dev/net/tun"),
        ("docker", "docker run --device /dev/net/tun …"),
    ],
)
def test_a_container_without_the_device(container: str, line: str) -> None:
    """The lines for its configuration are given."""
    facts = replace(WELL, wireguard=replace(USERSPACE, tun=False), container=container)
    assert line in judged(facts, "tun").lines


@pytest.mark.parametrize(("init", "mend"), [("", ""), ("systemd", ""), ("runit", "modprobe tun")])
def test_no_module_is_loaded_in_a_chroot(init: str, mend: str) -> None:
    """The command is for the machine around it, which has another init where one can be seen."""
    wireguard = replace(USERSPACE, tun=False)
    facts = replace(WELL, systemd=SystemdFacts(booted=False, init=init), wireguard=wireguard)
    assert mend == judged(facts, "tun").mend
    module = replace(facts, wireguard=replace(USERSPACE, module=True))
    assert (mend == "") == (judged(module, "backend").mend == "")


def test_programs_that_are_missing() -> None:
    """All are named, with one command."""
    found = judged(replace(WELL, missing=("ip", "wg")), "tools")
    assert (Grade.BROKEN, "apt install iproute2 wireguard-tools") == (found.grade, found.mend)
    assert found.words.startswith("ip, wg are not in")
    assert judged(replace(WELL, missing=("nft",)), "tools").words.startswith("nft is not in")


@pytest.mark.parametrize(
    ("files", "version"),
    [
        (("cgroup.controllers", "system.slice/cgroup.procs"), 2),
        (("memory/cgroup.procs", "systemd/cgroup.procs"), 1),
        (("unified/cgroup.procs", "unified/cgroup.controllers"), 1),
        ((), 0),
    ],
)
def test_the_version_of_control_groups(
    tmp_path: Path, files: tuple[str, ...], version: int
) -> None:
    """Version 2 has its list of controllers at the top; with both the first one counts."""
    for each in files:
        path = tmp_path / "sys/fs/cgroup" / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert version == cgroup_version(tmp_path)


def test_control_groups_of_version_1() -> None:
    """Tunnels work; what is missing is said, and what brings it."""
    fedora = Distribution(family=Family.FEDORA)
    found = judged(replace(WELL, cgroups=1, distribution=fedora), "cgroups")
    assert Grade.NOTE == found.grade
    assert "the second switch" in found.words
    assert found.mend.startswith("grubby --update-kernel=ALL")
    assert "systemd.unified_cgroup_hierarchy=1" in found.lines[0]
    assert () == judged(replace(WELL, cgroups=1, container="lxc"), "cgroups").lines
    assert Grade.UNKNOWN == judged(replace(WELL, cgroups=0), "cgroups").grade
