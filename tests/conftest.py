"""What every test run shares: hypothesis's profiles, and no skip in CI that nobody expected.

Profiles: `ci` (the same examples each time, a failing one not made smaller; taken when CI=true), `dev` (new examples each time) and `long` (many; for a night).
HYPOTHESIS_PROFILE names one explicitly.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
EXPECTED_SKIPS_FILE = Path(__file__).parent / "expected_skips.txt"

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, phases=(Phase.explicit, Phase.generate), suppress_health_check=(HealthCheck.too_slow,), print_blob=True)
settings.register_profile("dev", deadline=None, max_examples=60, suppress_health_check=(HealthCheck.too_slow,))
settings.register_profile("long", deadline=None, max_examples=3000, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))


class UnexpectedSkips:
    """Turns a run with a skip that `expected` does not name (by a substring of its reason) into a failed one, and lists such skips."""

    def __init__(self, expected: tuple[str, ...]) -> None:
        self.expected = expected
        self.unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(words in reason for words in self.expected):
            self.unexpected.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected:
            terminalreporter.section(f"skipped, but not expected by {EXPECTED_SKIPS_FILE.name}", red=True)
            for line in self.unexpected:
                terminalreporter.line(line)


def expected_skips(text: str) -> tuple[str, ...]:
    """The substrings that a file like `expected_skips.txt` names: one a line, no comments."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def pytest_configure(config: pytest.Config) -> None:
    if IN_CI and not hasattr(config, "workerinput"):  # with xdist, the controller hears of every worker's tests
        config.pluginmanager.register(UnexpectedSkips(expected_skips(EXPECTED_SKIPS_FILE.read_text())), "unexpected-skips")
