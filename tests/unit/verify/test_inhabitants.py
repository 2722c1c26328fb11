"""Who is inside, and who of them is not confined by us."""

from wgconfine.model.settings import UnitName
from wgconfine.model.verify import Verdict
from wgconfine.verify.inhabitants import judge_inhabitants


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
