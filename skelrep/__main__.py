"""`python -m skelrep` is the command `skelrep`."""

import sys

from skelrep.cli import main

sys.exit(main())
