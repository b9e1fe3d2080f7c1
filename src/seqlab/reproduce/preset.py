"""An experiment that reproduces a published result: what was published, and the sweep that should show the same.

A row of its table is what a text of overrides chooses, such as ``cell=gru,data.horizon=96``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqlab.errors import RequestError

FOLD = "data.fold"
#: The runs' name, and so their folder, is this and the experiment's.
PREFIX = "reproduce_"

#: What sets a row apart: (key, value) of its overrides, the keys in the order of ``runs``.
Row = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reproduction:
    """A checked header.

    Attributes:
        name: the experiment's.
        title: fields of the first line: what it is, what it expects, what it takes.
        source: as in the header; so are ``protocol``, ``tolerance`` and ``note``.
        files: names of the public files; none where the data is generated.
        sha256: file name to hash, where known.
        metrics: full names, the judged one first.
        published: row to one number a metric, None where the paper gives none.
        floor: name of a trivial predictor, or row to number; None for neither.
        miss: relative distance beyond which a value is missed.
        two_sided: whether a better score than published is a distance too.
        runs: the sweep, key to its word on the command line.
        listed: the sweep, key to its values.
        over: keys of the replicates; within a fold, seeds are averaged.
        settings: what its yaml chooses, ``data`` or ``model.hidden_size`` to the value as text.
    """

    name: str
    title: tuple[str, str, str]
    source: str
    protocol: str
    files: tuple[str, ...]
    sha256: Mapping[str, str]
    metrics: tuple[str, ...]
    published: Mapping[Row, tuple[float | None, ...]]
    floor: str | Mapping[Row, float] | None
    tolerance: float
    miss: float
    two_sided: bool
    runs: Mapping[str, str]
    listed: Mapping[str, tuple[str, ...]]
    over: tuple[str, ...]
    note: str
    settings: Mapping[str, str]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys that set rows apart: those of ``runs`` that are no replicates."""
        return tuple(key for key in self.listed if key not in self.over)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return the rows of the sweep."""
        values = itertools.product(*(self.listed[key] for key in self.keys))
        return tuple(tuple((k, plain(v)) for k, v in zip(self.keys, of, strict=True)) for of in values)

    @property
    def replicates(self) -> int:
        """Return how many replicates the sweep gives a row: folds, or else seeds."""
        return len(self.listed.get(self.over[-1], ("0",)))

    @property
    def digest(self) -> str:
        """Return what changes when a setting does: the start of a SHA-256."""
        return hashlib.sha256(json.dumps(sorted(self.settings.items())).encode()).hexdigest()[:8]

    def words(self, overrides: Sequence[str] = ()) -> list[str]:
        """Return the sweep as ``seqlab train -m`` takes it; an override replaces what ``runs`` says of its key.

        Raises:
            RequestError: an override would make other runs than the experiment's.
        """
        for key in map(key_of, overrides):
            if key in ("experiment", "name"):
                raise RequestError(f"{key}= can't be given: the runs of {self.name} are found by it.")
        given = {key_of(word) for word in overrides}
        kept = [word for key, word in self.runs.items() if key not in given]
        return [f"experiment={self.name}", f"name={PREFIX}{self.name}", *kept, *overrides]


def key_of(word: str) -> str:
    """Return the key of an override, without Hydra's ``+`` and ``~``."""
    return word.partition("=")[0].lstrip("+~")


def plain(value: str) -> str:
    """Return one spelling of a value: ``1e-3`` and ``0.001`` are one row, and so are ``[1, 2]`` and ``[1,2]``."""
    text = value.strip().replace(" ", "")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
