"""``python -m services.transit_gateway_flow_log --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("transit_gateway_flow_log"))
