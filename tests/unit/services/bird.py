"""BIRD itself as the judge of a configuration."""

import shutil
import subprocess
from pathlib import Path

import pytest

SEARCH_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"


def checked_by_bird(text: str, folder: Path) -> None:
    """Fail with BIRD's words unless it takes `text`; skip where there is no BIRD."""
    program = shutil.which("bird", path=SEARCH_PATH)
    if program is None:
        pytest.skip("needs the program bird")
    file = folder / "bird.conf"
    file.write_text(text)
    done = subprocess.run([program, "-p", "-c", str(file)], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
