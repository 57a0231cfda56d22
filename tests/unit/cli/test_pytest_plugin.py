"""The pytest plugin, run as pytest runs it: nothing here starts a lab."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

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


SEES_ITS_OWN = """
import os, tempfile
from pathlib import Path

def test_x(lab_sandbox, tmp_path):
    assert "TESTBED_SANDBOX" in os.environ
    assert not Path({elsewhere!r}).exists() and not Path({beside!r}).exists()
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix={prefix!r}, delete=False) as made:
        made.write(b"private")
    (tmp_path / "written").write_text(os.readlink("/proc/self/ns/net"))
    (Path(__file__).parent / "in the checkout").write_text("written")
"""


@pytest.fixture
def elsewhere():
    """A file in the host's /tmp that is nobody's business; where these tests are in a sandbox, in the /tmp that they see."""
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="testbed-elsewhere-") as file:
        yield Path(file.name)


@pytest.mark.packets
@pytest.mark.parametrize("options", ((), ("-n", "2", "--dist", "each")), ids=("alone", "workers"))
def test_inside_the_hosts_temporary_files_are_neither_seen_nor_written(tmp_path, elsewhere, options):
    """pytest's own folders and the checkout are, though they lie in /tmp themselves: here, the checkout is `tmp_path`'s folder."""
    prefix = f"{elsewhere.name}-made-"
    checkout, report, base = tmp_path / "checkout", elsewhere.with_name(f"{elsewhere.name}.xml"), elsewhere.with_name(f"{elsewhere.name}-base")
    beside = tmp_path / "beside"
    for folder in (checkout, beside):
        folder.mkdir()
    text = SEES_ITS_OWN.format(elsewhere=str(elsewhere), beside=str(beside), prefix=prefix)
    try:
        done = pytest_says(checkout, text, *options, "-rs", f"--basetemp={base}", f"--junitxml={report}")
        if "this machine runs no labs" in done.stdout:
            pytest.skip("needs a sandbox")
        written = [path.read_text() for path in base.rglob("test_x0/written")]
        assert f"{2 if options else 1} passed" in done.stdout, done.stdout + done.stderr
        assert len({*written, str(Path("/proc/self/ns/net").readlink())}) == (3 if options else 2)
        assert (checkout / "in the checkout").read_text() == "written"
        assert 'failures="0"' in report.read_text()
        assert elsewhere.exists() and list(elsewhere.parent.glob(f"{prefix}*")) == []
    finally:
        report.unlink(missing_ok=True)
        shutil.rmtree(base, ignore_errors=True)
