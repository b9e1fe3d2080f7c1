"""Where conf/ lives, what it offers, and the one place where a config node becomes an object.

conf/ is the registry: an option's name is its file's name. This module reads plain YAML and imports neither Hydra nor
torch, so that listing is fast and everything to the right of it can ask for options by name.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from seqlab.errors import RequestError, did_you_mean

T = TypeVar("T")

#: Packages whose classes a config may name. A user's own are added by ``trust`` (command line) or SEQLAB_TRUST.
OWN_PACKAGES = ("seqlab", "torch", "lightning", "torchmetrics")


def conf_dir() -> Path:
    """Return the folder of shipped configs: inside the installed package, or beside src/ in a checkout."""
    here = Path(__file__).resolve().parent
    return here / "conf" if (here / "conf").is_dir() else here.parents[1] / "conf"


def search_path() -> list[Path]:
    """Return the config folders, the shipped one first, then those of SEQLAB_CONFIG_PATH (separated like PATH)."""
    extra = os.environ.get("SEQLAB_CONFIG_PATH", "")
    return [conf_dir(), *(Path(p).expanduser().resolve() for p in extra.split(os.pathsep) if p)]


def add_search_path(folder: str) -> None:
    """Look for configs in ``folder`` too, in this process and those it starts.

    Raises:
        RequestError: there is no such folder.
    """
    path = Path(folder).expanduser().resolve()
    if not folder or not path.is_dir():
        raise RequestError(f"--config-dir must be a folder of config groups; {folder!r} is not a folder.")
    known = os.environ.get("SEQLAB_CONFIG_PATH", "").split(os.pathsep)
    os.environ["SEQLAB_CONFIG_PATH"] = os.pathsep.join([*(p for p in known if p and p != str(path)), str(path)])


def _files(group: str) -> dict[str, Path]:
    return {p.stem: p for folder in search_path() for p in sorted((folder / group).glob("*.yaml"))}


def options(group: str) -> list[str]:
    """Return the names that a config group offers, sorted: ``options("cell")`` is ``['gru', 'lstm', ...]``.

    Raises:
        RequestError: there is no such group.
    """
    names = sorted(_files(group))
    if not names:
        groups = {p.name for folder in search_path() if folder.is_dir() for p in folder.iterdir() if p.is_dir()}
        raise RequestError(f"There is no config group {group!r}.{did_you_mean(group, groups)}")
    return names


def config_file(group: str, name: str) -> Path:
    """Return the yaml behind ``group=name``.

    Raises:
        RequestError: no such group or option; the message names the nearest.
    """
    available = options(group)
    if name not in available:
        raise RequestError(f"There is no {group} {name!r}.{did_you_mean(name, available)}")
    return _files(group)[name]


def load(group: str, name: str) -> dict[str, Any]:
    """Return one option's own keys as a plain dict (its ``defaults`` list left out, interpolations unresolved)."""
    node = yaml.safe_load(config_file(group, name).read_text(encoding="utf-8")) or {}
    node.pop("defaults", None)
    return dict(node)


def header(group: str, name: str) -> list[str]:
    """Return the fields of an option's first line: ``# what it is | authors year | source``."""
    return [field.strip() for field in next(iter(comments(group, name)), "").split("|")]


def comments(group: str, name: str) -> list[str]:
    """Return the comment lines that an option's file opens with, without their ``# ``; ``@package`` is left out."""
    lines = config_file(group, name).read_text(encoding="utf-8").splitlines()
    opening = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return [line.removeprefix("#").removeprefix(" ") for line in opening if not line.startswith("# @package")]


def is_reproduction(experiment: str) -> bool:
    """Return whether an experiment's header names the source of a published result."""
    return any(line.startswith("source:") for line in comments("experiment", experiment))


def trust(package: str) -> None:
    """Let configs name classes of ``package`` (a top-level name), in this process and those it starts.

    Called for ``--trust``; never from a config.
    """
    os.environ["SEQLAB_TRUST"] = ",".join(sorted({*_from_environment(), package}))


def trusted_packages() -> set[str]:
    """Return every top-level package whose classes a config may name."""
    return {*OWN_PACKAGES, *_from_environment()}


def _from_environment() -> set[str]:
    return {p for p in os.environ.get("SEQLAB_TRUST", "").split(",") if p}


