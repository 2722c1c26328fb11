"""`python -m wgconfine` is `wgconfine`."""

import sys

from wgconfine.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
