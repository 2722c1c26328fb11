"""`wgconfine check [FILE…]`: every problem of every settings file, at once."""

import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wgconfine.config.escape import escape
from wgconfine.model.errors import ExitCode, ProblemsFound
from wgconfine.plan.aliases import enabled_services, resolve
from wgconfine.plan.desired import check_services
from wgconfine.system.confcheck import Findings, check_sources
from wgconfine.system.sources import read_all, read_files
from wgconfine.system.unitsearch import find_facts

__all__ = ["run_check", "show_warnings"]


def run_check(root: Path, files: Sequence[str]) -> ExitCode:
    """Say what is wrong with settings, .conf files and units; 6 where not all could be looked at.

    Units are read from their files, so that it works where no systemd runs. Raises ProblemsFound.
    """
    if files:
        paths = [PurePosixPath(Path(file).absolute()) for file in files]
        tunnels, problems = read_files(Path("/"), paths)
    else:
        tunnels, problems = read_all(root)
    resolved = resolve(tunnels, find_facts(root, enabled_services(tunnels)))
    problems += [*resolved.problems, *check_services(resolved.tunnels, resolved.facts)]
    findings = check_sources(tunnels) if root == Path("/") else Findings()
    problems += findings.problems
    show_warnings(findings)
    if problems:
        raise ProblemsFound(problems)
    for path in findings.unseen:
        print(f"{path}: can't be read without root, and was not checked.", file=sys.stderr)
    words = "1 tunnel" if len(tunnels) == 1 else f"{len(tunnels)} tunnels"
    print(f"{words}: no problem found.")
    return ExitCode.UNCHECKED if findings.unseen else ExitCode.OK


def show_warnings(findings: Findings) -> None:
    for warning in findings.warnings:
        print(escape(f"warning: {warning}"), file=sys.stderr)
