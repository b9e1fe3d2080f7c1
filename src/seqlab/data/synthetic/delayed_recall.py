"""Delayed recall: the long-time-lag problem of Hochreiter and Schmidhuber 1997, experiment 2, with distractors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least
from seqlab.data.sequences import Sequences, count_labels
from seqlab.data.synthetic._base import FIRST, Drawn, Synthetic

CUE, QUERY, SYMBOL = FIRST, FIRST + 1, FIRST + 2


class DelayedRecall(Synthetic):
    """Name the symbol that followed the cue, once the query comes.

        input    5 2 ! 3 1 5 5 0 2 4 ?          target 3
                     cue               query

    All other symbols are drawn from the same alphabet and only distract, so that a cell has to shut its memory after
    one step. The cue stands in the first quarter. Kind: classification, x (B, ``length``), y (B,). Trivial score:
    accuracy 1 / ``symbols``.

    Args:
        length: T, steps from the first to the query.
        symbols: C, different symbols.
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the sequences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    def __init__(
        self,
        length: int = 30,
        symbols: int = 8,
        sizes: Sequence[int] = (5000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("length", length, 3, ": a cue, a symbol and a query")
        at_least("symbols", symbols, 2)
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length, self.symbols = length, symbols

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw symbols, and the cue's place."""
        symbols = rng.integers(self.symbols, size=(count, self.length), dtype=np.int16)
        cue = rng.integers(max(1, (self.length - 2) // 4), size=count)
        rows = np.arange(count)
        x = SYMBOL + symbols
        x[rows, cue] = CUE
        x[:, -1] = QUERY
        return Drawn(x, symbols[rows, cue + 1])

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: the symbols as classes."""
        assert train.y is not None
        return Spec(
            kind="classification",
            output_size=self.symbols,
            vocabulary_size=SYMBOL + self.symbols,
            class_names=tuple(f"symbol {i}" for i in range(self.symbols)),
            lookback=self.length,
            class_counts=count_labels(train.y, self.symbols),
        )