def resolve_class(target: str, expected: type[T]) -> type[T]:
    """Import the class that ``target`` names and check that it is what its group holds.

    Args:
        target: full dotted path, such as ``seqlab.cells.gru.GRU``.
        expected: the base class that the group expects.

    Raises:
        RequestError: the path lies outside the trusted packages, does not exist, is not a class, was only imported
            into the module it is reached through, or is not an ``expected``.
    """
    package = target.partition(".")[0]
    if package not in trusted_packages():
        raise RequestError(
            f"_target_: {target} is outside the packages that a config may name"
            f" ({', '.join(sorted(trusted_packages()))})."
            f" If {package!r} is your own, pass `--trust {package}` or set SEQLAB_TRUST={package}."
        )
    module_name, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except ModuleNotFoundError as error:
        if not (error.name and (module_name + ".").startswith(error.name + ".")):
            raise  # the module is there and one of its own imports is not
        raise RequestError(f"_target_: {target} can't be imported: {error}.") from error
    except (AttributeError, ValueError) as error:
        raise RequestError(f"_target_: {target} can't be found: {error}.") from error
    wanted = f"a subclass of {expected.__module__}.{expected.__qualname__}"
    if not inspect.isclass(found) or not issubclass(found, expected):
        raise RequestError(f"_target_: {target} must be {wanted}; got {found!r}.")
    if found.__module__.partition(".")[0] not in trusted_packages():
        raise RequestError(f"_target_: {target} reaches into {found.__module__}, which a config may not name.")
    return found


def check_arguments(where: str, function: Callable[..., Any], names: Mapping[str, Any]) -> None:
    """Raise RequestError if ``function`` has no parameter for one of ``names``; all offenders are named at once."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = [name for name in names if name not in parameters]
    if unknown:
        hints = " ".join(f"{name!r}.{did_you_mean(name, set(parameters) - {'self'})}" for name in unknown)
        raise RequestError(f"{where} has no argument {hints}")


def check_types(where: str, function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise RequestError if a plain value does not fit the annotation of the parameter that it is for."""
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError):  # an annotation that can't be read at run time says nothing
        return
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise RequestError(f"{where}.{name} must be {_spoken(hints[name])}; got {value!r}.")


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value from yaml fits an annotation; True for annotations that plain values can't break."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, h) for h in inner)
    if origin is typing.Literal:
        return value in inner and type(value) in {type(i) for i in inner}
    if origin in (list, tuple, set, Sequence):
        elements = [h for h in inner if h is not Ellipsis]
        return isinstance(value, list | tuple) and all(any(_fits(v, h) for h in elements) for v in value if elements)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool, type(None)):
        return isinstance(value, hint)
    return getattr(hint, "__name__", "") != "Tensor"  # which no yaml holds


def _spoken(hint: Any) -> str:
    """Return an annotation in words: ``a whole number, or null``."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(dict.fromkeys(_spoken(h) for h in inner if getattr(h, "__name__", "") != "Tensor"))
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (list, tuple, set, Sequence):
        return f"a list (each {_spoken(inner[0])})" if inner else "a list"
    if origin in (dict, Mapping):
        return "a mapping"
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def build(node: Mapping[str, Any], expected: type[T], where: str = "config", **given: Any) -> T:
    """Turn a config node into an object: the only place in the project that does.

    Args:
        node: ``_target_`` and the constructor's arguments as plain values. Nested ``_target_`` nodes are refused.
        expected: the class of which ``_target_`` must be a subclass.
        where: the node's place in the config, for messages.
        given: run-time arguments that no yaml carries (sizes, a Spec, parameters).

    Raises:
        RequestError: the target is not allowed, an argument is unknown or missing, or the constructor refuses a value.
    """
    cls, arguments = _parts(node, expected, where)
    try:
        return cls(**arguments, **given)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{where}: {error}") from error


def factory(node: Mapping[str, Any], expected: type[T], where: str = "config") -> Callable[..., T]:
    """Return a checked function that builds ``node`` with run-time arguments given by keyword."""
    _parts(node, expected, where)

    def make(**given: Any) -> T:
        return build(node, expected, where, **given)

    return make


def _parts(node: Mapping[str, Any], expected: type[T], where: str) -> tuple[type[T], dict[str, Any]]:
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise RequestError(f"{where} must be a mapping with a _target_; got {node!r}.")
    _refuse_nested(node, where)
    cls, arguments = resolve_class(node["_target_"], expected), {k: v for k, v in node.items() if k != "_target_"}
    check_arguments(where, cls, arguments)
    check_types(where, cls, arguments)
    return cls, arguments


def _refuse_nested(node: Any, where: str, depth: int = 0) -> None:
    children = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, child in children:
        if isinstance(key, str) and key.startswith("_") and key.endswith("_") and (depth or key != "_target_"):
            raise RequestError(f"{where}.{key} is not allowed: a config node is one _target_ and plain values.")
        _refuse_nested(child, f"{where}.{key}", depth + 1)
