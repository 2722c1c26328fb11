"""What systemd says about a unit at this moment, and what that means for a confined service."""

from __future__ import annotations

from dataclasses import dataclass
from signal import SIGUSR1

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from typing import Literal

    Judgement = Literal[
        "running", "starting", "stopping", "stopped", "failed", "refused", "not-found", "masked"
    ]

__all__ = ["ALIVE", "UnitState", "judge"]

ALIVE = frozenset({"active", "activating", "reloading", "refreshing", "deactivating"})
"""The states of a unit that may have a process: `ActiveState`, as systemd spells it."""

_SETTING_UP_FAILED = 200
"""systemd's own exit codes, for what went wrong before exec, begin here (systemd.exec(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """The properties of `systemctl show` that decide; as systemd spells them.

    `condition` and `assertion` are None where the unit was never tried since it was loaded: systemd
    then says "no" without having looked. `condition_code` and `condition_status` tell how the last
    `ExecCondition=` that ran ended: ("killed", 10) for our guard, ("", 0) where none ran.
    `main_pid` is 0 where there is none; `invocation` is the hexadecimal invocation ID.
    `main_status` is what the last main process ended with. `since` is when it came to be active,
    activating or inactive as it is, in microseconds of CLOCK_MONOTONIC; 0 if it was never anything
    else. `files` are those that it is made of, the main one first.
    """

    name: str
    load: str = "loaded"
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    condition: bool | None = None
    assertion: bool | None = None
    main_pid: int = 0
    need_daemon_reload: bool = False
    invocation: str = ""
    condition_code: str = ""
    condition_status: int = 0
    main_status: int = 0
    since: int = 0
    files: tuple[str, ...] = ()

    @property
    def guard_fired(self) -> bool:
        """Whether an `ExecCondition=` died by USR1, as only the guard and the closing file do."""
        return self.condition_code in {"killed", "dumped"} and self.condition_status == SIGUSR1


def judge(state: UnitState) -> Judgement:
    """What a person should be told. Invariant 1: what was kept from running is never "stopped".

    "refused": the guard fired, an `Assert…=` or a condition did not hold, or setting up an
    `ExecCondition=` failed, which systemd itself calls inactive with success.
    """
    match state:
        case UnitState(active="active" | "reloading" | "refreshing"):
            judgement: Judgement = "running"
        case UnitState(active="deactivating"):
            judgement = "stopping"
        case UnitState(active="activating", sub=sub) if not sub.startswith("auto-restart"):
            judgement = "starting"
        case _ if _kept_from_running(state):
            judgement = "refused"
        case UnitState(active="failed" | "activating"):
            judgement = "failed"
        case UnitState(load="not-found"):
            judgement = "not-found"
        case UnitState(load="masked"):
            judgement = "masked"
        case _:
            judgement = "stopped"
    return judgement


def _kept_from_running(state: UnitState) -> bool:
    return (
        state.guard_fired
        or state.condition is False
        or state.assertion is False
        or state.result == "exec-condition"
        or state.condition_status >= _SETTING_UP_FAILED
    )
