"""``python -m services.global_accelerator --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("global_accelerator"))
