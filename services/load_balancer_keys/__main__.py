"""``python -m services.load_balancer_keys --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("load_balancer_keys"))
