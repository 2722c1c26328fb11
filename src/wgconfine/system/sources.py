"""The settings of all tunnels as they lie in /etc/wgconfine, read as trusted files are."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from wgconfine.config.check import check_all
from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import OperationFailed, ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Settings
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.trusted import read_trusted
from wgconfine.system.replacing import replace_file

__all__ = [
    "PATTERNS",
    "PLACE",
    "below",
    "fragments_of",
    "inside",
    "load_all",
    "load_file",
    "problem_of",
    "read_all",
    "read_files",
    "write_settings",
]

PLACE = PurePosixPath("/etc/wgconfine")

PATTERNS = (f"{PLACE}/*.toml", f"{PLACE}/*.d/*.toml")
"""Every place where settings lie."""


def read_all(root: Path) -> tuple[list[Settings], list[Problem]]:
    """Give every tunnel below `root` that can be read, and every problem of every file."""
    paths = sorted(below(root, PLACE).glob("*.toml"))
    return read_files(root, [PLACE / path.name for path in paths])


def read_files(root: Path, paths: Iterable[PurePosixPath]) -> tuple[list[Settings], list[Problem]]:
    """The same for these files."""
    tunnels: list[Settings] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            tunnels.append(load_file(root, path))
        except ProblemsFound as found:
            problems += found.problems
    return tunnels, problems + check_all(tunnels)


def load_all(root: Path) -> tuple[Settings, ...]:
    """Give every tunnel below `root`. Raises ProblemsFound with every problem of every file."""
    tunnels, problems = read_all(root)
    if problems:
        raise ProblemsFound(problems)
    return tuple(tunnels)


def load_file(root: Path, path: PurePosixPath) -> Settings:
    """Give one tunnel: its file and the fragments beside it. Raises ProblemsFound."""
    sources = [path, *fragments_of(root, path)]
    return parse_settings(path.stem, [(each, read_text(root, each)) for each in sources])


def fragments_of(root: Path, path: PurePosixPath) -> Sequence[PurePosixPath]:
    """Give NAME.d/*.toml in the order in which they are read."""
    directory = path.with_suffix(".d")
    return [directory / each.name for each in sorted(below(root, directory).glob("*.toml"))]


def below(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/")


def read_text(root: Path, path: PurePosixPath) -> str:
    """Read settings: who can write there decides what leaves the tunnel, so it must be root alone.

    The files of another tree (`--root DIR`) are its builder's own matter.
    """
    try:
        if root == Path("/"):
            return read_trusted(str(path), secret=False).decode()
        return below(root, path).read_text(encoding="utf-8")
    except Failure as failure:
        raise ProblemsFound([problem_of(failure)]) from None
    except OSError as error:
        what = error.strerror or "can't be read"
        raise ProblemsFound([Problem(where=str(path), what=what)]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(where=f"{path}:{line}", what="is not UTF-8 text", hint="Save it as UTF-8")
        raise ProblemsFound([problem]) from None


def inside(root: Path, path: PurePosixPath) -> Path:
    """Give where `path` lies, to be changed. Raises OperationFailed if links lead out of `root`."""
    real = below(root, path)
    if not real.parent.resolve().is_relative_to(root.resolve()):
        raise OperationFailed(f"change {path}", f"a symbolic link leads out of {root}")
    return real


def problem_of(failure: Failure) -> Problem:
    """Give a failure of the runtime path, `where: what. hint`, as the problem that it is here."""
    where, _, rest = str(failure).partition(": ")
    what, _, hint = rest.partition(". ")
    return Problem(where=where, what=what.rstrip("."), hint=hint.rstrip("."))


def write_settings(root: Path, path: PurePosixPath, edit: Callable[[str], str]) -> None:
    """Rewrite a settings file with `edit`, in one step, its mode kept, where that changes it."""
    before = read_text(root, path)
    after = edit(before)
    if after == before:
        return
    real = inside(root, path)
    directory = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        replace_file(directory, real.name, after.encode(), real.stat().st_mode & 0o777)
    finally:
        os.close(directory)
