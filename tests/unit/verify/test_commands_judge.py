"""Drop-ins of others that would undo what confines commands of `wgconfine exec`."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import UnitName
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.model.verify import Verdict
from wgconfine.plan.commandcheck import check_command
from wgconfine.plan.unitfile import build_facts
from wgconfine.verify.commands import judge_additions, judge_users


def facts(name: str, lines: str) -> UnitFacts:
    main = PurePosixPath("/run/systemd/transient/wgconfine-exec-vpn-0.service")
    return build_facts(
        name=UnitName(main.name),
        load_state="loaded",
        texts=[
            UnitText(path=main, text="[Service]\nExecStart=/bin/true\n"),
            UnitText(path=PurePosixPath("/etc/systemd/system/service.d", name), text=lines),
        ],
    )


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("10-limits.conf", "[Service]\nTasksMax=100\nRestrictAddressFamilies=AF_UNIX\n"),
        ("zzz.conf", "[Service]\nTasksMax=100\n"),
    ],
)
def test_drop_ins_that_undo_nothing(name: str, lines: str) -> None:
    """One that is read before ours, or that sets nothing of ours."""
    assert Verdict.OK == judge_additions(facts(name, lines)).verdict


@pytest.mark.parametrize(
    "lines",
    [
        "[Service]\nNetworkNamespacePath=\n",
        "[Service]\nExecCondition=\n",
        "[Service]\nNoNewPrivileges=no\n",
        "[Service]\nSlice=system.slice\n",
        "[Unit]\nBindsTo=\n",
    ],
)
def test_later_drop_ins_are_named(lines: str) -> None:
    """The last line of all wins."""
    found = judge_additions(facts("zzz.conf", lines))

    assert (Verdict.NOT_CONFINED, "exec-drop-ins") == (found.verdict, found.name)
    assert "/etc/systemd/system/service.d/zzz.conf" in found.evidence


@pytest.mark.parametrize(
    "lines",
    [
        "[Unit]\nJoinsNamespaceOf=other.service\n",
        "[Service]\nBindPaths=/run\n",
        "[Service]\nSuccessExitStatus=USR1\n",
        "[Service]\nDelegateNamespaces=net\n",
    ],
)
def test_what_no_order_helps_against_is_named(lines: str) -> None:
    """As with a service that can't be confined."""
    assert Verdict.NOT_CONFINED == judge_additions(facts("10.conf", lines)).verdict


@pytest.mark.parametrize(
    "line",
    [
        "User=root",
        "Group=docker",
        "SupplementaryGroups=docker",
        "PrivateUsers=no",
        "WorkingDirectory=/srv",
        "RootDirectory=/srv",
        "RootImage=/srv/image.raw",
        "ExecStartPre=/bin/true",
        "ExecStart=/bin/true",
        "StandardOutput=journal",
        "TTYPath=/dev/tty1",
        "Environment=",
        "Environment=A=1 'TMUX_TMPDIR=/tmp'",
        "EnvironmentFile=/srv/environment",
    ],
)
@pytest.mark.parametrize("name", ["10-first.conf", "zzz.conf"])
def test_what_a_command_has_itself_is_set_by_nobody_else(name: str, line: str) -> None:
    """A drop-in wins over the transient unit wherever it is read: `exec` refuses, no more."""
    added = facts(name, f"[Service]\n{line}\n")
    found = judge_additions(added)

    assert 1 == len(check_command(added))
    assert (Verdict.OK, "exec-drop-ins") == (found.verdict, found.name)
    assert found.evidence.startswith("exec refuses: ")
    assert f"/etc/systemd/system/service.d/{name}:2" in found.evidence


@pytest.mark.parametrize(
    "line",
    [
        "Environment=HTTP_PROXY=http://proxy.example.net:3128 'A=b c'",
        "PassEnvironment=A",
        "Nice=5",
        "UMask=0027",
    ],
)
def test_what_is_for_all_services_is_for_commands_too(line: str) -> None:
    """It changes neither who nor what runs."""
    assert [] == check_command(facts("zzz.conf", f"[Service]\n{line}\n"))


@pytest.mark.parametrize(
    ("own", "verdicts"), [(2, [Verdict.OK]), (1, [Verdict.NOT_CONFINED]), (0, [])]
)
def test_a_users_command_has_its_own_user_namespace(own: int, verdicts: list[Verdict]) -> None:
    """In the host's it could enter what its user runs outside; one that has ended is no matter."""
    judged = judge_users(UnitName("wgconfine-exec-vpn-1_a.service"), own, 1)

    assert verdicts == [each.verdict for each in judged]
