"""``@pytest.mark.topology("web_app")`` and the fixture `lab`.

    @pytest.mark.topology("web_app")
    def test_the_second_request_is_a_hit(lab):
        client = lab["client"]
        client.curl("https://shop.example.com/products")
        assert client.curl("https://shop.example.com/products").cache == "Hit"

The tests of a module that name the same topology share one lab, which is proved clean at its end (`cleanliness`). A run of which some collected test uses `lab` goes on
inside a sandbox after collection; ``--no-lab-sandbox`` opts out, for runs that are inside one already. With pytest-xdist the controller stays outside and
each worker is started through `worker`. A test that fails leaves its captures and the services' logs in ``testbed-failures/<test>/``.
Where the machine cannot make a sandbox, tests with `lab` are skipped with the reason.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from testbed.lab import Lab
    from testbed.model import Topology

FIXTURE = "lab"
SANDBOX_FIXTURE = "lab_sandbox"
FAILURES = "testbed-failures"
KEEP = "--keep"
"""What `worker` is told of a path that its tests see though it lies in the host's /tmp."""
REFUSED = "TESTBED_SANDBOX_REFUSED"
"""Environment variable of a worker that could not enter a sandbox: the reason."""
CALL_FAILED = pytest.StashKey[bool]()
SANDBOX_REFUSAL = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("testbed", "packet-level labs")
    group.addoption("--no-lab-sandbox", action="store_true", help="do not enter a sandbox for tests that use the `lab` fixture (this process is in one already)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "topology(name): the topology that the `lab` fixture runs: a name, a FILE.py, or, as topology.with_args(function), a function that returns a Topology")
    if reason := os.environ.get(REFUSED):
        config.stash[SANDBOX_REFUSAL] = reason


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start each local worker through `testbed.pytest_plugin.worker`."""
    if config.getoption("--no-lab-sandbox"):
        return
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]  # as xdist does, whose workers have their folders in the controller's
    kept = [word for path in (*_kept(config), factory.getbasetemp()) for word in (KEEP, str(path))]
    for spec in specs:
        if spec.popen and not spec.python:
            spec.python = shlex.join((sys.executable, "-m", "testbed.pytest_plugin.worker", *kept))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Enter the sandbox, once it is known that a test needs it."""
    config = session.config
    needs_sandbox = any(_uses_our_lab(item) or SANDBOX_FIXTURE in getattr(item, "fixturenames", ()) for item in session.items)
    if not needs_sandbox or config.option.collectonly or config.getoption("--no-lab-sandbox") or hasattr(config, "workerinput"):
        return
    from testbed.engine import sandbox
    from testbed.engine.errors import RealiseError

    try:
        sandbox.enter(keep=_kept(config))
    except RealiseError as error:
        config.stash[SANDBOX_REFUSAL] = str(error)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test with `lab` its topology as the fixture's parameter, so that pytest groups tests by it."""
    if not _uses_our_lab(metafunc.definition):
        return
    marker = metafunc.definition.get_closest_marker("topology")
    if marker is None or not marker.args:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} uses the fixture `lab` without saying of which topology (remedy: @pytest.mark.topology(\"web_app\"))")
    wanted = marker.args[0]
    metafunc.parametrize(FIXTURE, [wanted], indirect=True, scope="module", ids=[wanted if isinstance(wanted, str) else getattr(wanted, "__name__", "topology")])


@pytest.fixture(scope="session")
def lab_sandbox(request: pytest.FixtureRequest) -> None:
    """For tests that build labs themselves: the run is inside a sandbox. Skips where the machine cannot make one."""
    if (reason := request.config.stash.get(SANDBOX_REFUSAL, None)) is not None:
        pytest.skip(f"this machine runs no labs: {reason}")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, lab_sandbox: None) -> Iterator[Lab]:
    """The running lab of the test's topology, shared by the module's tests: ``lab["client"]``, ``lab.capture("igw-shop")``, ``lab.net``."""
    from testbed.lab import Lab
    from testbed.pytest_plugin.cleanliness import Cleanliness

    running = Lab(_topology(request.param, request.config))
    with contextlib.ExitStack() as ends:
        with _without_pytests_files(request.config):
            ends.enter_context(running)
        cleanliness = Cleanliness(running)
        yield running
        left = cleanliness.faults()
    if left:
        pytest.fail("the lab was not clean at the end of its module:\n" + "\n".join(f"  {fault}" for fault in left), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Remember for `_keep_what_was_seen` whether the test itself failed."""
    report = yield
    if report.when == "call":
        item.stash[CALL_FAILED] = report.failed
    return report


@pytest.fixture(autouse=True)
def _keep_what_was_seen(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a failure, save the test's captures and the logs."""
    if not _uses_our_lab(request.node):
        yield
        return
    running = request.getfixturevalue(FIXTURE)
    from testbed.observe.nodes import captures_of

    captures_of(running).clear()
    yield
    captures = captures_of(running)
    for capture in captures:
        capture.stop()
    if request.node.stash.get(CALL_FAILED, False):
        directory = request.config.rootpath / FAILURES / re.sub(r"[^\w.\[\]-]+", "_", request.node.nodeid)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for number, capture in enumerate(captures, 1):
            capture.save(directory / f"capture-{number}.pcapng")
        for log in sorted(running.log_directory.glob("*")):
            shutil.copy(log, directory)
        request.node.add_report_section("teardown", "testbed", f"captures and logs are in {directory}")
    captures.clear()


@contextlib.contextmanager
def _without_pytests_files(config: pytest.Config) -> Iterator[None]:
    """The lab's processes are forked in here, and close every descriptor that they do not know. Were pytest's streams and log handlers theirs,
    they would write to, or close, descriptors that mean something else by then."""
    capture = config.pluginmanager.getplugin("capturemanager")
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        with contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled():
            yield
    finally:
        root.handlers = handlers


def _uses_our_lab(item: Any) -> bool:
    """Whether a test uses this plugin's `lab`, and not one that a project calls so itself."""
    known = getattr(item, "_fixtureinfo", None)
    definitions: Sequence[Any] = known.name2fixturedefs.get(FIXTURE, ()) if known is not None else ()
    return bool(definitions) and definitions[-1].func.__module__ == __name__


def _topology(wanted: str | Callable[[], Topology], config: pytest.Config) -> Topology:
    from testbed.cli.source import load

    if callable(wanted):
        return wanted()
    path = config.rootpath / wanted.partition(".py:")[0]
    return load(str(config.rootpath / wanted)) if ".py" in wanted and (path.exists() or path.with_suffix(".py").exists()) else load(wanted)


def _kept(config: pytest.Config) -> tuple[Path, ...]:
    """What the run writes to or reads from, which must stay visible inside: nothing else of the host's /tmp does."""
    paths = {config.rootpath, config.invocation_params.dir}
    if config.option.basetemp:
        factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
        paths.add(factory.getbasetemp())  # made by that, here: inside it could not be made anew
    if xml := getattr(config.option, "xmlpath", None):
        report = Path(xml).absolute()
        report.parent.mkdir(parents=True, exist_ok=True)
        report.touch()
        paths.add(report)
    return tuple(sorted(path for path in paths if path.exists()))
