"""`verify` without anybody who looks on: what it found is kept, is loud, and may stop a service."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.settings import OnLeak, TunnelName, UnitName
from wgconfine.model.verify import Check, Verdict, Verification, exit_code, values_of, worst
from wgconfine.runtime import journal, paths
from wgconfine.runtime.state import write_state
from wgconfine.system.execute import ensure_stopped
from wgconfine.system.systemctl import Systemctl

__all__ = ["announce", "run_periodic", "store", "to_stop"]

SCHEMA = 1
LOUD = {
    Verdict.LEAK: (journal.ERROR, journal.LEAK),
    Verdict.NOT_CONFINED: (journal.ERROR, journal.NOT_CONFINED),
    Verdict.UNKNOWN: (journal.WARNING, journal.UNKNOWN),
    Verdict.BROKEN: (journal.WARNING, journal.BROKEN),
}
"""What is no failure is not announced: it would be the same every quarter of an hour."""


def run_periodic(
    verify: Callable[[], Verification],
    name: TunnelName,
    services: Sequence[UnitName],
    systemctl: Systemctl,
    say: Callable[[str], None],
    *,
    on_leak: OnLeak,
) -> ExitCode:
    """Verify one tunnel for wgconfine-verify@NAME.service; gives what makes that unit fail.

    That is a leak, what is not confined, and what could not be checked. A tunnel that does not
    carry is closed: it is said, and nobody need be woken by it.
    """
    verification = verify()
    announce(verification)
    # Before anything is written: a service can fill /run, and shall not keep running by it.
    if on_leak is OnLeak.STOP:
        stop_leaking(verification, services, systemctl)
    store(verification, time.time())
    say(
        f"{name}: {len(verification.checks)} things looked at in {verification.seconds:.1f} s: "
        f"{worst([verification]).value}"
    )
    code = exit_code([verification])
    return ExitCode.OK if code is ExitCode.FAILED else code


def announce(verification: Verification) -> None:
    """Write each thing that is wrong to the journal, of the service that it is about, too."""
    for check in verification.checks:
        if check.verdict in LOUD:
            priority, message_id = LOUD[check.verdict]
            journal.send(
                priority,
                message(verification.tunnel, check),
                message_id,
                wgconfine_tunnel=verification.tunnel,
                wgconfine_verdict=check.verdict.value,
                wgconfine_area=check.area.value,
                wgconfine_check=check.name,
                wgconfine_unit=check.unit,
                object_systemd_unit=check.unit or f"wgconfine@{verification.tunnel}.service",
            )


def message(tunnel: str, check: Check) -> str:
    about = f"{check.unit} in tunnel {tunnel}" if check.unit else f"tunnel {tunnel}"
    mend = f". To mend it: {check.mend}" if check.mend else ""
    return f"{check.verdict.value}: {about}: {check.name}: {check.evidence}{mend}"


def store(verification: Verification, now: float) -> None:
    """Keep a result for `status`. `now` is in seconds since the epoch.

    Where it can't be kept the one before goes too: nobody shall read "ok" of earlier. Raises
    OSError.
    """
    place = paths.verified(verification.tunnel)
    try:
        write_state(place, as_json(verification, now))
    except OSError:
        Path(place).unlink(missing_ok=True)
        raise


def as_json(verification: Verification, now: float) -> str:
    values = {
        "schema": SCHEMA,
        "tunnel": verification.tunnel,
        "time": round(now),
        "seconds": round(verification.seconds, 3),
        "verdict": worst([verification]).value,
        "exit-code": int(exit_code([verification])),
        "checks": [values_of(check) for check in verification.checks],
    }
    return json.dumps(values, indent=2) + "\n"


def stop_leaking(
    verification: Verification, services: Sequence[UnitName], systemctl: Systemctl
) -> None:
    """Stop the services that leak, and what is left of them; says so in the journal, and of each.

    Nothing is ever started. One that can't be stopped does not keep the others running.
    """
    for unit in to_stop(verification, services):
        try:
            ensure_stopped([unit], systemctl)
            words = f'{unit} leaked and was stopped (on-leak = "stop")'
        except OperationFailed as failure:
            words = f"{unit} leaks and could not be stopped: {failure}"
        journal.send(
            journal.ERROR,
            words,
            journal.STOPPED,
            wgconfine_tunnel=verification.tunnel,
            wgconfine_unit=unit,
            object_systemd_unit=unit,
        )


def to_stop(verification: Verification, services: Sequence[UnitName]) -> list[UnitName]:
    """Give the services that a leak names; all of the tunnel's where it names none.

    What is not a service of the tunnel is somebody else's, and is left alone.
    """
    leaks = {check.unit for check in verification.checks if check.verdict is Verdict.LEAK}
    return [unit for unit in services if unit in leaks or "" in leaks]
