"""``python -m services.alb --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("alb"))
