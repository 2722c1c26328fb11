"""`python -m wgconfine`, and what `wgconfine` calls."""

import gc
import sys


def main() -> int:
    """Run the command line; an interruption before it listens for one is no traceback either."""
    # A command ends before there is garbage worth looking for, and `status` is typed often.
    gc.set_threshold(100_000)
    try:
        from wgconfine.cli.main import main as run  # noqa: PLC0415 — see above

        return run()
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
