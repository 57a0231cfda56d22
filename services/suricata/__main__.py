"""``python -m services.suricata --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("suricata"))
