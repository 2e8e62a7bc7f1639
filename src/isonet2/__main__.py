"""`python -m isonet2`: the command line."""

import sys

from isonet2.cli import main

sys.exit(main())
