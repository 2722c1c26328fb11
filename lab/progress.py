"""One line on stderr for each thing that takes long: what it is, then how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say `what` now and the seconds it took afterwards."""
    started = time.monotonic()
    print(f"lab: {what} …", end="", file=sys.stderr, flush=True)
    outcome = "failed after "
    try:
        yield
        outcome = ""
    finally:
        print(f"  {outcome}{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
