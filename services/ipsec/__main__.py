"""``python -m services.ipsec --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("ipsec"))
