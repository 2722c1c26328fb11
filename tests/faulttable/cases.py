"""The rows of the fault table as cases of a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import PLACES, Fault, Place
from tests.faulttable.run import Runner

__all__ = ["cases", "runner"]

QUICK = "trixie-userspace"
"""Where every run tries the essential faults; `make test-long` tries all of them everywhere."""


@pytest.fixture(scope="module")
def runner(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[Runner]:
    """What tries faults on machines of a place."""
    with Runner(request.param, wheelhouse) as made:
        yield made


def cases(*, kernel: bool) -> list[object]:
    """Each fault on each place of a kind, place by place."""
    return [
        pytest.param(place, fault, id=f"{place.name}-{fault.name}", marks=marks(place, fault))
        for place in PLACES
        for fault in FAULTS
        if place.kernel is kernel and fault.applies(place)
    ]


def marks(place: Place, fault: Fault) -> list[pytest.MarkDecorator]:
    quick = place.name == QUICK and fault.essential
    return [] if quick else [pytest.mark.long]
