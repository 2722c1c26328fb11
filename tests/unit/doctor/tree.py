"""A root directory in which a test puts what a machine would have."""

from pathlib import Path


def write(root: Path, path: str, text: str) -> Path:
    """Write a file below `root`, with its directories."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place
