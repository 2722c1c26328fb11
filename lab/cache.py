"""Slow things made once, in a folder per content hash; and scratch folders, thrown away."""

import fcntl
import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.progress import progress

KEEP_UNUSED_SECONDS = 6 * 3600
_numbers = itertools.count(1)


def cache_folder() -> Path:
    """Where the lab keeps roots and images; `WGCONFINE_LAB_CACHE` moves it."""
    folder = Path(os.environ.get("WGCONFINE_LAB_CACHE", "/var/cache/wgconfine-lab"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(*parts: object) -> str:
    """A short name for the content that `parts` describe."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def tree_digest(*paths: Path) -> str:
    """The digest of files and of all files below folders: names, modes and content."""
    found = sorted(
        file
        for path in paths
        for file in (path.rglob("*") if path.is_dir() else (path,))
        if file.is_file() and "__pycache__" not in file.parts
    )
    return digest(
        *((f, f.stat().st_mode, hashlib.sha256(f.read_bytes()).hexdigest()) for f in found),
    )


def cached(kind: str, key: str, what: str, build: Callable[[Path], None]) -> Path:
    """The folder `kind-key`, filled by `build` if it is not there; two runs build it once."""
    folder = cache_folder() / f"{kind}-{key}"
    with locked(cache_folder() / f".{kind}.lock"):
        if not folder.exists():
            _prune(kind)
            unfinished = cache_folder() / f".{folder.name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            with progress(what):
                build(unfinished)
            unfinished.rename(folder)
        _touch(folder)
    return folder


def _touch(folder: Path) -> None:
    (folder.parent / f".{folder.name}.used").touch()


def _prune(kind: str) -> None:
    """Remove siblings nobody asked for in a while; younger ones may be in use by another run."""
    for used in cache_folder().glob(f".{kind}-*.used"):
        if time.time() - used.stat().st_mtime > KEEP_UNUSED_SECONDS:
            shutil.rmtree(used.parent / used.name[1 : -len(".used")], ignore_errors=True)
            used.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one of all runs and workers who is in such a block."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def scratch_name() -> str:
    """A name that says which process it belongs to: a later run sweeps after a killed one."""
    return f"wgconfine-lab.{os.getpid()}.{next(_numbers)}"


def scratch_folder() -> Path:
    """A new folder for one machine. Folders of processes that are gone are removed on the way."""
    parent = cache_folder() / "scratch"
    parent.mkdir(exist_ok=True)
    for stale in orphans(parent):
        shutil.rmtree(stale, ignore_errors=True)
    folder = parent / scratch_name()
    folder.mkdir()
    return folder


def orphans(parent: Path) -> list[Path]:
    """The scratch entries of `parent` whose process is gone."""
    return [
        entry
        for entry in parent.glob("wgconfine-lab.*")
        if not Path("/proc", entry.name.split(".")[1]).exists()
    ]
