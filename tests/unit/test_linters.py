"""The linters run as tests, so that `pytest` says everything that there is to say."""

import subprocess  # noqa: TID253 — a test may take its time
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)],
    ids=" ".join,
)
def test_linter_is_content(command: tuple[str, ...]) -> None:
    """No finding, in sources, lab and tests."""
    # As modules: what is in the environment of the tests, whatever PATH says.
    argv = [sys.executable, "-m", *command]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
