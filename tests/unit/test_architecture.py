"""The structure that design.md promises: who may import whom, what the top level holds, and how processes are started.

Imports are read from the sources with `ast`, those inside functions and under TYPE_CHECKING too; nothing is imported.
"""

from __future__ import annotations

import ast
import fnmatch
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("testbed", "services", "topologies")
ENTRIES = {"setup.cfg", "README.md", "Vagrantfile", "testbed", "topologies", "services", "tests", "pyproject.toml", "LICENSE"}
LONGEST_MODULE_LINES = 400
EXCUSE = "Longer than 400 lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a package may import besides itself and the standard library. A pattern allows the module and all below it.

    `by_name` is what it may only load with `import_module`, so that it does not depend on it.
    """

    ours: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()
    third_party: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


EVERYTHING = Allowance(ours=("testbed", "topologies", "services.*.config"), third_party=("*",))

# Testbed's packages by name; a package that is not here may import nothing.
TABLE = {
    "testbed.model": Allowance(),
    "testbed.plan": Allowance(),
    "testbed.resolve": Allowance(ours=("testbed.model",)),
    "testbed.oracle": Allowance(ours=("testbed.model", "testbed.resolve.references", "testbed.resolve.resolved")),
    "testbed.compile": Allowance(ours=("testbed.model", "testbed.resolve", "testbed.plan", "services.*.config")),
    "testbed.engine": Allowance(ours=("testbed.plan",), by_name=("services.common",), third_party=("*",)),  # its zygote gives daemons their surroundings
    "testbed.observe": Allowance(ours=("testbed.plan", "testbed.oracle", "services.common.events"), third_party=("scapy", "msgspec")),
    "testbed.scaling": Allowance(
        ours=("testbed.model", "testbed.plan", "testbed.resolve.resolved", "testbed.observe.lab_view", "testbed.engine.errors", "testbed.engine.status", "services.common.events"), third_party=("msgspec",)
    ),
    "testbed.cli": EVERYTHING,
    "testbed.lab": EVERYTHING,  # what people start labs with …
    "testbed.mn": EVERYTHING,  # … and what `mn` starts them with
    "testbed.labs": EVERYTHING,
    "testbed.pytest_plugin": EVERYTHING,
    "testbed": Allowance(),  # its __init__
    "services.common": Allowance(third_party=("*",)),
    "services": Allowance(ours=("services.*",), third_party=("*",), never=("services.*.server", "services.*.__main__")),
    "topologies": Allowance(ours=("testbed.model", "testbed.mn")),
}


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of ours by its dotted name."""
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(sources())


def imports(module: str, source: str, is_package: bool = False) -> Iterator[str]:
    """The dotted names that a module imports, absolute; of ``from a import b`` it is ``a.b`` where that is a module of ours."""
    base = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                above = base.split(".")[: len(base.split(".")) - node.level + 1]
                start = ".".join((*above, start)).strip(".")
            for alias in node.names:
                inner = f"{start}.{alias.name}"
                yield inner if inner in MODULES else start


