"""Who is inside: units by their control groups, and who of them is not confined by us."""

import pytest

from wgconfine.model.settings import UnitName
from wgconfine.model.verify import Verdict
from wgconfine.verify.inhabitants import judge_inhabitants, unit_of


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/wgconfine.slice/wgconfine-vpn.slice/a.service\n", "a.service"),
        ("0::/system.slice/a.service/payload/b.service\n", "a.service"),
        ("9:name=systemd:/\n2:cpu:/\n0::/system.slice/a.service\n", "a.service"),
        ("1:name=systemd:/system.slice/a.service\n0::/\n", "a.service"),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", "session-2.scope"),
        ("0::/system.slice/x\x0b0::/system.slice/a.service\n", "a.service"),
        ("0::/system.slice/b.service/x\x85y\u2028z\n", "b.service"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_the_unit_of_a_process(cgroups: str, unit: str) -> None:
    """The outermost one is PID 1's; what a service makes below it may bear any name."""
    assert unit == unit_of(cgroups)


def test_others_inside_are_listed_and_no_failure() -> None:
    """A unit that joined by hand, and processes of no unit; not the services, and not ours."""
    found = {
        "a.service": [7],
        "wgconfine-probe@a.service": [8],
        "hand.service": list(range(20, 10, -1)),
        "": [9],
    }
    checks = judge_inhabitants(found, [UnitName("a.service")])
    assert ["", "hand.service"] == [each.unit for each in checks]
    assert {Verdict.OPEN} == {each.verdict for each in checks}
    assert checks[1].evidence.endswith("process 18 and 2 more")


def test_nobody_else_inside() -> None:
    """Then that is said."""
    (found,) = judge_inhabitants({"a.service": [7]}, [UnitName("a.service")])
    assert Verdict.OK is found.verdict
