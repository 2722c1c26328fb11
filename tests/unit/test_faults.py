"""docs/faults.md is what the record says, and no row of the record fails in a container.

Of virtual machines, which may be emulated, a row may be missing or late: the page says so.
"""

import re

from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import PLACES, Found
from tests.faulttable.table import PAGE, load_found, render

LATE = re.compile(r"well after [0-9.]+ (s|ticks)")


def test_the_page_is_what_the_record_says() -> None:
    """`make fault-table` writes both; nobody edits the page."""
    assert render(load_found()) == PAGE.read_text(encoding="utf-8")


def rows(*, kernel: bool) -> dict[str, dict[str, Found]]:
    places = [place.name for place in PLACES if place.kernel is kernel]
    return {name: faults for name, faults in load_found().items() if name in places}


def test_the_record_is_of_every_fault_in_every_container() -> None:
    """A new fault comes with what was found."""
    places = [place for place in PLACES if not place.kernel]
    wanted = {place.name: [each.name for each in FAULTS if each.applies(place)] for place in places}
    assert wanted == {place: list(faults) for place, faults in rows(kernel=False).items()}


def test_no_row_of_a_container_fails() -> None:
    """What fails is mended before it is recorded."""
    failed = {
        f"{place}: {name}: {found.failed}"
        for place, faults in rows(kernel=False).items()
        for name, found in faults.items()
        if found.failed
    }
    assert set() == failed


def test_rows_of_virtual_machines_are_late_at_most() -> None:
    """Not one foreign packet, and the right end."""
    failed = {
        f"{place}: {name}: {found.foreign}, {found.failed}"
        for place, faults in rows(kernel=True).items()
        for name, found in faults.items()
        if found.foreign or (found.failed and not LATE.fullmatch(found.failed))
    }
    assert set() == failed
