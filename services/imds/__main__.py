"""``python -m services.imds --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("imds"))
