"""From what a person types to a topology: a name of the `topologies` package, or a file, ``FILE.py`` or ``FILE.py:function``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from testbed.cli.exits import BadSource

if TYPE_CHECKING:
    from testbed.model import Topology

UNKNOWN_ARGUMENT = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A topology of the package: its name and the first line about it."""

    name: str
    summary: str


def known() -> tuple[Named, ...]:
    """Every topology of the package, by name; nothing is imported, only read."""
    import ast

    import topologies

    found = []
    for module in pkgutil.iter_modules(topologies.__path__):
        path = Path(topologies.__path__[0]) / f"{module.name}.py"
        if module.name.startswith("_") or not path.exists():
            continue
        tree = ast.parse(path.read_bytes())
        if any(isinstance(node, ast.FunctionDef) and node.name == module.name for node in tree.body):
            found.append(Named(name=module.name, summary=(ast.get_docstring(tree) or "").split("\n")[0]))
    return tuple(sorted(found, key=lambda named: named.name))


def load(source: str) -> Topology:
    """The topology that `source` names. Raises `BadSource`."""
    from testbed.model import Topology

    function = _function(source)
    try:
        topology = function()
    except Exception as error:  # whatever a person's function may raise
        raise _raised(error, inspect.getfile(function)) from error
    if not isinstance(topology, Topology):
        raise BadSource(f"{source} returned {type(topology).__name__}, not a Topology", "return Topology(name=…, resources=(…)) from it")
    return topology


def absolute(source: str) -> str:
    """`source` such that it is found again from any directory."""
    if not _is_file(source):
        return source
    path, separator, function = source.partition(".py")
    return f"{Path(f'{path}.py').resolve()}{function}" if separator else source


def _function(source: str) -> Callable[[], object]:
    if _is_file(source):
        return _function_of_file(source)
    names = [named.name for named in known()]
    if source not in names:
        near = difflib.get_close_matches(source, names, n=1)
        raise BadSource(f"no topology {source!r}", f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}; or give a FILE.py")
    function: Callable[[], object] = getattr(importlib.import_module(f"topologies.{source}"), source)
    return function


def _is_file(source: str) -> bool:
    return source.endswith(".py") or ".py:" in source or "/" in source


def _function_of_file(source: str) -> Callable[[], object]:
    head, _, name = source.partition(".py:")
    path = Path(source if not name else f"{head}.py")
    if not path.is_file():
        raise BadSource(f"no file {path}", "give the path of a Python file with a function that returns a Topology")
    module = _executed(path)
    wanted = name or path.stem
    function: Callable[[], object] | None = getattr(module, wanted, None)
    own = [value for value in vars(module).values() if inspect.isfunction(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")]
    if function is None and not name:
        function = own[0] if len(own) == 1 else None
    if function is None or not callable(function):
        raise BadSource(f"{path} has no function {wanted}", f"name the function that returns the Topology: {path}:{own[0].__name__ if own else 'FUNCTION'}{_others(own)}")
    return function


def _others(functions: Sequence[Callable[..., object]]) -> str:
    """The other functions of a file, in words."""
    return f" (or {', '.join(function.__name__ for function in functions[1:])})" if len(functions) > 1 else ""


def _executed(path: Path) -> ModuleType:
    name = f"testbed_topology_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadSource(f"{path} is not Python", "give a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a person's file may raise
        raise _raised(error, str(path)) from error
    return module


def _raised(error: Exception, path: str) -> BadSource:
    """What a person's file has raised, with its line."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == Path(path)]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else 1
    named = UNKNOWN_ARGUMENT.search(str(error)) if isinstance(error, TypeError) else None
    return BadSource(f"{path}:{line}: {type(error).__name__}: {error}", _properties(*named.groups()) if named else "correct the file")


def _properties(noun: str, wrong: str) -> str:
    """What a resource has instead of a property that it has not."""
    import dataclasses

    from testbed import model

    known = getattr(model, noun, None)
    names = [field.name for field in dataclasses.fields(known)] if dataclasses.is_dataclass(known) else []
    near = difflib.get_close_matches(wrong, names, n=1)
    return f"did you mean {near[0]}?" if near else f"{noun} has {', '.join(names)}" if names else "correct the file"
