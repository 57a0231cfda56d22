"""``python -m services.aws --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("aws"))
