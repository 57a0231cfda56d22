"""``python -m services.web_server --config FILE [--check]``."""

import sys

from services.common.main import main

sys.exit(main("web_server"))
