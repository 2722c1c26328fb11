"""Ask systemd to act after the tunnel changed by itself, so that PID 1 orders what happens."""

from __future__ import annotations

import os

from wgconfine.runtime import paths
from wgconfine.runtime.failure import step, warn
from wgconfine.runtime.process import Running
from wgconfine.runtime.record import load


def resume(name: str) -> None:
    """Start the services that somebody wants and that a failed tunnel kept down; watch its files.

    `wgconfine-want@UNIT.target` is active exactly while somebody wants UNIT to run: what its owner
    stopped stays stopped. Without waiting, since those services are ordered after the caller.
    """
    record = load(name)
    if record.watch_units:
        ask_to_start(*record.watch_units)
    services = record.services
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
        ask_to_start(*wanted)


def ask_to_start(*units: str, patience: int = 0) -> None:
    """Start units, and take back no stop that is under way; a refusal is said.

    Their end is waited for as many seconds as `patience` says.
    """
    ask("start", "--job-mode=fail", "--", *units, patience=patience)


def ask_to_reload(*units: str, patience: int = 0) -> None:
    """Reload units as ask_to_start() starts them; one that does not run stays as it is."""
    ask("try-reload-or-restart", "--job-mode=fail", "--", *units, patience=patience)


def ask(verb: str, *words: str, patience: int) -> None:
    options = () if patience else ("--no-block",)
    limit = ("timeout", str(patience)) if patience else ()
    step(" ".join(("systemctl", verb, *options, *words)))
    status, _, complaint = Running(*limit, "systemctl", verb, *options, *words).wait()
    if status != 0:
        warn(f"systemctl {verb}: {complaint.strip() or 'not done yet'}")


def clear(name: str) -> None:
    """Take away what the last run of the services left in their private /run.

    A tunnel with a credential is configured for the first time by a reload, which comes after this
    and does nothing without the file `in-force`: so that is made here, and is empty until then.
    """
    from wgconfine.runtime import resolver  # noqa: PLC0415 — of this module only this needs it

    resolver.clear_private_runs(load(name).services)
    os.makedirs(paths.tunnel_state(name), mode=0o755, exist_ok=True)
    resolver.write_in_place(f"{paths.tunnel_state(name)}/{paths.IN_FORCE}", "")
