"""A run in CI fails on a skip that nobody expected, and only there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


@pytest.fixture
def run(tmp_path):
    """Run pytest over a suite of one module with our conftest, where only "no kernel module" is an expected reason."""

    def run_suite(module: str, ci: str) -> subprocess.CompletedProcess[str]:
        shutil.copy(CONFTEST, tmp_path)
        (tmp_path / "expected_skips.txt").write_text("# a comment\n\nno kernel module\n")
        (tmp_path / "test_suite.py").write_text(module)
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HYPOTHESIS"))}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:testbed", "--rootdir", str(tmp_path), str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, env={**variables, "CI": ci}, capture_output=True, text=True, timeout=60)

    return run_suite


def skipping(reason: str) -> str:
    return f"import pytest\ndef test_one():\n    pytest.skip({reason!r})\ndef test_two():\n    pass\n"


def test_an_unexpected_skip_fails_the_run_and_is_listed(run):
    result = run(skipping("forgot the package"), "true")
    assert result.returncode == 1
    assert "not expected by expected_skips.txt" in result.stdout and "test_one: Skipped: forgot the package" in result.stdout


def test_a_skipped_module_counts_too(run):
    result = run("import pytest\npytest.skip('not today', allow_module_level=True)\n", "true")
    assert result.returncode == 1 and "not today" in result.stdout


def test_an_expected_skip_and_an_expected_failure_pass(run):
    result = run(skipping("there is no kernel module sch_netem") + "@pytest.mark.xfail\ndef test_three():\n    assert False\n", "true")
    assert result.returncode == 0, result.stdout


def test_outside_of_ci_any_skip_passes(run):
    assert run(skipping("forgot the package"), "").returncode == 0
