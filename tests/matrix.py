"""On which systems a test runs: every Debian release of the lab, systemd 252, 257 and 262."""

import pytest

from lab import RELEASES

EVERYWHERE = tuple(RELEASES)
"""Parameters of tests whose every case is essential on each system."""


def ends() -> list[object]:
    """Parameters with the oldest and the newest, and what is between in `make test-long`.

    For what takes a minute or more on each, and has no text of its own for what is between.
    """
    oldest, *between, newest = RELEASES
    return [oldest, *(pytest.param(each, marks=pytest.mark.long) for each in between), newest]


def first(release: str) -> list[object]:
    """Parameters with one release in every run, and the others in `make test-long`."""
    others = [each for each in RELEASES if each != release]
    return [release, *(pytest.param(each, marks=pytest.mark.long) for each in others)]
