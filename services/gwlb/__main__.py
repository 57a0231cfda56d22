"""``python -m services.gwlb --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("gwlb"))
