"""What a unit is made of, before it is read."""

from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["UnitText"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitText:
    """One file that a unit is made of: its main file or a drop-in."""

    path: PurePosixPath
    text: str
