"""``python -m services.nlb_relay --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("nlb_relay"))
