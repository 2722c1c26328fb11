"""docs/faults.md is what the record says, of every fault everywhere, and no row of it fails."""

from tests.faulttable.catalogue import FAULTS
from tests.faulttable.fault import PLACES
from tests.faulttable.table import PAGE, load_found, render


def test_the_page_is_what_the_record_says() -> None:
    """`make fault-table` writes both; nobody edits the page."""
    assert render(load_found()) == PAGE.read_text(encoding="utf-8")


def test_the_record_is_of_every_fault_on_every_machine() -> None:
    """A new fault comes with what was found."""
    wanted = {place.name: [each.name for each in FAULTS if each.applies(place)] for place in PLACES}
    assert wanted == {place: list(faults) for place, faults in load_found().items()}


def test_no_row_fails() -> None:
    """What fails is mended before it is recorded."""
    failed = {
        f"{place}: {name}: {found.failed}"
        for place, faults in load_found().items()
        for name, found in faults.items()
        if found.failed
    }
    assert set() == failed
