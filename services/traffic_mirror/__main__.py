"""``python -m services.traffic_mirror --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("traffic_mirror"))
