"""``python -m services.instance --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("instance"))
