"""`python -m wgconfine`, and what `wgconfine` calls."""

import gc
import os
import sys
from contextlib import suppress


def main() -> int:
    """Run the command line; an interruption before it listens for one is no traceback either."""
    # A command ends before there is garbage worth looking for, and `status` is typed often.
    gc.set_threshold(100_000)
    try:
        from wgconfine.cli.main import main as run  # noqa: PLC0415 — see above

        return run()
    except KeyboardInterrupt:
        return 1


def run_and_leave() -> None:
    """Run the command line, and end at once.

    Python would take apart all that was imported, in more than a tenth of the time of `status`.
    Standard error keeps no whole line back; that standard output could not be written was said.
    """
    code = main()
    with suppress(OSError, ValueError, AttributeError):  # it may be closed
        sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    run_and_leave()
