"""The language a^n b^n, which needs a counter: Gers and Schmidhuber 2001; Weiss et al. 2018 (arXiv:1805.04908)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least
from seqlab.data.sequences import UNLABELLED, Sequences
from seqlab.data.synthetic._base import FIRST, Drawn, Synthetic, labelling

A, B = FIRST, FIRST + 1
ANY, MORE, END = 0, 1, 2


class AnBn(Synthetic):
    """Read n times a, then n times b, and say at each step what may come next; test strings are longer.

        input    a a a b b b
        target   * * * b b $          * an a or a b, b only a b, $ the end

    A string is understood when every step is right (sequence_accuracy; Gers and Schmidhuber's criterion): the last
    label needs the exact count. Each n from 1 to ``length`` / 2 is a training string, every fifth (n = 3, 8, 13, ...) a
    validation string instead, and the test strings have the n beyond, up to ``test_length`` / 2. The n of a split take
    turns until its size is reached. Kind: labelling, x and y (B, T).

    Trivial score: knowing the current token alone is right but for the end, which gives sequence_accuracy 0 and
    accuracy 1 - (strings / steps). LSTM and ReLU RNN count and generalise; GRU and tanh RNN do so for a while only.

    Args:
        length: the longest training or validation string, 2 n.
        test_length: the longest test string; longer than ``length``.
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the order of the strings; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    disjoint = True

    def __init__(
        self,
        length: int = 40,
        test_length: int = 80,
        sizes: Sequence[int] = (2000, 40, 40),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("length", length, 6, ": with fewer steps no n is left for validation")
        at_least("test_length", test_length, 2 * (length // 2) + 2, f", for one string beyond data.length={length}")
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length, self.test_length = length, test_length

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Let the split's n take turns, in a random order."""
        n = np.arange(1, self.test_length // 2 + 1)
        beyond, held_out = n > self.length // 2, n % 5 == 3
        mine = {"train": ~beyond & ~held_out, "val": ~beyond & held_out, "test": beyond}[split]
        n = np.resize(rng.permutation(n[mine]), count)[:, None]
        steps = np.arange(2 * n.max())
        x = np.select([steps < n, steps < 2 * n], [A, B], 0).astype(np.int16)
        y = np.select([steps < n, steps < 2 * n - 1, steps < 2 * n], [ANY, MORE, END], UNLABELLED).astype(np.int16)
        return Drawn(x, y, 2 * n[:, 0])

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: what may follow as classes."""
        return labelling(train, FIRST + 2, ("a or b", "b", "end"))
