"""`wgconfine plan` and `wgconfine apply`: what would be done, and doing it."""

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from wgconfine.cli.dialogue import complain, confirm
from wgconfine.cli.survey import Survey, survey
from wgconfine.cli.verify import verify_after_apply
from wgconfine.config.escape import escape
from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.settings import TunnelName
from wgconfine.plan.difference import unified
from wgconfine.plan.outline import outlined
from wgconfine.plan.steps import Action, FileStep, Step, UnitStep, under_way
from wgconfine.render.places import UNITS, closing_path, dropin_path, record_path
from wgconfine.render.service import slice_name
from wgconfine.system.execute import execute
from wgconfine.system.installed import LIVE, PATTERNS
from wgconfine.system.leftovers import sweep_state
from wgconfine.system.lock import apply_lock
from wgconfine.system.sources import PATTERNS as SETTINGS
from wgconfine.system.tree import TreeWriter
from wgconfine.system.unfinished import keep_unfinished
from wgconfine.verify.subject import units_of_tunnel

__all__ = ["approve", "carry_out", "run_apply", "run_plan", "verified"]


def run_plan(root: Path, *, verbose: bool, python: PurePosixPath | None) -> ExitCode:
    """Print every step that `apply` would take; 5 where there is any."""
    found = survey(root, python=python)
    if root == LIVE and os.geteuid() != 0:
        complain("Without root neither secret files nor what is in force are seen, nor processes.")
    complain(*half_released(found))
    for step in found.steps:
        print(step.describe())
        if verbose and isinstance(step, FileStep):
            for line in unified(step.change).split("\n")[:-1]:
                print(escape(line))  # lines of the unit are in it, whoever wrote that
    if not found.steps:
        print("Nothing to do: the machine is as the settings say.")
    return ExitCode.CHANGES if found.steps else ExitCode.OK


def run_apply(root: Path, *, yes: bool, verbose: bool, python: PurePosixPath | None) -> ExitCode:
    """Make the machine match the settings, and verify the tunnels that this was about.

    Each step is said by itself if `verbose`.
    """
    with apply_lock(root, complain):
        found = survey(root, python=python)
        code = carry_out(found, root, yes=yes, verbose=verbose)
    return verified(found, code)


def verified(found: Survey, code: ExitCode) -> ExitCode:
    """Verify the tunnels that something was done for, if all of it went well; gives the exit code.

    Not before the lock is free: another command need not wait for that.
    """
    names = concerned(found) if found.systemctl is not None else []
    return verify_after_apply(names) if names and code is ExitCode.OK else code


def concerned(found: Survey) -> list[TunnelName]:
    """Give the tunnels that a survey has something to do for."""
    paths = {step.change.path for step in found.steps if isinstance(step, FileStep)}
    asked = {unit for step in found.steps if isinstance(step, UnitStep) for unit in step.units}
    templates = {path for path in paths if path.parent == UNITS and "@." in path.name}
    names = []
    for settings in found.tunnels:
        units = {*settings.services, *units_of_tunnel(settings.name)}
        places = {f"{unit}.d" for unit in units}
        own = {record_path(settings.name), UNITS / slice_name(settings.name)}
        its_files = paths & own or {each for each in paths if each.parent.name in places}
        if settings.enable and (templates or its_files or asked & units):
            names.append(settings.name)
    return names


def carry_out(found: Survey, root: Path, *, yes: bool, verbose: bool = False) -> ExitCode:
    """Do what a survey found, asking first on a terminal where something stops or restarts.

    Raises Refused where the person says no, and OperationFailed for what could not be done.
    """
    writer = TreeWriter(root)
    complain(*half_released(found))
    if not found.steps:
        tidy(found, writer)
        keep_unfinished(root, found.half_released)
        print("Nothing to do: the machine is as the settings say.")
        return ExitCode.OK
    approve(found, yes=yes)
    keep_unfinished(root, found.unfinished)
    failures = execute(found.steps, writer, found.systemctl, complain, verbose=verbose)
    tidy(found, writer)
    left = under_way([step for step, _ in failures])
    keep_unfinished(root, found.half_released | found.unfinished.words_of(left) | left)
    for _, failure in failures:
        complain(f"[!] {failure}")
    if failures:
        raise OperationFailed(
            "apply",
            f"{len(failures)} of {len(found.steps)} steps did not work; "
            "what could not start stays closed",
            "Look at wgconfine status; run wgconfine apply again once it is mended.",
        )
    return ExitCode.OK


def half_released(found: Survey) -> list[str]:
    """Say which releases were cut off, and the command that ends each: none but that one does."""
    return [
        f"[!] {unit}: its release was cut off. To finish it: wgconfine "
        + (f"remove {word} --release" if word else f"release {shlex.quote(unit)}")
        for unit, word in sorted(found.half_released.released.items())
    ]


def tidy(found: Survey, writer: TreeWriter) -> None:
    """Take away what runs that were killed have left beside files of ours."""
    writer.sweep((*PATTERNS, *SETTINGS), directories=(f"{UNITS}/wgconfine*.d",))
    for unit in sorted(found.unfinished.services()):
        for path in (dropin_path(unit), closing_path(unit)):
            writer.remove_empty(path.parent)
    if found.systemctl is not None:
        enabled = [each for each in found.tunnels if each.enable]
        services = {unit.removesuffix(".service") for each in enabled for unit in each.services}
        sweep_state({each.name for each in enabled}, services)


def approve(found: Survey, *, yes: bool) -> None:
    """Ask a person on a terminal where something stops or restarts. Raises Refused."""
    if not yes and sys.stdin.isatty() and (asked := disturbing(found.steps)):
        complain(*outlined(asked))
        confirm("Go on?")


def disturbing(steps: Iterable[Step]) -> list[UnitStep]:
    return [
        step
        for step in steps
        if isinstance(step, UnitStep) and step.action in {Action.STOP, Action.RESTART}
    ]
