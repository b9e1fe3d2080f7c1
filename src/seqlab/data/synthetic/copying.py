"""Copy memory: Arjovsky et al. 2016 (arXiv:1511.06464); as in Bai et al. 2018 (arXiv:1803.01271)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least, one_of
from seqlab.data.sequences import UNLABELLED, Sequences
from seqlab.data.synthetic._base import BLANK, FIRST, Drawn, Synthetic, labelling

Scored = Literal["all", "recall"]
DELIMITER, RECALL, SYMBOL = FIRST, FIRST + 1, FIRST + 2


class Copying(Synthetic):
    """Repeat the symbols from the beginning after a long blank.

        input    3 1 4 . . . . . | ? ? ?          items 3, length 6
        target   . . . . . . . . . 3 1 4

    ``items`` symbols, ``length`` - 1 blanks, a delimiter, and ``items`` marks that ask: ``length`` + 2 ``items``
    steps, as published with ``items`` 10 and ``symbols`` 8 (there delimiter and marks share one token). Kind:
    labelling, x and y (B, T), one of blank and the symbols at every step.

    Trivial score: knowing the current token alone, blanks are certain and the rest a guess, ``items`` ln(``symbols``) /
    (``length`` + 2 ``items``) nats a step: .0204 at the published length 1000, where Bai et al. report .0204 for an
    LSTM. Accuracy flatters (it counts blanks too): read nll, or sequence_accuracy, or set ``scored`` to recall.

    Args:
        length: blanks between the symbols and their recall, the delimiter included.
        items: symbols to keep.
        symbols: different symbols.
        scored: the steps with a label: "all", as published, or "recall", the last ``items`` alone.
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the sequences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    def __init__(
        self,
        length: int = 10,
        items: int = 3,
        symbols: int = 8,
        scored: Scored = "all",
        sizes: Sequence[int] = (5000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("length", length, 1, ": the delimiter is one of these steps")
        at_least("items", items, 1)
        at_least("symbols", symbols, 2)
        one_of("scored", scored, get_args(Scored))
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length, self.items, self.symbols, self.scored = length, items, symbols, scored

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw the symbols."""
        symbols = rng.integers(self.symbols, size=(count, self.items), dtype=np.int16)
        steps = self.length + 2 * self.items
        x = np.full((count, steps), BLANK, dtype=np.int16)
        x[:, : self.items] = SYMBOL + symbols
        x[:, -self.items - 1] = DELIMITER
        x[:, -self.items :] = RECALL
        y = np.full((count, steps), 0 if self.scored == "all" else UNLABELLED, dtype=np.int16)
        y[:, -self.items :] = 1 + symbols
        return Drawn(x, y)

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: blank and the symbols as classes."""
        names = ("blank", *(f"symbol {i}" for i in range(self.symbols)))
        return labelling(train, SYMBOL + self.symbols, names, self.length + 2 * self.items)
