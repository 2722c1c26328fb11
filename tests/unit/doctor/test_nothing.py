"""A machine on which nothing is as usual."""

from pathlib import Path

from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.doctor.run import facts_of, judge_machine

DEBIAN = Distribution(family=Family.DEBIAN)


def test_a_tree_in_which_nothing_is(tmp_path: Path) -> None:
    """No program answers and no file is there: something is said of each, and nothing fails."""
    facts = facts_of([], {}, tmp_path)
    assert {"systemd", "cgroups", "resolver", "access"} <= {
        each.name for each in judge_machine(facts, [])
    }
