"""`wgconfine render --output DIR`: the files that `apply` would install, written somewhere else."""

from pathlib import Path, PurePosixPath

from wgconfine.cli.survey import PATTERNS
from wgconfine.model.errors import ExitCode, ProblemsFound
from wgconfine.plan.desired import Machine, check_services, desired_tree
from wgconfine.plan.difference import compare
from wgconfine.plan.steps import file_steps
from wgconfine.system.execute import execute
from wgconfine.system.sources import load_all
from wgconfine.system.tree import TreeWriter, read_installed
from wgconfine.system.unitsearch import find_facts

__all__ = ["run_render"]


def run_render(root: Path, output: Path, *, python: PurePosixPath) -> ExitCode:
    """Write below `output` what belongs to the settings and units that are below `root`.

    No secret is read and no system asked. `backend = "auto"` becomes the kernel's WireGuard, as
    every kernel since 5.6 can have it; a machine without it must say `userspace`.
    """
    tunnels = [settings for settings in load_all(root) if settings.enable]
    facts = find_facts(root, [unit for settings in tunnels for unit in settings.services])
    problems = check_services(tunnels, facts)
    if problems:
        raise ProblemsFound(problems)
    tree = desired_tree(tunnels, facts, Machine(python=python, kernel_wireguard=True))
    output.mkdir(parents=True, exist_ok=True)
    steps = file_steps(compare(tree, read_installed(output, PATTERNS)))
    execute(steps, TreeWriter(output), None, print)
    return ExitCode.OK
