"""``python -m services.aws_state --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("aws_state"))
