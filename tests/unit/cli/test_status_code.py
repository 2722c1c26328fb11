"""The exit code of `status`."""

from typing import Any

import pytest

from wgconfine.cli.status import code_of
from wgconfine.model.errors import ExitCode
from wgconfine.model.status import ServiceStatus, Status, TunnelStatus, VerifyStatus

OUTSIDE = ServiceStatus(unit="a.service", state="NOT CONFINED")
CLOSED = ServiceStatus(unit="a.service", state="closed")
FOUND = VerifyStatus(verdict="LEAK", age=1)


@pytest.mark.parametrize(
    ("tunnel", "closed", "code"),
    [
        ({}, CLOSED, ExitCode.OK),
        ({"state": "waiting", "leaked": 0}, CLOSED, ExitCode.OK),
        ({"state": "LEAK", "services": (OUTSIDE,)}, CLOSED, ExitCode.NOT_CONFINED),
        ({}, OUTSIDE, ExitCode.NOT_CONFINED),
        ({"leaked": 3}, CLOSED, ExitCode.LEAK),
        ({"verify": FOUND}, CLOSED, ExitCode.LEAK),
        ({"verify": FOUND, "services": (OUTSIDE,)}, OUTSIDE, ExitCode.LEAK),
    ],
)
def test_what_gets_out_weighs_more_than_what_might(
    tunnel: dict[str, Any], closed: ServiceStatus, code: ExitCode
) -> None:
    """7 before 3, as `verify` has it; a tunnel that carries nothing is no failure."""
    shown = TunnelStatus(**({"name": "vpn", "state": "up", "backend": ""} | tunnel))

    assert code is code_of(Status(tunnels=(shown,), closed=(closed,)))
