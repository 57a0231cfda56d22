"""``python -m services.nlb --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("nlb"))
