"""Multi-query associative recall (MQAR): Arora et al. 2023 (arXiv:2312.04927)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least
from seqlab.data.sequences import UNLABELLED, Sequences
from seqlab.data.synthetic._base import BLANK, FIRST, Drawn, Synthetic, labelling, positions


class AssociativeRecall(Synthetic):
    """Read pairs of a key and a value; where a key comes again, name its value.

        input    k3 v1 k7 v4 k2 v1 . k7 . . k3 . k2          pairs 3, length 13
        target                       v4     v1   v1

    All keys of a sequence differ and each is asked for once, in any order, anywhere after the pairs. Kind: labelling, x
    and y (B, ``length``), with labels where keys come again. Trivial scores: accuracy 1 / ``values``; naming any value
    of the sequence 1 / ``pairs``, roughly. The state that is needed grows with ``pairs``, which separates cells with a
    vector as state from those with a matrix.

    Args:
        length: T; at least 3 ``pairs``.
        pairs: keys to remember.
        keys: different keys.
        values: C, different values.
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
        pairs: int = 4,
        keys: int = 8,
        values: int = 8,
        sizes: Sequence[int] = (5000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("pairs", pairs, 1)
        at_least("length", length, 3 * pairs, f", for data.pairs={pairs} pairs and as many queries")
        at_least("keys", keys, pairs, f", since data.pairs={pairs} keys must differ")
        at_least("values", values, 2)
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length, self.pairs, self.keys, self.values = length, pairs, keys, values

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw pairs, and the order and places of the queries."""
        keys = rng.random((count, self.keys)).argsort(axis=1)[:, : self.pairs]
        values = rng.integers(self.values, size=(count, self.pairs))
        x = np.full((count, self.length), BLANK, dtype=np.int16)
        x[:, 0 : 2 * self.pairs : 2] = FIRST + keys
        x[:, 1 : 2 * self.pairs : 2] = FIRST + self.keys + values
        order = rng.random((count, self.pairs)).argsort(axis=1)
        places = 2 * self.pairs + positions(rng, count, self.length - 2 * self.pairs, self.pairs)
        y = np.full(x.shape, UNLABELLED, dtype=np.int16)
        np.put_along_axis(x, places, (FIRST + np.take_along_axis(keys, order, axis=1)).astype(np.int16), axis=1)
        np.put_along_axis(y, places, np.take_along_axis(values, order, axis=1).astype(np.int16), axis=1)
        return Drawn(x, y)

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: the values as classes."""
        names = [f"value {i}" for i in range(self.values)]
        return labelling(train, FIRST + self.keys + self.values, names, self.length)
