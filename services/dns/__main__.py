"""``python -m services.dns --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("dns"))
