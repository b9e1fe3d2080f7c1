"""Selective copying: Jing et al. 2019 (arXiv:1706.02761); Gu and Dao 2023 (arXiv:2312.00752), section 4.1.1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least
from seqlab.data.sequences import UNLABELLED, Sequences
from seqlab.data.synthetic._base import BLANK, FIRST, Drawn, Synthetic, labelling, positions

RECALL, SYMBOL = FIRST, FIRST + 1


class SelectiveCopying(Synthetic):
    """Repeat the symbols in order, wherever they stood among the blanks.

        input    . 3 . . 1 . . 4 . ? ? ?          items 3, length 9
        target                     3 1 4

    Copying can be solved by counting time; here the gaps vary, so that a cell has to choose by content what to keep.
    Kind: labelling, x and y (B, ``length`` + ``items``), with labels at the last ``items`` steps alone. Trivial score:
    accuracy 1 / ``symbols``, ln(``symbols``) nats. Published: length 4096, 16 items; the default is shorter, for a CPU.

    Args:
        length: steps among which the symbols are strewn.
        items: symbols to keep.
        symbols: different symbols.
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the sequences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    def __init__(
        self,
        length: int = 32,
        items: int = 4,
        symbols: int = 8,
        sizes: Sequence[int] = (5000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("items", items, 1)
        at_least("length", length, items, f", since data.items={items} symbols must find a place")
        at_least("symbols", symbols, 2)
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length, self.items, self.symbols = length, items, symbols

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw the symbols and their places."""
        symbols = rng.integers(self.symbols, size=(count, self.items), dtype=np.int16)
        x = np.full((count, self.length + self.items), BLANK, dtype=np.int16)
        np.put_along_axis(x, positions(rng, count, self.length, self.items), SYMBOL + symbols, axis=1)
        x[:, self.length :] = RECALL
        y = np.full(x.shape, UNLABELLED, dtype=np.int16)
        y[:, self.length :] = symbols
        return Drawn(x, y)

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: the symbols as classes."""
        names = [f"symbol {i}" for i in range(self.symbols)]
        return labelling(train, SYMBOL + self.symbols, names, self.length + self.items)
