"""``python -m services.cloudfront --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("cloudfront"))
