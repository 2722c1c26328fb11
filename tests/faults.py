"""Fault tables: a run is killed at each of its steps, or at some of them all over it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

__all__ = ["EXTENT", "Table"]

EXTENT = pytest.mark.parametrize(
    "most", [3, pytest.param(None, marks=pytest.mark.long)], ids=["some", "every"]
)
"""How many steps are tried in the ordinary test; `make test-long` tries every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The steps of a clean run, as kill-at.py names them, and at how many of them it is killed."""

    steps: tuple[str, ...]
    most: int | None

    def numbers(self) -> Iterator[int]:
        """Give the steps to kill at, from 1: the first, the last, and evenly between them."""
        last = len(self.steps)
        count = last if self.most is None else min(self.most, last)
        for each in range(count):
            yield 1 + each * (last - 1) // max(1, count - 1)

    def describe(self) -> str:
        """What the summary of the test run says of it."""
        return f"{len(self.steps)} steps, killed at {len(list(self.numbers()))} of them"
