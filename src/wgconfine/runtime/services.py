"""Ask systemd to act after the tunnel changed by itself, so that PID 1 orders what happens."""

from __future__ import annotations

import os
import time

from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.record import load

PATIENCE = 10.0  # seconds for wireguard-go to make its link; it takes some 20 ms


def resume(name: str) -> None:
    """Start the services that somebody wants and that a failed tunnel kept down.

    `wgconfine-want@UNIT.target` is active exactly while somebody wants UNIT to run: what its owner
    stopped stays stopped. Without waiting, since those services are ordered after the caller.
    """
    services = load(name).services
    targets = [f"wgconfine-want@{unit.removesuffix('.service')}.target" for unit in services]
    if not targets:
        return
    _, output, complaint = Running("systemctl", "is-active", "--", *targets).wait()
    states = output.split()
    if len(states) != len(services):  # which of them it spoke of can't be known
        warn(f"systemctl is-active: {complaint.strip() or 'not an answer for each'}")
        return
    wanted = [unit for unit, state in zip(services, states, strict=True) if state == "active"]
    if wanted:
        step(f"systemctl start --no-block {' '.join(wanted)}")
        run("systemctl", "start", "--no-block", "--", *wanted)


def attach(name: str) -> None:
    """Wait for the userspace link; if it came back after a crash, have the tunnel set up again."""
    record = load(name)
    end = time.monotonic() + PATIENCE
    socket = f"/run/wireguard/{record.link}.sock"
    while not (os.path.exists(f"/sys/class/net/{record.link}") and os.path.exists(socket)):
        if time.monotonic() > end:
            raise Failure(f"{record.link}: wireguard-go made no link in {PATIENCE:.0f} s.")
        time.sleep(0.01)
    tunnel, again = f"wgconfine@{name}.service", f"wgconfine-reload@{name}.service"
    if Running("systemctl", "is-active", "--quiet", "--", tunnel).wait()[0] == 0:
        step(f"systemctl start --no-block {again}")
        run("systemctl", "start", "--no-block", "--", again)


def clear(name: str) -> None:
    """Take away what the last run of the services left in their private /run."""
    from wgconfine.runtime import resolver  # noqa: PLC0415 — of this module only this needs it

    resolver.clear_private_runs(load(name).services)
