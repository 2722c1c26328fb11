"""`wgconfine check [FILE…]`: every problem of every settings file, at once."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from wgconfine.cli.dialogue import complain
from wgconfine.config.escape import escape
from wgconfine.model.errors import ExitCode, OperationFailed, ProblemsFound, Refused
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Settings
from wgconfine.plan.aliases import enabled_services, resolve
from wgconfine.plan.desired import check_services
from wgconfine.plan.ports import PortFacts, check_ports, port_remarks
from wgconfine.system.confcheck import Findings, check_sources
from wgconfine.system.installed import PATTERNS
from wgconfine.system.ports import own_listens, port_facts
from wgconfine.system.sources import read_all, read_files
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.system.tree import read_installed
from wgconfine.system.unitsearch import find_facts

__all__ = ["run_check", "show_warnings"]

SERVICE_WITH_LINE = re.compile(r"^(\S+\.service) \(.*\)$")


def run_check(root: Path, files: Sequence[str]) -> ExitCode:
    """Say what is wrong with settings, .conf files and units; 6 where not all could be looked at.

    Units are read from their files, so that it works where no systemd runs. Raises ProblemsFound.
    """
    if files:
        tunnels, problems = read_files(Path("/"), dict.fromkeys(map(settings_path, files)))
    else:
        tunnels, problems = read_all(root)
    resolved = resolve(tunnels, find_facts(root, enabled_services(tunnels)))
    problems += [*resolved.problems, *check_services(resolved.tunnels, resolved.facts)]
    findings = check_sources(tunnels) if root == Path("/") else Findings()
    leaving = enabled_services(resolved.tunnels)
    problems += [
        *findings.problems,
        *check_ports(resolved.tunnels, look_at_ports(root, tunnels), leaving=leaving),
    ]
    findings.warnings.extend(port_remarks(tunnels))
    show_warnings(findings)
    if problems:
        raise ProblemsFound(problems)
    for path in dict.fromkeys(findings.unseen):
        complain(f"{path}: can't be read without root, and was not checked. Run it as root.")
    words = "1 tunnel" if len(tunnels) == 1 else f"{len(tunnels)} tunnels"
    print(f"{words}: no problem found.")
    return ExitCode.UNCHECKED if findings.unseen else ExitCode.OK


def look_at_ports(root: Path, tunnels: Sequence[Settings]) -> PortFacts | None:
    """Give what this machine has to do with ports, None where no systemd runs."""
    if root != Path("/"):
        return None
    with suppress(OperationFailed):
        return port_facts(tunnels, own_listens(RealSystemctl(), read_installed(root, PATTERNS)))
    return None


def settings_path(text: str) -> PurePosixPath:
    """Give the whole path of a settings file. Raises Refused if no other command would read it."""
    try:
        path = PurePosixPath(Path(text).absolute())
    except FileNotFoundError:
        raise Refused(
            f"{escape(text)}: the current directory is gone. Give the whole path."
        ) from None
    if path.suffix != ".toml":
        raise Refused(f"{escape(str(path))}: no settings file. Name one that ends in .toml.")
    return path


def show_warnings(findings: Findings) -> None:
    """Say each once; what holds for several services is one line, with their names."""
    places: dict[tuple[str, str], list[str]] = {}
    for each in dict.fromkeys(findings.warnings):
        places.setdefault((each.what, each.hint), []).append(each.where)
    complain(
        *(
            f"warning: {Problem(where=together(where), what=what, hint=hint)}"
            for (what, hint), where in places.items()
        )
    )


def together(places: Sequence[str]) -> str:
    """Give one place as it is, and of several services their names without a line of the unit."""
    if len(places) == 1:
        return places[0]
    return ", ".join(dict.fromkeys(SERVICE_WITH_LINE.sub(r"\1", each) for each in places))
