"""What data modules share whose splits are held as ``Sequences``: synthetic tasks, tags, series, piano rolls."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from seqlab.data._base import Predictor, SequenceData, Spec, Split
from seqlab.data.sequences import Sequences, always, by_token, log_probabilities
from seqlab.errors import RequestError, did_you_mean


class Stored(SequenceData):
    """A data module that prepares its splits once and holds them.

    Args:
        batch_size: B.
        num_workers: loader processes.
    """

    def __init__(self, batch_size: int, num_workers: int) -> None:
        at_least("batch_size", batch_size, 1)
        at_least("num_workers", num_workers, 0)
        self.batch_size, self.num_workers = batch_size, num_workers
        self._splits: dict[Split, Sequences] = {}
        self._spec: Spec | None = None
        self._notes: dict[str, Any] = {}

    @abstractmethod
    def prepare(self) -> dict[Split, Sequences]:
        """Read or draw, split and fit; put what a person should know into ``_notes``."""

    @abstractmethod
    def describe(self, train: Sequences) -> Spec:
        """Return the Spec, given the training split."""

    def setup(self) -> None:
        if self._splits:
            return
        splits = self.prepare()
        for split, part in splits.items():
            lengths = np.diff(part.offsets)
            self._notes |= {f"sequences/{split}": len(part), f"longest/{split}": int(lengths.max(initial=0))}
        self._notes |= _shared(splits)
        self._spec = self.describe(splits["train"])
        self._splits = splits

    @property
    def spec(self) -> Spec:
        if self._spec is None:
            raise RuntimeError("setup() comes before spec")
        return self._spec

    def examples(self, split: Split) -> Sequences:
        return self._splits[split]

    def notes(self) -> dict[str, Any]:
        return dict(self._notes)

    def baselines(self, split: Split) -> Mapping[str, Predictor]:
        """Return the trivial predictor of the kind, as counted in training.

        labelling: ``memoryless``, the shares of the classes given the current token; classification: ``majority``,
        the shares of the classes; regression: ``mean``.
        """
        spec, train = self.spec, self._splits["train"]
        if spec.kind == "labelling":
            assert train.step_y is not None
            assert spec.vocabulary_size is not None
            return {"memoryless": by_token(train.values, train.step_y, spec.vocabulary_size, spec.output_size)}
        if spec.kind == "classification":
            return {"majority": always(log_probabilities(np.array(spec.class_counts)))}
        assert train.y is not None
        return {"mean": always(train.y.mean(0))}


def _shared(splits: Mapping[Split, Sequences]) -> dict[str, int]:
    """Count the sequences of a later split whose input stands in an earlier one too: ``duplicates/train_test``."""
    seen = {split: [part.input(i) for i in range(len(part))] for split, part in splits.items()}
    counts = {
        f"duplicates/{one}_{other}": sum(map({*seen[one]}.__contains__, seen[other]))
        for one, other in combinations(seen, 2)
    }
    return {pair: count for pair, count in counts.items() if count}


def at_least(name: str, value: int, least: int, reason: str = "") -> None:
    """Refuse ``data.<name>`` below ``least``.

    Raises:
        RequestError: it is below, or no whole number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RequestError(f"data.{name} must be a whole number from {least}{reason}; got {value!r}.")


def one_of(name: str, value: str, options: Sequence[str]) -> None:
    """Refuse a value of ``data.<name>`` that is not among ``options``.

    Raises:
        RequestError: it is not.
    """
    if value not in options:
        raise RequestError(f"data.{name}={value!r} is unknown.{did_you_mean(str(value), options)}")
