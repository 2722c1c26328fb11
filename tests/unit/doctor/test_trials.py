"""What was tried in namespaces that are thrown away, and what is made of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.doctor.tree import write
from wgconfine.doctor import access, base, clock, firewall, firewalld, others, trials, vpn
from wgconfine.doctor.run import questions
from wgconfine.doctor.trials import (
    ENDED,
    Trials,
    container_of,
    judge_trials,
    trials_of,
    unit_trial,
    why,
)
from wgconfine.model.doctor import Grade, exit_code
from wgconfine.model.errors import ExitCode
from wgconfine.system.inside import LATE, MISSING, Answer

WELL = Trials(namespace="", name="", rules="", unit="", join="", switch="")


def answer(status: int, output: str = "", complaint: str = "") -> Answer:
    return Answer(status=status, output=output, complaint=complaint)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(1, "none\n"), ""),
        (answer(0, "lxc\n"), "lxc"),
        (answer(MISSING), "?"),
        (None, "?"),
    ],
)
def test_which_container(said: Answer | None, kind: str, tmp_path: Path) -> None:
    """As systemd-detect-virt(1) calls it."""
    assert kind == container_of(said, tmp_path)


@pytest.mark.parametrize(
    ("path", "kind"), [(".dockerenv", "docker"), ("run/.containerenv", "podman")]
)
def test_a_container_without_systemd(path: str, kind: str, tmp_path: Path) -> None:
    """Its manager's file says which; systemd's word goes before it."""
    write(tmp_path, path, "")
    assert kind == container_of(answer(MISSING), tmp_path)
    assert "lxc" == container_of(answer(0, "lxc\n"), tmp_path)


def test_why_something_failed() -> None:
    """Its first line; a program that is not installed is another matter."""
    assert ["", None, None, "no", "exit status 3"] == [
        why(each)
        for each in (answer(0), None, answer(MISSING), answer(1, "", "no\nway"), answer(3))
    ]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (answer(0, "7 4\n\n"), ("", "")),
        (answer(0, "7 4\nno rules on control groups\n"), ("no rules on control groups", "")),
        (answer(0, "7 4\n?\n"), (None, "")),
        (answer(0, "7\n4\n"), ("", "")),
        (answer(226), (None, "systemd could not set it up (226/NAMESPACE)")),
        (answer(225), (None, "systemd could not set it up (225/NETWORK)")),
        (answer(1, "", "Failed to start"), (None, "Failed to start")),
        (answer(MISSING), (None, None)),
        (answer(-9, "", LATE), (None, None)),
        (answer(1), (None, None)),
        (answer(1, "", "Failed to connect to bus: Connection refused"), (None, None)),
        (None, (None, None)),
    ],
)
def test_a_unit_that_tries(said: Answer | None, found: tuple[str | None, str | None]) -> None:
    """Give what is wrong with the second switch, and with namespaces of units."""
    assert found == unit_trial(said)


@pytest.mark.parametrize("said", ["4 4\n\n", "4\n4\n", ""])
def test_a_unit_that_runs_in_the_hosts_namespace(said: str) -> None:
    """systemd calls that success: it is the worst that can happen; silence proves nothing."""
    switch, unit = unit_trial(answer(0, said))
    assert switch is None
    assert unit is not None
    assert "of the host, and calls that success" in unit


def test_all_went_well() -> None:
    """One line, with the container that this is."""
    (found,) = judge_trials(replace(WELL, container="lxc", release="6.8.12-4-pve"))
    assert Grade.OK == found.grade
    assert found.words.startswith("a container of Proxmox VE: namespaces")
    (found,) = judge_trials(WELL)
    assert found.words.startswith("namespaces")


@pytest.mark.parametrize(
    ("container", "release", "line"),
    [
        ("lxc", "6.8.12-4-pve", "on the host: pct set CTID --features nesting=1"),
        ("lxc", "6.12.0", "lxc.apparmor.allow_nesting = 1"),
        ("systemd-nspawn", "6.12.0", "Capability=CAP_NET_ADMIN"),
        ("podman", "6.12.0", "podman run --privileged"),
    ],
)
def test_a_container_that_may_not(container: str, release: str, line: str) -> None:
    """What does not work, the kernel's words, and the lines for its configuration."""
    said = "unshare failed: Operation not permitted"
    tried = Trials(container=container, release=release, namespace=said, name=said, rules=said)
    found = [*judge_trials(replace(tried, unit="x", join="y"))]
    broken = [each for each in found if each.grade is Grade.BROKEN]
    assert ["namespace", "name", "rules", "unit", "join"] == [each.name for each in broken]
    assert all(any(line in each for each in finding.lines) for finding in broken)
    assert said in broken[0].words


def test_the_second_switch_alone() -> None:
    """It is a note: tunnels work without."""
    found = {each.name: each for each in judge_trials(replace(WELL, switch="it is never met"))}
    assert Grade.NOTE == found["switch"].grade
    assert Grade.OK == found["trials"].grade


def test_what_was_not_tried() -> None:
    """Without root, or without a program; where no systemd runs there are no units to try."""
    (found,) = judge_trials(Trials(root=False))
    assert (Grade.UNKNOWN, True) == (found.grade, "as root alone" in found.words)
    (found,) = judge_trials(Trials())
    assert "could not be tried" in found.words
    (found,) = judge_trials(replace(WELL, unit=None, join=None), booted=False)
    assert (Grade.OK, False) == (found.grade, "units" in found.words)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (answer(-9, "", LATE), LATE),
        (answer(1), ENDED),
        (answer(1, "", "Failed to connect to bus: No such file"), "Failed to connect to bus: No"),
    ],
)
def test_a_unit_that_gives_no_answer(said: Answer, reason: str, tmp_path: Path) -> None:
    """Nothing is known then: exit code 6, with why, and no verdict."""
    well = {each: answer(0) for each in ("namespace", "name", "rules")}
    tried = trials_of({**well, "unit": said, "join": answer(0, "7 4")}, "6.12.0", tmp_path)
    (found,) = [each for each in judge_trials(tried) if each.name != "trials"]
    assert ("unit", Grade.UNKNOWN) == (found.name, found.grade)
    assert f"was not found out: {reason}" in found.words
    assert ExitCode.UNCHECKED == exit_code(judge_trials(tried))
    assert [found] == [*judge_trials(tried)]


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("booted", [True, False])
def test_what_is_asked(*, root: bool, booted: bool) -> None:
    """Who is not root runs nothing that changes anything; without systemd it is not asked."""
    commands = [*questions(root=root, booted=booted, firewalld=True).values()]
    assert root == any("unshare" in each for each in commands)
    assert booted == any("systemctl" in each for each in commands)
    assert (root and booted) == any("systemd-run" in each for each in commands)
    assert "zones" not in questions(root=root, booted=booted, firewalld=False)


def test_no_question_takes_the_place_of_another() -> None:
    """All names are in one table."""
    asked = questions(root=True, booted=True, firewalld=True)
    modules = (access, base, clock, firewall, firewalld, others, trials, vpn)
    parts = [each.QUESTIONS for each in modules]
    parts += [each.ROOT_QUESTIONS for each in (firewall, others, vpn)]
    parts += [trials.TRIALS, trials.UNIT]
    assert [] == [name for part in parts for name in part if asked[name] != part[name]]
