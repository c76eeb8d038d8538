"""`python -m bascule_lab`."""

import sys

from bascule_lab.cli import main

sys.exit(main())
