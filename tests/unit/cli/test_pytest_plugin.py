"""The pytest plugin, run as pytest runs it: nothing here starts a lab."""

import os
import subprocess
import sys
from pathlib import Path

from testbed.engine.sandbox import INSIDE


def pytest_says(directory: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(text)
    outside = {name: value for name, value in os.environ.items() if name != INSIDE}  # as a person starts it, even where these tests run in a sandbox
    return subprocess.run((sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={directory}", *options, "test_it.py"), cwd=directory, env=outside, capture_output=True, text=True, check=False)


def test_a_test_with_lab_must_say_of_which_topology(tmp_path):
    done = pytest_says(tmp_path, "def test_x(lab): pass\n")
    assert done.returncode != 0
    assert 'test_x uses the fixture `lab` without saying of which topology (remedy: @pytest.mark.topology("web_app"))' in done.stdout


def test_tests_are_named_after_their_topology_and_collecting_starts_nothing(tmp_path):
    done = pytest_says(tmp_path, 'import pytest\n@pytest.mark.topology("web_app")\ndef test_x(lab): pass\n', "--collect-only")
    assert "test_it.py::test_x[web_app]" in done.stdout
    assert done.returncode == 0


def test_a_projects_own_fixture_called_lab_is_left_alone(tmp_path):
    done = pytest_says(tmp_path, "import os, pytest\n@pytest.fixture\ndef lab(): return 3\ndef test_x(lab): assert lab == 3 and 'TESTBED_SANDBOX' not in os.environ\n")
    assert done.returncode == 0, done.stdout


def test_a_worker_that_may_not_make_a_sandbox_skips_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_SANDBOX_REFUSED", "no user namespaces")
    done = pytest_says(tmp_path, 'import pytest\n@pytest.mark.topology("web_app")\ndef test_x(lab): pass\n', "--no-lab-sandbox", "-rs")
    assert "1 skipped" in done.stdout and "this machine runs no labs: no user namespaces" in done.stdout
