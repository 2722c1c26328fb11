"""What is typed often imports little (make bench measures it)."""

import subprocess  # noqa: TID253 — a test may take its time
import sys

import pytest

HEAVY = {
    "rich",
    "tomllib",
    "cattrs",
    "tomlkit",
    "prometheus_client",
    "typing",
    "tempfile",
    "hashlib",
}
"""What draws, what reads settings, and what costs more than what it is needed for."""
NOT_FOR_HELP = {"dataclasses", "pathlib", "shutil", "subprocess", "traceback"}


@pytest.mark.parametrize(
    ("program", "foreign"),
    [
        ("from wgconfine.cli.main import build_parser; build_parser().format_help()", NOT_FOR_HELP),
        ("import wgconfine.cli.main, wgconfine.cli.status", set[str]()),
    ],
)
def test_only_what_is_needed(program: str, foreign: set[str]) -> None:
    """Of a bare Python, which brings neither the tests nor the tools for them along."""
    path = [each for each in sys.path if each]
    begin = f"import sys; sys.path[:] = {path!r}; before = {{*sys.modules}}"
    end = "print(*({*sys.modules} - before))"
    argv = [sys.executable, "-I", "-S", "-c", f"{begin}; {program}; {end}"]
    modules = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()

    assert "wgconfine.cli.main" in modules
    assert set() == (HEAVY | foreign) & {*modules}
