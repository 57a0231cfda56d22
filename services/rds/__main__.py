"""``python -m services.rds --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("rds"))
