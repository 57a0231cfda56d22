"""``python -m services.gre --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("gre"))
