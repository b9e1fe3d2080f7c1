"""The house is as docs/architecture.md draws it: the order of the folders is the flow of the data."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import seqlab
from seqlab.config import conf_dir, resolve_class

SOURCE = Path(seqlab.__file__).parent
#: From left to right; a module imports from its own room and those before it.
ORDER = (
    ("_version",),
    ("errors",),
    ("config",),
    ("data",),
    ("cells",),
    ("nn",),
    ("tasks",),
    ("runs",),
    ("training",),
    ("restore",),
    ("evaluate", "predict", "listing", "doctor", "rerun"),
    ("sweep",),
    ("table", "compare"),
    ("report",),
    ("reproduce",),
    ("__main__",),
)
RANK = {name: place for place, names in enumerate(ORDER) for name in names}
#: Rooms below the border with Hydra.
NO_HYDRA = ("errors", "config", "data", "cells", "nn", "tasks", "runs", "table", "compare", "report")
MODULES = sorted(SOURCE.rglob("*.py"))


def room(file: Path) -> str:
    """The first folder (or module) below seqlab."""
    part = file.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


def imports(file: Path, inside_functions: bool = True) -> Iterator[str]:
    """Every imported module's full name; those for type checking alone are left out."""
    tree = ast.parse(file.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(child for statement in node.body for child in ast.walk(statement))
        if not inside_functions and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped.update(child for child in ast.walk(node) if child is not node)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_a_module_imports_only_from_the_left(file: Path) -> None:
    here = room(file)
    if here == "__init__":
        return
    assert here in RANK, f"{here} has no place in the house"
    for name in imports(file, inside_functions=False):
        package, _, rest = name.partition(".")
        if package == "seqlab" and rest:
            there = rest.partition(".")[0]
            assert RANK[there] <= RANK[here], f"{here} imports {there}, which lies to its right"


@pytest.mark.parametrize("file", [f for f in MODULES if room(f) in NO_HYDRA], ids=lambda f: str(f.relative_to(SOURCE)))
def test_hydra_stops_at_training(file: Path) -> None:
    found = {name.partition(".")[0] for name in imports(file)}
    assert not found & {"hydra", "omegaconf"}
    if room(file) != "tasks":
        assert "lightning" not in found


@pytest.mark.parametrize("file", [f for f in MODULES if room(f) in ("runs", "compare", "report", "table")], ids=str)
def test_comparing_needs_no_torch(file: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(file, inside_functions=False)} & {"torch", "torchmetrics"}


SCHEMA = [f for group in ("cell", "model", "data", "task") for f in sorted((conf_dir() / group).glob("*.yaml"))]


@pytest.mark.parametrize("file", SCHEMA, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_the_constructor_is_the_schema(file: Path) -> None:
    """A yaml neither invents nor omits a parameter that has a default; another value than the default has a reason."""
    text = file.read_text()
    node = {k: v for k, v in yaml.safe_load(text).items() if k != "defaults"}
    cls = resolve_class(node.pop("_target_"), object)
    parameters = inspect.signature(cls).parameters
    given_at_run_time = {"outputs", "make_optimizer", "make_scheduler"}
    with_default = {n for n, p in parameters.items() if p.default is not p.empty} - given_at_run_time
    assert set(node) == with_default, f"{file.name} and {cls.__name__} differ"
    for line in text.splitlines():
        key, colon, rest = line.partition(":")
        if colon and key in node and not line.startswith((" ", "#")):
            default = parameters[key].default
            same = node[key] == default or list_like(node[key]) == list_like(default)
            assert same or "#" in rest or isinstance(node[key], dict), f"{file.name}: {key} differs without a reason"
    assert len([line for line in text.splitlines() if line.strip()]) <= 30


def list_like(value: object) -> object:
    return list(value) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_no_print_and_nothing_left_to_do(file: Path) -> None:
    tree = ast.parse(file.read_text())
    calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert "print" not in calls
    assert not {"TO" + "DO", "FIX" + "ME"} & set(file.read_text().split())
