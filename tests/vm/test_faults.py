"""Every fault of docs/faults.md, where WireGuard is the kernel's: each row holds, or it fails."""

import pytest

from tests.faulttable.cases import cases, runner
from tests.faulttable.fault import Fault
from tests.faulttable.run import Runner

__all__ = ["runner"]

pytestmark = pytest.mark.vm


@pytest.mark.parametrize(("runner", "fault"), cases(kernel=True), indirect=["runner"])
def test_fault(runner: Runner, fault: Fault) -> None:
    """No packet leaves, all is well again in time, and no service is touched without need."""
    assert "" == runner.run(fault).failed
