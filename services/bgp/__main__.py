"""``python -m services.bgp --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("bgp"))
