"""The header of an experiment that reproduces a published result: one YAML mapping in comment lines, checked.

After the line that every option opens with go, each behind ``# ``, the keys of `Header`; `source` makes the experiment
a reproduction.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from seqlab.compare.facts import leaves
from seqlab.config import check_arguments, check_types, comments, config_file, header, is_reproduction, options
from seqlab.errors import RequestError, did_you_mean
from seqlab.reproduce.preset import FOLD, Reproduction, Row, key_of, plain

SPLITS = ("train", "val", "test")
GENERATED = "generated"


@dataclass(frozen=True)
class Header:
    """The keys of a header as its yaml has them.

    Attributes:
        source: the paper: authors, year, number, table.
        protocol: the paper's, and in what ours differs.
        file: the public file's name or names, or ``generated``.
        metric: full name or names (``test/mse``); the first is judged.
        published: row to the published number, or to a list of one for each metric; may be empty.
        runs: the sweep in the words of the command line.
        sha256: of the file, or file name to hash.
        floor: name of a trivial predictor of the run record, or row to a published floor.
        tolerance: relative distance up to which a value counts as reproduced.
        miss: relative distance beyond which it counts as missed; .05, or the tolerance where that is larger.
        two_sided: whether a score better than published counts as a distance too, as where chance is published.
        over: what the interval is over.
        note: why it is missed, what was tried.
    """

    source: str
    protocol: str
    file: str | list[str]
    metric: str | list[str]
    published: dict[str, Any]
    runs: str
    sha256: str | dict[str, Any] | None = None
    floor: str | dict[str, Any] | None = None
    tolerance: float = 0.03
    miss: float | None = None
    two_sided: bool = False
    over: Literal["seed", "data.fold"] = "seed"
    note: str = ""


def reproductions() -> list[str]:
    """Return the names of the experiments that reproduce a published result."""
    return [name for name in options("experiment") if is_reproduction(name)]


def load(name: str) -> Reproduction:
    """Return an experiment's checked header.

    Raises:
        RequestError: there is no such experiment, it reproduces nothing, or its header is wrong.
    """
    known = reproductions()
    if name not in known:
        if name in options("experiment"):
            raise RequestError(f"Experiment {name!r} reproduces nothing: its header has no line `# source:`.")
        raise RequestError(f"There is no reproduction {name!r}.{did_you_mean(name, known)}")
    where = f"experiment/{config_file('experiment', name).name}: header"
    return _Reading(where, _mapping(name, where)).reproduction(name)


def values_of(word: str, where: str) -> tuple[str, ...]:
    """Return the values that a word of a sweep lists for its key.

    Raises:
        RequestError: it is no override with a value or a list of values.
    """
    try:
        parsed = OverridesParser.create().parse_override(word)
        if parsed.is_sweep_override() and not parsed.is_discrete_sweep():
            raise RequestError(f"{where}: {word} is an interval; list its values.")
        found = list(parsed.sweep_string_iterator()) if parsed.is_sweep_override() else [word.partition("=")[2]]
    except HydraException as error:
        reason = next(iter(str(error).splitlines()), "")
        raise RequestError(f"{where}: {word!r} is no override such as cell=gru,lstm: {reason}.") from error
    if not found or parsed.is_delete():
        raise RequestError(f"{where}: {word!r} gives no value.")
    return tuple(map(str, found))


class _Loader(yaml.SafeLoader):
    """YAML in which a key that occurs twice is an error: a number would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _mapping(name: str, where: str) -> dict[str, Any]:
    text = "\n".join(comments("experiment", name)[1:])
    try:
        found = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        mark = getattr(error, "problem_mark", None)
        line = f" near {text.splitlines()[mark.line]!r}" if mark and mark.line < len(text.splitlines()) else ""
        raise RequestError(
            f"{where} is no YAML mapping: {problem}{line}. Quote a text that holds ': ' or ' #'."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise RequestError(f"{where} must be one mapping of `key: value` lines; got {found!r}.")
    check_arguments(where, Header, found)
    required = [f.name for f in fields(Header) if f.default is MISSING]
    if missing := [key for key in required if key not in found]:
        raise RequestError(f"{where} lacks {', '.join(missing)}. A reproduction states {', '.join(required)}.")
    check_types(where, Header, found)
    return found


class _Reading:
    """From a header's raw values to a Reproduction."""

    def __init__(self, where: str, raw: Mapping[str, Any]) -> None:
        self.where, self.header = where, Header(**raw)
        self.words = self._words()
        self.listed = {key: values_of(word, f"{where}.runs") for key, word in self.words.items()}
        self.over = ("seed",) if self.header.over == "seed" else ("seed", FOLD)
        self.metrics = self._metrics()

    def reproduction(self, name: str) -> Reproduction:
        """Return it.

        Raises:
            RequestError: a value is wrong.
        """
        h = self.header
        if h.over == FOLD and FOLD not in self.listed:
            raise self._wrong("over", f"is {FOLD}, which runs does not list; add {FOLD}=0,1,...")
        what, expects, takes = (*header("experiment", name), "", "")[:3]
        tolerance, miss = self._distances()
        files = tuple(file for file in _several(h.file) if file != GENERATED)
        return Reproduction(
            name=name,
            title=(what, expects, takes),
            source=h.source,
            protocol=h.protocol,
            files=files,
            sha256=self._hashes(files),
            metrics=self.metrics,
            published={self._row(k, "published"): self._numbers(k, v) for k, v in h.published.items()},
            floor=self._floor(),
            tolerance=tolerance,
            miss=miss,
            two_sided=h.two_sided,
            runs=self.words,
            listed=self.listed,
            over=self.over,
            note=h.note,
            settings=_settings(name),
        )

    def _wrong(self, key: str, what: str) -> RequestError:
        return RequestError(f"{self.where}.{key} {what}.")

    def _words(self) -> dict[str, str]:
        try:
            words = shlex.split(self.header.runs)
        except ValueError as error:
            raise self._wrong("runs", f"can't be split into words: {error}") from error
        found: dict[str, str] = {}
        for word in words:
            key = key_of(word)
            if "=" not in word or key in ("experiment", "name"):
                raise self._wrong(
                    "runs", f"takes overrides such as cell=gru,lstm, without experiment and name; got {word!r}"
                )
            if key in found:
                raise self._wrong("runs", f"names {key} twice")
            found[key] = word
        return found

    def _metrics(self) -> tuple[str, ...]:
        metrics = _several(self.header.metric)
        if not metrics:
            raise self._wrong("metric", "names no metric")
        for name in metrics:
            split, slash, _ = name.partition("/")
            if not slash or split not in SPLITS:
                hint = did_you_mean(split, SPLITS) if slash else f" Did you mean 'test/{name}'?"
                raise RequestError(f"{self.where}.metric must be a full name such as test/mse; got {name!r}.{hint}")
        return metrics

    def _distances(self) -> tuple[float, float]:
        h = self.header
        miss = max(0.05, h.tolerance) if h.miss is None else h.miss
        if not 0 <= h.tolerance <= miss < math.inf:
            raise self._wrong("tolerance", f"must be 0 or more and miss no less; got {h.tolerance} and {miss}")
        return h.tolerance, miss

    def _hashes(self, files: Sequence[str]) -> dict[str, str]:
        given = self.header.sha256
        if isinstance(given, str):
            if len(files) != 1:
                raise self._wrong("sha256", f"is one hash for {len(files)} files; write a mapping from name to hash")
            given = {files[0]: given}
        for file, digest in (given or {}).items():
            if file not in files:
                raise RequestError(f"{self.where}.sha256: there is no file {file!r}.{did_you_mean(str(file), files)}")
            if not re.fullmatch("[0-9a-f]{64}", str(digest)):
                raise self._wrong("sha256", f"must be 64 hexadecimal digits; got {digest!r}")
        return dict(given or {})

    def _floor(self) -> str | dict[Row, float] | None:
        floor = self.header.floor
        if not isinstance(floor, dict):
            return floor
        found = {self._row(label, "floor"): _number(value) for label, value in floor.items()}
        numbers = {row: number for row, number in found.items() if number is not None}
        if len(numbers) < len(floor):
            wrong = next(value for value in floor.values() if _number(value) is None)
            raise self._wrong("floor", f"must be the name of a trivial predictor, or row to number; got {wrong!r}")
        return numbers

    def _numbers(self, label: str, value: Any) -> tuple[float | None, ...]:
        numbers = [_number(one) for one in (value if isinstance(value, list) else [value])]
        if not numbers or len(numbers) > len(self.metrics) or None in numbers:
            wanted = "a number" if len(self.metrics) == 1 else f"a number, or one for each of {', '.join(self.metrics)}"
            raise self._wrong("published", f"must give {wanted} for {label}; got {value!r}")
        if numbers[0] == 0:
            raise self._wrong("published", f"is 0 for {label}, and distances are relative to it; choose another metric")
        return (*numbers, *[None] * (len(self.metrics) - len(numbers)))

    def _row(self, label: str, where: str) -> Row:
        """Return the row that a label means: together with what ``runs`` fixes it must leave nothing open."""
        keys = [key for key in self.listed if key not in self.over]
        found: dict[str, str] = {}
        for part in re.split(r",(?=[\w+~@./]+=)", str(label)) if str(label).strip() else []:
            key, sign, value = part.strip().partition("=")
            if not sign or not value:
                raise self._wrong(where, f"has rows such as cell=gru,data.horizon=96; got {label!r}")
            if key not in keys:
                raise RequestError(f"{self.where}.{where}: {label!r} needs {key} in runs.{did_you_mean(key, keys)}")
            found[key] = plain(value)
        for key in keys:
            if key not in found and len(self.listed[key]) > 1:
                raise self._wrong(where, f"leaves {key} open in the row {label!r}, of which runs lists several values")
            found.setdefault(key, plain(self.listed[key][0]))
        return tuple((key, found[key]) for key in keys)


def _settings(name: str) -> dict[str, str]:
    """Return what an experiment's yaml chooses: of groups their option, of keys their value."""
    content = yaml.safe_load(config_file("experiment", name).read_text(encoding="utf-8")) or {}
    found: dict[str, str] = {}
    for entry in content.pop("defaults", None) or []:
        for group, option in entry.items() if isinstance(entry, dict) else ():
            found[group.removeprefix("override ").lstrip("/")] = str(option)
    return {**found, **{key: plain(str(value)) for key, value in leaves(content).items()}}


def _several(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _number(value: Any) -> float | None:
    """Return a finite number; None for anything else. YAML takes 1e-9 for a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
