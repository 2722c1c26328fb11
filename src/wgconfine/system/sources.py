"""The settings of all tunnels as they lie in /etc/wgconfine, read as trusted files are.

What parses them is imported where that is done: `status` mostly does without.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from wgconfine.config.places import place_of
from wgconfine.model.errors import NeedsRoot, OperationFailed, ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.trusted import read_trusted
from wgconfine.system.replacing import replace_file

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from wgconfine.model.settings import Settings

__all__ = [
    "LIVE",
    "PATTERNS",
    "PLACE",
    "below",
    "create_file",
    "fragments_of",
    "inside",
    "listed",
    "load_all",
    "load_file",
    "problem_of",
    "read_all",
    "read_files",
    "write_settings",
]

LIVE = Path("/")
"""The running machine; any other root is a tree of files that no systemd runs from."""

PLACE = PurePosixPath("/etc/wgconfine")

# ruff: noqa: PLC0415 — see above

PATTERNS = (f"{PLACE}/*.toml", f"{PLACE}/*.d/*.toml")
"""Every place where settings lie."""


def read_all(root: Path) -> tuple[list[Settings], list[Problem]]:
    """Give every tunnel below `root` that can be read, and every problem of every file."""
    return read_files(root, listed(root, PLACE))


def read_files(
    root: Path, paths: Collection[PurePosixPath]
) -> tuple[list[Settings], list[Problem]]:
    """The same for these files. Raises NeedsRoot where this user may not read one."""
    from wgconfine.config.check import check_all
    from wgconfine.config.via import check_via

    tunnels: list[Settings] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            tunnels.append(load_file(root, path))
        except ProblemsFound as found:
            problems += found.problems
    beside, unread = through(root, tunnels, paths)
    problems += [*check_all(tunnels), *check_via(tunnels, beside, unread)]
    return tunnels, list(dict.fromkeys(problems))


def through(
    root: Path, tunnels: Sequence[Settings], paths: Iterable[PurePosixPath]
) -> tuple[list[Settings], set[str]]:
    """Give the tunnels that these go through and whose files lie beside theirs.

    Also the names of those that are there and can't be read, of `paths` too: their problems are
    told where they themselves are looked at.
    """
    beside: list[Settings] = []
    unread = {path.stem for path in paths} - {each.name for each in tunnels}
    wanted = [each for each in tunnels if each.via is not None]
    seen = {each.name for each in tunnels} | unread
    while wanted:
        tunnel = wanted.pop()
        name = str(tunnel.via)
        path = tunnel.path.with_name(f"{name}.toml")
        if name in seen or not os.path.lexists(below(root, path)):
            continue
        seen.add(name)
        try:
            outer = load_file(root, path)
        except (ProblemsFound, NeedsRoot):
            unread.add(name)
        else:
            beside.append(outer)
            wanted += [outer] if outer.via is not None else []
    return beside, unread


def load_all(root: Path) -> tuple[Settings, ...]:
    """Give every tunnel below `root`. Raises ProblemsFound with every problem of every file."""
    tunnels, problems = read_all(root)
    if problems:
        raise ProblemsFound(problems)
    return tuple(tunnels)


def load_file(root: Path, path: PurePosixPath) -> Settings:
    """Give one tunnel: its file and the fragments beside it. Raises as `read_text`."""
    from wgconfine.config.settings import parse_settings

    problems: list[Problem] = []
    fragments: Sequence[PurePosixPath] = ()
    try:
        fragments = fragments_of(root, path)
    except ProblemsFound as found:
        problems += found.problems
    texts: list[tuple[PurePosixPath, str | None]] = []
    for each in (path, *fragments):
        try:
            texts.append((each, read_text(root, each)))
        except ProblemsFound as found:
            problems += found.problems
            texts.append((each, None))
    return parse_settings(path.stem, texts, problems)


def fragments_of(root: Path, path: PurePosixPath) -> Sequence[PurePosixPath]:
    """Give NAME.d/*.toml in the order in which they are read."""
    return listed(root, path.with_suffix(".d"))


def listed(root: Path, directory: PurePosixPath) -> list[PurePosixPath]:
    """Give the settings in a directory, none where it is not there; else raises as `read_text`."""
    try:
        names = os.listdir(below(root, directory))  # noqa: PTH208 — names, not paths
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refused(directory, error) from None
    # Hidden ones are what an editor keeps beside the file that it has open.
    shown = [name for name in names if name.endswith(".toml") and not name.startswith(".")]
    return [directory / name for name in sorted(shown)]


def refused(path: PurePosixPath, error: OSError) -> NeedsRoot | ProblemsFound:
    """Give the exception for what the kernel said; what only root may read is nobody's mistake."""
    what = error.strerror or "can't be read"
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return NeedsRoot(f"{place_of(path)}: {what}. Run it as root.")
    return ProblemsFound([Problem(where=place_of(path), what=what)])


def below(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/")


def read_text(root: Path, path: PurePosixPath) -> str:
    """Read settings: who can write there decides what leaves the tunnel, so it must be root alone.

    The files of another tree (`--root DIR`) are its builder's own matter. Raises ProblemsFound, or
    NeedsRoot where this user may not read it.
    """
    try:
        if root == Path("/"):
            return read_trusted(str(path), secret=False).decode()
        return below(root, path).read_text(encoding="utf-8")
    except Failure as failure:
        if isinstance(failure.__cause__, OSError):
            raise refused(path, failure.__cause__) from None
        raise ProblemsFound([problem_of(failure)]) from None
    except OSError as error:
        raise refused(path, error) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(
            where=f"{place_of(path)}:{line}", what="is not UTF-8 text", hint="Save it as UTF-8"
        )
        raise ProblemsFound([problem]) from None


def inside(root: Path, path: PurePosixPath) -> Path:
    """Give where `path` lies, to be changed. Raises OperationFailed if links lead out of `root`."""
    real = below(root, path)
    if not real.parent.resolve().is_relative_to(root.resolve()):
        what = f"a symbolic link leads out of {root}"
        raise OperationFailed(f"change {path}", what, "Put a directory in the place of the link")
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
    except OSError as error:
        error.filename = os.fspath(path)  # a full disk names none
        raise
    finally:
        os.close(directory)


def create_file(root: Path, path: PurePosixPath, data: bytes, mode: int) -> None:
    """Write a file that is not there yet, in one step, and /etc/wgconfine where that is not there.

    Raises OperationFailed where something is in its place.
    """
    below(root, path.parent).mkdir(mode=0o755, parents=True, exist_ok=True)
    real = inside(root, path)
    if os.path.lexists(real):
        what = "something of that name is there already"
        raise OperationFailed(f"create {path}", what, "Remove or rename it")
    directory = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        replace_file(directory, real.name, data, mode)
    except OSError as error:
        error.filename = os.fspath(path)  # a full disk names none
        raise
    finally:
        os.close(directory)