def loads(source: str) -> Iterator[str]:
    """The dotted names that are written out in calls of `import_module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def package_of(module: str) -> str:
    """The row of TABLE that governs `module`: the longest name that leads to it."""
    return max((name for name in TABLE if covers(name, module)), key=len)


def covers(pattern: str, module: str) -> bool:
    wanted = pattern.split(".")
    have = module.split(".")
    return len(have) >= len(wanted) and all(fnmatch.fnmatchcase(part, want) for part, want in zip(have, wanted, strict=False))


def is_allowed(module: str, target: str) -> bool:
    """Whether `module` may import `target`."""
    package = package_of(module)
    top = target.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    allowance = TABLE[package]
    if top not in OURS:
        return any(fnmatch.fnmatchcase(top, name) for name in allowance.third_party)
    own = ".".join(module.split(".")[:2]) if package == "services" else package  # each kind of service is a package by itself
    if package != "testbed" and covers(own, target):
        return True
    return any(covers(pattern, target) for pattern in allowance.ours) and not any(covers(pattern, target) for pattern in allowance.never)


def violations(module: str, source: str, is_package: bool = False) -> Iterator[str]:
    """Each import of `module` that the table does not allow."""
    yield from (f"{module} imports {target}" for target in imports(module, source, is_package) if not is_allowed(module, target))
    by_name = TABLE[package_of(module)].by_name
    yield from (f"{module} loads {target}" for target in loads(source) if not is_allowed(module, target) and not any(covers(pattern, target) for pattern in by_name))


@pytest.mark.parametrize("package", sorted(TABLE))
def test_a_package_imports_only_what_the_table_allows(package: str) -> None:
    assert [violation for module, path in MODULES.items() if package_of(module) == package for violation in violations(module, path.read_text(), path.name == "__init__.py")] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("testbed.model.vpc", "import aiohttp"),
        ("testbed.model.vpc", "from testbed.plan import Node"),
        ("testbed.plan.network", "def f():\n    import testbed.model"),
        ("testbed.resolve.routes", "from testbed import oracle"),
        ("testbed.oracle.walk", "from testbed.resolve.routes import effective_routes"),
        ("testbed.compile.load_balancer", "from services.alb.core import choose"),
        ("testbed.engine.apply", "from testbed.model import Vpc"),
        ("testbed.engine.zygote", "import services.common.runtime"),
        ("testbed.engine.zygote", "importlib.import_module('testbed.compile')"),
        ("testbed.observe.explain", "from ..engine import netlink"),
        ("services.dns.server", "import testbed.model"),
        ("services.common.main", "from services.dns import config"),
        ("services.cloudfront.core", "from services.alb.server import serve"),
        ("topologies.web_app", "from testbed.lab import Lab"),
        ("testbed.brand_new.module", "import testbed.model"),
    ],
)
def test_an_import_against_the_table_is_noticed(module: str, source: str) -> None:
    assert list(violations(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("testbed.compile.load_balancer", "from services.alb.config import Config"),
        ("services.cloudfront.core", "from services.alb.core import parse"),
        ("services.alb.__main__", "from services.alb.server import serve"),
        ("topologies.web_app", "from testbed.model import *\nfrom testbed.mn import mininet_topos"),
        ("testbed.engine.zygote", "importlib.import_module('services.common.runtime')"),
        ("testbed.lab", "from testbed.engine import sandbox\nimport topologies"),
        ("testbed.model.vpc", "import json\nfrom .values import Fault"),
    ],
)
def test_an_import_within_the_table_is_let_be(module: str, source: str) -> None:
    assert list(violations(module, source)) == []


DERIVED = ("route_tables", "subnets", "network_acls", "security_groups", "members")
"""What `Resolved` concludes, as opposed to the addresses it chooses: the oracle draws its own conclusions."""


def conclusions_used(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in DERIVED and ast.unparse(node.value).split(".")[-1].strip("_") == "resolved":
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_the_oracle_takes_no_conclusion_from_resolve() -> None:
    assert [f"{module} {use}" for module, path in MODULES.items() if module.startswith("testbed.oracle") for use in conclusions_used(path.read_text())] == []


@pytest.mark.parametrize("source", ["for table in resolved.route_tables: pass", "x = self._resolved.members"])
def test_a_conclusion_taken_from_resolve_is_noticed(source: str) -> None:
    assert list(conclusions_used(source))


def test_every_package_of_the_testbed_is_in_the_table() -> None:
    packages = {".".join(module.split(".")[:2]) for module in MODULES if module.startswith("testbed.")}
    assert packages <= set(TABLE)


def test_the_top_level_holds_what_the_design_names_and_dotfiles() -> None:
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)}
    assert found == ENTRIES


def calls_through_a_shell(source: str) -> Iterator[int]:
    """Lines on which a process is started from a shell string."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if any(keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False) for keyword in node.keywords):
            yield node.lineno
        name = ast.unparse(node.func)
        if name in ("os.system", "os.popen") or name.endswith("create_subprocess_shell"):
            yield node.lineno


def test_processes_are_started_from_argument_lists() -> None:
    assert [f"{module}:{line}" for module, path in MODULES.items() for line in calls_through_a_shell(path.read_text())] == []


@pytest.mark.parametrize("source", ["subprocess.run(command, shell=True)", "os.system('ip link')", "asyncio.create_subprocess_shell(x)"])
def test_a_shell_string_is_noticed(source: str) -> None:
    assert list(calls_through_a_shell(source)) == [1]


def test_a_long_module_says_why_it_is_long() -> None:
    long = {module: path.read_text() for module, path in MODULES.items() if len(path.read_text().splitlines()) > LONGEST_MODULE_LINES}
    assert [module for module, source in long.items() if EXCUSE not in (ast.get_docstring(ast.parse(source)) or "")] == []


def test_modules_say_what_they_decide() -> None:
    assert [module for module, path in MODULES.items() if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))] == []
