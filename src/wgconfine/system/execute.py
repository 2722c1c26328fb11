"""Carry steps out, one after the other, each said before it is done."""

import shlex
import time
from collections.abc import Callable, Iterable, Sequence

from wgconfine.model.errors import OperationFailed
from wgconfine.plan.outline import outlined
from wgconfine.plan.steps import Action, FileStep, Step, UnitStep, confined_unit
from wgconfine.render.catalog import CATALOG
from wgconfine.render.places import COMMANDS
from wgconfine.system.cgroup import Cgroup
from wgconfine.system.systemctl import Systemctl
from wgconfine.system.tree import ReadOnlyPlace, TreeWriter

__all__ = ["ensure_stopped", "execute"]

PATIENCE = 5.0


def execute(
    steps: Iterable[Step],
    writer: TreeWriter,
    systemctl: Systemctl | None,
    say: Callable[[str], None],
    *,
    verbose: bool = False,
) -> list[tuple[UnitStep, OperationFailed]]:
    """Do every step; gives the unit steps that failed where going on is safe, with their errors.

    A file that can't be written or a service that can't be stopped ends it at once (raises
    OperationFailed): what follows relies on it. A tunnel or service that does not start is refused
    by its own guard, so that the rest is still done. `systemctl` is None for a tree that no systemd
    runs from. What is alike is said in one line, or step by step if `verbose`.
    """
    failures = []
    steps = list(steps)
    opened = opened_services(steps)
    lines = [step.describe() for step in steps] if verbose else outlined(steps)
    for step, line in zip(steps, lines, strict=True):
        if line:
            say(f"[#] {line}")
        if isinstance(step, FileStep):
            write(step, writer, opened, say)
        elif systemctl is not None:
            try:
                ask(step, systemctl)
            except OperationFailed as failure:
                if step.action is Action.UPDATE_CATALOG:  # nothing but words depends on it
                    say(f"[!] message catalog not available: {failure}")
                    continue
                if step.action in {Action.STOP, Action.ENSURE_STOPPED, Action.DAEMON_RELOAD}:
                    raise
                failures.append((step, failure))
    return failures


def opened_services(steps: Iterable[Step]) -> frozenset[str]:
    """Give the services whose drop-in is going to be removed."""
    changes = [step.change for step in steps if isinstance(step, FileStep)]
    return frozenset(
        unit for change in changes if change.after is None and (unit := confined_unit(change))
    )


def write(
    step: FileStep, writer: TreeWriter, opened: frozenset[str], say: Callable[[str], None]
) -> None:
    change = step.change
    try:
        if change.after is None:
            writer.remove(change.path)
        else:
            writer.put(change.after)
    except ReadOnlyPlace as place:
        # Without the closing file the drop-in alone confines; verify says so as long as it lasts.
        unit = change.path.parent.name.removesuffix(".d")
        if unit in opened:
            why = "its closing file can't be written: without the drop-in it would run in the open"
            command = f"wgconfine release {shlex.quote(unit)}"
            hint = f"It stays confined. If it may run in the open: {command}"
            raise OperationFailed(unit, why, hint) from place
        what = "message catalog" if change.path == CATALOG else "closing file"
        say(f"[!] {what} not available: {place}")


def ensure_stopped(units: Sequence[str], systemctl: Systemctl) -> None:
    """Stop units and what they leave behind: KillMode=process keeps children of the open run alive.

    Raises OperationFailed where a process can't be killed.
    """
    try:
        systemctl.stop(units)
    except OperationFailed:
        # What `exec` runs ends at any time, and then systemd has no such unit.
        if not all(unit.startswith(COMMANDS) and has_ended(unit, systemctl) for unit in units):
            raise
    for unit in units:
        group = systemctl.show([unit], ["ControlGroup"])[unit]["ControlGroup"]
        end = time.monotonic() + PATIENCE
        while group and has_processes(group):
            if time.monotonic() > end:
                hint = "End what keeps them, then run wgconfine apply again"
                raise OperationFailed(f"stop {unit}", f"processes are left in {group}", hint)
            systemctl.kill_all([unit])
            time.sleep(0.1)


def has_ended(unit: str, systemctl: Systemctl) -> bool:
    return systemctl.show([unit], ["ActiveState"])[unit]["ActiveState"] in {"inactive", "failed"}


def has_processes(group: str) -> bool:
    """Tell whether a control group, or one below it, holds a process."""
    found = Cgroup.find(group)
    try:
        return found is not None and bool(found.processes())
    except OSError:
        return True  # it changed while we looked: look again


def ask(step: UnitStep, systemctl: Systemctl) -> None:
    match step.action:
        case Action.DAEMON_RELOAD:
            systemctl.daemon_reload()
        # Both times: systemd 262 loses sight of the control group of what it finds left over after
        # a daemon-reload, and starts the service there again, where Linux kills whoever comes after
        # a cgroup.kill.
        case Action.STOP | Action.ENSURE_STOPPED:
            ensure_stopped(step.units, systemctl)
        case Action.START:
            systemctl.start(step.units)
        case Action.RESTART:
            systemctl.restart(step.units)
        case Action.RELOAD:
            systemctl.reload(step.units)
        case Action.RESET_FAILED:
            systemctl.reset_failed(step.units)
        case Action.UPDATE_CATALOG:
            systemctl.update_catalog()
