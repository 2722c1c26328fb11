"""`wgconfine render --output DIR`: the files that `apply` would install, written somewhere else."""

from pathlib import Path, PurePosixPath

from wgconfine.cli.survey import DEFAULT_PYTHON
from wgconfine.model.errors import ExitCode, ProblemsFound
from wgconfine.plan.aliases import enabled_services, resolve
from wgconfine.plan.desired import Machine, check_services, desired_tree
from wgconfine.plan.difference import compare
from wgconfine.plan.steps import file_steps
from wgconfine.system.execute import execute
from wgconfine.system.host import fit_for_units
from wgconfine.system.installed import PATTERNS, closed_services
from wgconfine.system.sources import load_all
from wgconfine.system.tree import TreeWriter, read_installed
from wgconfine.system.unitsearch import find_facts

__all__ = ["run_render"]


def run_render(root: Path, output: Path, *, python: PurePosixPath | None) -> ExitCode:
    """Write below `output` what belongs to the settings and units that are below `root`.

    No secret is read and no system asked. `backend = "auto"` becomes the kernel's WireGuard, as
    every kernel since 5.6 can have it; a machine without it must say `userspace`. A closing file of
    an earlier run stays, as with `apply`: an image must not open a service because it left the
    settings.
    """
    interpreter = fit_for_units(python or DEFAULT_PYTHON)
    declared = [settings for settings in load_all(root) if settings.enable]
    resolved = resolve(declared, find_facts(root, enabled_services(declared)))
    tunnels, facts = resolved.tunnels, resolved.facts
    problems = [*resolved.problems, *check_services(tunnels, facts)]
    if problems:
        raise ProblemsFound(problems)
    output.mkdir(parents=True, exist_ok=True)
    installed = read_installed(output, PATTERNS)
    machine = Machine(python=interpreter, kernel_wireguard=True)
    tree = desired_tree(tunnels, facts, machine, unreleased=closed_services(installed))
    steps = file_steps(compare(tree, installed))
    execute(steps, TreeWriter(output), None, print)
    return ExitCode.OK
