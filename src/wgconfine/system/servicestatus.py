"""How one service or command is: by systemd, and by the namespace that its process is really in."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path

from wgconfine.config.escape import escape
from wgconfine.model.names import UnitName
from wgconfine.model.state import ALIVE, UnitState, judge
from wgconfine.model.status import CommandStatus, ServiceStatus
from wgconfine.render.places import dropin_path
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import named_namespace, record_of_namespace, tunnel_state

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wgconfine.model.names import TunnelName

    States = Mapping[str, UnitState]

__all__ = [
    "closed_status",
    "command_status",
    "is_set_up",
    "is_there",
    "reason_of_refusal",
    "runs_outside",
    "service_status",
    "want_target",
]

PROC = Path("/proc")


def is_set_up(pid: int) -> bool:
    """Tell whether a process is systemd's own, before it executes the service's program.

    With Type=idle it waits like that for seconds. It bears the program's name in parentheses or,
    forked this moment, is PID 1 over again. Name and program alone prove nothing, since anybody may
    run systemd's under any name: until it has joined the namespace it is a child of PID 1 with
    root's user and all of PID 1's capabilities, which no service can get back that was once
    deprived of them.
    """
    try:
        if not has_powers_of_manager(pid):
            return False
        # In this order, while it goes on: the name changes before the command line, and the program
        # after both.
        again = words_of(pid, "cmdline") == words_of(1, "cmdline")
        name = words_of(pid, "comm")
        program = (PROC / str(pid) / "exe").readlink()
        manager = (PROC / "1/exe").readlink()
        forked = again and name == words_of(1, "comm")
    except OSError:
        return False
    executor = Path(f"{manager}-executor")
    named = name.startswith("(") or forked
    return program == executor or (program == manager and named)


def words_of(pid: int, file: str) -> str:
    return (PROC / str(pid) / file).read_text(encoding="utf-8", errors="replace")


def has_powers_of_manager(pid: int) -> bool:
    status, manager = process_status(pid), process_status(1)
    return (
        status["PPid"] == "1"
        and set(status["Uid"].split()) == {"0"}
        and status["CapEff"] == manager["CapEff"]
        and (PROC / str(pid) / "ns/user").readlink() == (PROC / "1/ns/user").readlink()
    )


def process_status(pid: int) -> dict[str, str]:
    text = (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    lines = (line.partition(":") for line in text.split("\n"))  # a name has no newline alone
    return {key: value.strip() for key, _, value in lines}


def runs_outside(name: TunnelName, main_pid: int) -> bool | None:
    """Tell whether a process is in another namespace than the tunnel's; None if unseen.

    One that systemd is still setting up has not joined yet, and runs nothing of the service's.
    """
    if is_set_up(main_pid):
        return False
    own = identity(f"/proc/{main_pid}/ns/net")
    return None if own is None else own != identity(record_of_namespace(name))


def is_there(command: UnitState) -> bool:
    """Tell whether a command has not ended: systemd forgets it then, a moment later."""
    return command.load == "loaded" and command.active in ALIVE


def command_status(name: TunnelName, state: UnitState) -> CommandStatus:
    """Judge what `wgconfine exec` runs, and say what it is: of that only who it is and its name."""
    judged = service_status(name, state, {})
    program = user = ""
    if state.main_pid:
        with suppress(OSError, KeyError):
            about = process_status(state.main_pid)
            program, user = escape(about["Name"]), user_name(int(about["Uid"].split()[0]))
    return CommandStatus(
        unit=judged.unit, state=judged.state, why=judged.why, program=program, user=user
    )


def user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 — where a command runs alone

    try:
        return escape(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)


def service_status(name: TunnelName, state: UnitState, states: States) -> ServiceStatus:
    """Judge one service; a running one by the namespace that its main process is really in."""
    unit, word = UnitName(state.name), judge(state)
    why = ""
    shown: str = word
    if word == "running" and state.main_pid:
        outside = runs_outside(name, state.main_pid)
        if outside is None:
            why = "its namespace can't be seen: run this as root"
        elif outside:
            shown = "NOT CONFINED"
            why = f"its process is in another namespace: systemctl stop {shlex.quote(unit)}"
        else:
            shown = "confined"
    elif word == "refused":
        why = reason_of_refusal(name, unit, state)
    elif word == "stopped" and is_wanted(unit, states):
        shown, why = "waiting", f"for wgconfine@{name}.service; it starts when that does"
    if state.need_daemon_reload:
        why = "; ".join(filter(None, (why, "its unit changed on disk: systemctl daemon-reload")))
    return ServiceStatus(unit=unit, state=shown, why=why)


def want_target(unit: UnitName) -> str:
    return f"wgconfine-want@{unit.removesuffix('.service')}.target"


def is_wanted(unit: UnitName, states: States) -> bool:
    target = states.get(want_target(unit))
    return target is not None and judge(target) == "running"


def reason_of_refusal(name: TunnelName, unit: UnitName, state: UnitState) -> str:
    """Give the first cause that holds: what is missing comes before what that led to."""
    needed = (
        named_namespace(name),
        record_of_namespace(name),
        f"{tunnel_state(name)}/resolv.conf",
        f"{tunnel_state(name)}/nsswitch.conf",
    )
    word = shlex.quote(unit)
    missing = [path for path in needed if not os.path.exists(path)][:1]  # noqa: PTH110 — /run, by name
    closed = state.guard_fired and not os.path.exists(dropin_path(unit))  # noqa: PTH110
    causes = (
        (
            missing,
            f"{''.join(missing)} is missing: systemctl restart wgconfine-netns@{name}.service",
        ),
        (
            identity(needed[0]) != identity(needed[1]),
            f"another namespace has taken the name {needed[0]}",
        ),
        (closed, "its drop-in is gone, so that it is closed: wgconfine apply"),
        (state.guard_fired, "its guard found it outside of the tunnel's namespace"),
        (
            state.assertion is False,
            f"an Assert…= of the unit does not hold: systemctl status {word}",
        ),
        (
            state.condition is False,
            f"a Condition…= of the unit does not hold: systemctl status {word}",
        ),
    )
    otherwise = f"it could not be set up inside: journalctl -u {word}"
    return next((why for holds, why in causes if holds), otherwise)


def closed_status(unit: UnitName, state: UnitState) -> ServiceStatus:
    word = judge(state)
    shown = "NOT CONFINED" if word == "running" else "closed"
    why = f"not confined and not released: wgconfine release {shlex.quote(unit)}"
    return ServiceStatus(unit=unit, state=shown, why=why)
