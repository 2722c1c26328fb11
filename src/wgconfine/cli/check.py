"""`wgconfine check [FILE…]`: every problem of every settings file, at once."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wgconfine.model.errors import ExitCode, ProblemsFound
from wgconfine.system.confcheck import check_sources
from wgconfine.system.sources import read_all, read_files

__all__ = ["run_check"]


def run_check(root: Path, files: Sequence[str]) -> ExitCode:
    """Say what is wrong with the settings; raises ProblemsFound if anything is."""
    live = root == Path("/")
    if files:
        paths = [PurePosixPath(Path(file).absolute()) for file in files]
        tunnels, problems = read_files(Path("/"), paths)
    else:
        tunnels, problems = read_all(root)
    if live:
        problems += check_sources(tunnels)
    if problems:
        raise ProblemsFound(problems)
    words = "1 tunnel" if len(tunnels) == 1 else f"{len(tunnels)} tunnels"
    print(f"{words}: no problem found.")
    return ExitCode.OK
