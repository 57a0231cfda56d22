"""``python -m services.identity_provider --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("identity_provider"))
