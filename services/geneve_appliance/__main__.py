"""``python -m services.geneve_appliance --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("geneve_appliance"))
