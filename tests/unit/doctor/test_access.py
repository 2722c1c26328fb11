"""SELinux and AppArmor, and what they have denied."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.doctor.tree import write
from wgconfine.doctor.access import AccessFacts, judge_access, look_at_access
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.model.doctor import Grade
from wgconfine.system.inside import MISSING, Answer

DEBIAN = Distribution(family=Family.DEBIAN)


DENIALS = """\
AVC avc:  denied  { mounton } for pid=7 comm="(python3)" path="/run/netns/vpn"
audit: apparmor="DENIED" operation="open" name="/etc/passwd" comm="cupsd"
audit: apparmor="DENIED" operation="open" name="/etc/wgconfine/vpn.json" comm="python3"
audit: apparmor="DENIED" operation="open" name="/etc/wgconfine/vpn.json" comm="python3"
"""


def accessed(root: Path, answer: Answer | None) -> AccessFacts:
    return look_at_access(root, {"denials": answer} if answer else {})


def test_denials_of_this_boot(tmp_path: Path) -> None:
    """Those that are about something of ours, each once."""
    write(tmp_path, "sys/fs/selinux/enforce", "1")
    write(tmp_path, "sys/module/apparmor/parameters/enabled", "Y\n")
    found = accessed(tmp_path, Answer(status=0, output=DENIALS, complaint=""))
    assert ("enforcing", True) == (found.selinux, found.apparmor)
    assert found.denied is not None
    (finding,) = judge_access(found)
    assert (Grade.NOTE, 2) == (finding.grade, len(finding.lines))
    assert finding.mend.startswith("restorecon -RF /etc/wgconfine ")
    (other,) = judge_access(replace(found, selinux=""))
    assert "" == other.mend


@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        (Answer(status=1, output="", complaint=""), Grade.OK),
        (Answer(status=1, output="", complaint="No journal files were opened"), Grade.UNKNOWN),
        (Answer(status=MISSING, output="", complaint="No such file"), Grade.UNKNOWN),
        (None, Grade.UNKNOWN),
    ],
)
def test_no_denial(tmp_path: Path, answer: Answer | None, grade: Grade) -> None:
    """journalctl(1) ends with 1 where it has nothing to show, too."""
    write(tmp_path, "sys/fs/selinux/enforce", "0")
    (found,) = judge_access(accessed(tmp_path, answer))
    assert grade == found.grade
    assert found.words.startswith("SELinux is permissive")


def test_no_access_control() -> None:
    """One line."""
    assert [Grade.OK] == [each.grade for each in judge_access(AccessFacts(denied=None))]
