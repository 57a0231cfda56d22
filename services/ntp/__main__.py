"""``python -m services.ntp --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("ntp"))
