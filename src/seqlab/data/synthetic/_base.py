"""What all synthetic tasks share: sequences are drawn, and their content decides their split."""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.data._base import SPLITS, Spec, Split
from seqlab.data._stored import Stored, at_least
from seqlab.data.sequences import Array, Ints, Sequences, count_labels
from seqlab.errors import RequestError

#: The first tokens of every task; a task's own begin at FIRST. 0 is padding and 1 the unknown token everywhere.
BLANK, FIRST = 2, 3
#: Rounds of drawing after which there are too few different sequences.
ROUNDS = 200


@dataclass(frozen=True)
class Drawn:
    """Sequences as a task draws them.

    Attributes:
        x: (N, T) tokens, or (N, T, I) float32 features, 0 after a sequence's end.
        y: (N,) or (N, O), a target a sequence; or (N, T) labels of the steps, -100 for none.
        lengths: (N,) real steps; None when all T are.
    """

    x: Array
    y: Array
    lengths: Ints | None = None

    def of(self, chosen: Array) -> Drawn:
        """Return the sequences ``chosen`` (numbers, or booleans)."""
        return Drawn(self.x[chosen], self.y[chosen], None if self.lengths is None else self.lengths[chosen])


class Synthetic(Stored):
    """A task that draws its sequences from ``split_seed``.

    A sequence's content decides which split it may stand in, so that the splits are disjoint however few different
    sequences there are. Inside a split a sequence may occur twice.

    Args:
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the sequences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range, or there are too few different sequences.
    """

    #: Whether what ``draw`` returns is disjoint from the other splits by itself.
    disjoint: ClassVar[bool] = False

    def __init__(self, sizes: Sequence[int], split_seed: int, batch_size: int, num_workers: int) -> None:
        if len(sizes) != 3 or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise RequestError(f"data.sizes are three numbers (train, val, test) from 1; got {list(sizes)}.")
        at_least("split_seed", split_seed, 0)
        super().__init__(batch_size, num_workers)
        self.sizes, self.split_seed = dict(zip(SPLITS, sizes, strict=True)), split_seed

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw ``count`` sequences; ``split`` matters where the test sequences are longer."""

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the task's own arguments and of a sample that shows what the code draws."""
        names = set(inspect.signature(type(self)).parameters) - {"split_seed", "batch_size", "num_workers"}
        digest = hashlib.sha256(
            json.dumps([type(self).__qualname__, {n: getattr(self, n) for n in sorted(names)}]).encode()
        )
        for split in SPLITS:
            sample = self.draw(np.random.default_rng(0), 8, split)
            for part in (sample.x, sample.y):
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def prepare(self) -> dict[Split, Sequences]:
        return {split: self._make(number, split) for number, split in enumerate(SPLITS)}

    def _make(self, number: int, split: Split) -> Sequences:
        rng = np.random.default_rng((self.split_seed, number))
        wanted, shares = self.sizes[split], np.array(list(self.sizes.values())) / sum(self.sizes.values())
        parts: list[Drawn] = []
        for _ in range(ROUNDS):
            if (missing := wanted - sum(len(p.x) for p in parts)) <= 0:
                break
            drawn = self.draw(rng, missing if self.disjoint else int(1.2 * missing / shares[number]) + 8, split)
            parts.append(drawn if self.disjoint else drawn.of(np.flatnonzero(_home(drawn, shares) == number)[:missing]))
        else:
            raise RequestError(
                f"There are too few different sequences for disjoint splits of data.sizes={list(self.sizes.values())}."
                " Make the sequences longer."
            )
        return _join(parts)


def labelling(train: Sequences, vocabulary_size: int, class_names: Sequence[str], lookback: int | None = None) -> Spec:
    """Return the Spec of a task with one label a step; ``lookback`` where every sequence is equally long."""
    assert train.step_y is not None
    return Spec(
        kind="labelling",
        output_size=len(class_names),
        vocabulary_size=vocabulary_size,
        class_names=tuple(class_names),
        lookback=lookback,
        class_counts=count_labels(train.step_y, len(class_names)),
    )


def positions(rng: np.random.Generator, count: int, slots: int, chosen: int) -> Ints:
    """Return (count, chosen) places below ``slots``, rising, all equally likely."""
    order = rng.random((count, slots)).argpartition(chosen - 1, axis=1)[:, :chosen]
    return np.sort(order, axis=1).astype(np.int64)


def _home(drawn: Drawn, shares: NDArray[np.float64]) -> Ints:
    """Return (N,) the number of the split in which each sequence may stand: a hash of its content, by shares."""
    rows = drawn.x.reshape(len(drawn.x), -1)
    words = np.ascontiguousarray(rows).view(np.uint32) if rows.dtype == np.float32 else rows
    weights = np.random.default_rng(0).integers(1, 2**63, words.shape[1], dtype=np.uint64) | np.uint64(1)
    key = words.astype(np.uint64) @ weights
    key = (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    uniform = (key >> np.uint64(11)) / 2.0**53
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right").astype(np.int64)


def _join(parts: Sequence[Drawn]) -> Sequences:
    x, y = (np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "y"))
    lengths = None if parts[0].lengths is None else np.concatenate([p.lengths for p in parts if p.lengths is not None])
    if y.shape == x.shape[:2]:
        return Sequences.stack(x, lengths, step_y=y)
    return Sequences.stack(x, lengths, y=y)
