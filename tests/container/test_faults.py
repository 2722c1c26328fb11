"""Every fault of docs/faults.md, on containers: each row holds, or the test fails."""

import pytest

from tests.faulttable.cases import cases, runner
from tests.faulttable.fault import Fault
from tests.faulttable.run import Runner

__all__ = ["runner"]

pytestmark = pytest.mark.container


@pytest.mark.parametrize(("runner", "fault"), cases(kernel=False), indirect=["runner"])
def test_fault(runner: Runner, fault: Fault) -> None:
    """No packet leaves, all is well again in time, and no service is touched without need."""
    assert "" == runner.run(fault).failed
