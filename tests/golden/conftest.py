"""Golden tests: what wgconfine writes and prints, compared with files that a person has read.

To take over what it writes now: `pytest tests/golden --update-golden`; then read `git diff`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent / "expected"

Files = dict[str, str]
"""Paths below a root; the text of a file, or `-> TARGET` for a symbolic link."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one command that updates them."""
    parser.addoption("--update-golden", action="store_true", help="write expected files anew")


def read_files(root: Path) -> Files:
    """Everything below `root` but directories."""
    return {
        path.relative_to(root).as_posix(): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether the expected files shall become what is there now."""
    return bool(request.config.getoption("--update-golden", default=False))


@pytest.fixture
def compare_text(*, update: bool) -> Callable[[str, str], None]:
    """Compare a text with the expected file of that name."""

    def compare(name: str, text: str) -> None:
        if update:
            (EXPECTED / name).write_text(text, encoding="utf-8")
        assert (EXPECTED / name).read_text(encoding="utf-8") == text

    return compare


@pytest.fixture
def compare_tree(*, update: bool) -> Callable[[str, Path], None]:
    """Compare the exact set of files below a directory, and their exact text."""

    def compare(name: str, root: Path) -> None:
        if update:
            shutil.rmtree(EXPECTED / name, ignore_errors=True)
            shutil.copytree(root, EXPECTED / name, symlinks=True)
        expected, actual = read_files(EXPECTED / name), read_files(root)
        assert sorted(expected) == sorted(actual)
        assert expected == actual

    return compare
