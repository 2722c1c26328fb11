"""`python -m wgconfine`, and what `wgconfine` calls."""

import sys


def main() -> int:
    """Run the command line; an interruption before it listens for one is no traceback either."""
    try:
        from wgconfine.cli.main import main as run  # noqa: PLC0415 — see above

        return run()
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
