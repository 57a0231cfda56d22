"""Compare a text with a file in `data`; TESTBED_UPDATE_GOLDEN=1 writes the file instead, to be read in the diff before it is committed."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(__file__).parent / "data"


def assert_golden(name: str, text: str) -> None:
    """Fail unless `text` is what the file `name` holds."""
    file = DATA / name
    if os.environ.get("TESTBED_UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert text == file.read_text(), f"{file} holds something else; if that is meant, run again with TESTBED_UPDATE_GOLDEN=1 and read the diff"
