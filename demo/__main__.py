"""`python -m demo`, from the top of the repository."""

import sys

from demo.demo import main

sys.exit(main())
