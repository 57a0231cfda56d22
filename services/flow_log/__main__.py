"""``python -m services.flow_log --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("flow_log"))
