"""One split of sequences of any length, stored flat and gathered a whole batch at a time; and what needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data._base import Batch, Predictor

Array = NDArray[Any]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: The label of a step that has none; what cross-entropy leaves out.
UNLABELLED = -100
#: What a class that never occurred counts as, so that no predictor's log-probability is infinite.
UNSEEN = 1e-6


class Sequences:
    """N sequences and their targets; S is the sum of their lengths.

    Arrays of signed integers are tokens or class numbers and come out as int64; all others come out as float32, so that
    on/off values may be stored as uint8.

    Args:
        values: (S, I) float features, or (S,) integer tokens, one sequence after the other.
        offsets: (N + 1,) where each sequence begins; the last entry is S.
        y: (N,) class numbers or (N, O) values, one target a sequence.
        step_y: (S,) class numbers or (S, O) values, one target a step; instead of ``y``.
        mask: (S, I), 1 where a feature was observed; None when all were.
        delta: (S, I), steps since a feature was last observed.
        time: (S,), time stamps in steps; None when steps are one apart.

    Attributes:
        lengths: (N,) number of steps; None when all sequences are equally long.
    """

    def __init__(
        self,
        values: Array,
        offsets: Ints,
        y: Array | None = None,
        step_y: Array | None = None,
        mask: Floats | None = None,
        delta: Floats | None = None,
        time: Floats | None = None,
    ) -> None:
        self.values, self.offsets, self.y, self.step_y = values, offsets, y, step_y
        self.mask, self.delta, self.time = mask, delta, time
        lengths = np.diff(offsets)
        self.lengths: Ints | None = lengths if len(np.unique(lengths)) > 1 else None

    @classmethod
    def stack(
        cls, x: Array, lengths: Ints | None = None, y: Array | None = None, step_y: Array | None = None
    ) -> Sequences:
        """Return the sequences ``x`` (N, T) or (N, T, I), of which row n has ``lengths[n]`` real steps (None: T).

        ``step_y`` is (N, T) or (N, T, O); ``y`` as in the class.
        """
        count, steps = x.shape[:2]
        lengths = np.full(count, steps) if lengths is None else lengths
        real = np.arange(steps) < lengths[:, None]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(x[real], offsets, y, None if step_y is None else step_y[real])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def input(self, index: int) -> bytes:
        """Return what tells one sequence's input from another's."""
        return self.values[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the sequences ``indices``, padded with zeros (labels: -100) to the longest of them."""
        index = np.asarray(indices, dtype=np.int64)
        starts, lengths = self.offsets[index], self.offsets[index + 1] - self.offsets[index]  # (B,)
        steps = np.arange(lengths.max(initial=0))  # (T,)
        places = starts[:, None] + steps  # (B, T)
        real = None if self.lengths is None else steps < lengths[:, None]
        step_y = None
        if self.step_y is not None:
            step_y = _gather(self.step_y, places, real, UNLABELLED if self.step_y.dtype.kind == "i" else 0)
        return Batch(
            x=_gather(self.values, places, real, 0),
            index=torch.from_numpy(index),
            y=step_y if self.y is None else _tensor(self.y[index]),
            lengths=None if real is None else torch.from_numpy(lengths),
            mask=None if self.mask is None else _gather(self.mask, places, real, 0),
            delta=None if self.delta is None else _gather(self.delta, places, real, 0),
            time=None if self.time is None else _gather(self.time, places, real, 0),
        )


def _gather(flat: Array, places: Ints, real: NDArray[np.bool_] | None, padding: float) -> Tensor:
    """Return ``flat[places]`` (B, T, ...), with ``padding`` where a row has ended."""
    if real is None:
        return _tensor(flat[places])
    rows = flat.take(places, axis=0, mode="clip")
    rows[~real] = padding
    return _tensor(rows)


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array.astype(np.int64 if array.dtype.kind == "i" else np.float32, copy=False))


def count_labels(labels: Array, classes: int) -> tuple[int, ...]:
    """Return how often each class number occurs; steps without a label count nowhere."""
    return tuple(np.bincount(labels[labels != UNLABELLED], minlength=classes).tolist())


def always(row: Array) -> Predictor:
    """Return the predictor that gives every sequence the same (C,) or (O,) values."""
    answer = torch.from_numpy(np.asarray(row, dtype=np.float32))

    def predict(batch: Batch) -> Tensor:
        return answer.to(batch.x.device).expand(len(batch), -1)

    return predict


def every_step(row: Array) -> Predictor:
    """Return the predictor that gives every step of every sequence the same (C,) or (O,) values."""
    answer = torch.from_numpy(np.asarray(row, dtype=np.float32))

    def predict(batch: Batch) -> Tensor:
        return answer.to(batch.x.device).expand(*batch.x.shape[:2], -1)

    return predict


def by_token(tokens: Array, labels: Array, size: int, classes: int) -> Predictor:
    """Return the predictor that knows the current token alone: log-probabilities (B, T, C) as counted in training.

    Args:
        tokens: (S,) training tokens.
        labels: (S,) their labels; unlabelled steps count nowhere. A token without labels gets the shares of all.
        size: V.
        classes: C.
    """
    kept = labels != UNLABELLED
    counts = np.bincount(tokens[kept].astype(np.int64) * classes + labels[kept], minlength=size * classes)
    table = counts.reshape(size, classes).astype(np.float64)
    table[table.sum(1) == 0] = table.sum(0)
    log_shares = torch.from_numpy(log_probabilities(table))

    def predict(batch: Batch) -> Tensor:
        return log_shares.to(batch.x.device)[batch.x]

    return predict


def log_probabilities(counts: Array) -> Floats:
    """Return the log shares of counts (..., C), never infinite."""
    counts = np.asarray(counts, dtype=np.float64) + UNSEEN
    shares: Floats = np.log(counts / counts.sum(-1, keepdims=True)).astype(np.float32)
    return shares
