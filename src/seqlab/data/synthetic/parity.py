"""Parity: a regular language that needs a state which flips. Deletang et al. 2023 (arXiv:2207.02098)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least, one_of
from seqlab.data.sequences import UNLABELLED, Sequences
from seqlab.data.synthetic._base import FIRST, Drawn, Synthetic, labelling

Supervision = Literal["every", "last"]


class Parity(Synthetic):
    """Say whether the number of ones so far is even or odd; the test sequences are longer than any in training.

        input    1 0 1 1 0
        target   o o e o o          o odd, e even

    Kind: labelling, x and y (B, T). Trivial score: the current bit alone decides the first step and says nothing of
    later ones: accuracy 1/2 and a little more on short sequences (55 % on the default validation split, 50 % in test).
    RNN and LSTM generalise; a linear recurrence whose eigenvalues lie in [0, 1] can't, whatever its width (Grazzi et
    al. 2024, arXiv:2411.12537).

    Args:
        length: training and validation sequences have 1 to ``length`` steps, all equally often.
        test_length: test sequences have ``length`` + 1 to ``test_length`` steps; if equal to ``length``, the same as
            in training.
        supervision: steps with a label: "every", or the "last" of each sequence (harder: the answer alone).
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the sequences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    def __init__(
        self,
        length: int = 20,
        test_length: int = 80,
        supervision: Supervision = "every",
        sizes: Sequence[int] = (5000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("length", length, 1)
        at_least("test_length", test_length, length, f" (data.length={length})")
        one_of("supervision", supervision, get_args(Supervision))
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length, self.test_length, self.supervision = length, test_length, supervision

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw lengths and bits."""
        beyond = split == "test" and self.test_length > self.length
        low, high = (self.length + 1, self.test_length) if beyond else (1, self.length)
        lengths = rng.integers(low, high + 1, size=count)
        steps = np.arange(high)
        bits = rng.integers(2, size=(count, high), dtype=np.int16)
        labelled = steps < lengths[:, None] if self.supervision == "every" else steps == lengths[:, None] - 1
        y = np.where(labelled, bits.cumsum(1, dtype=np.int16) % 2, UNLABELLED).astype(np.int16)
        return Drawn(np.where(steps < lengths[:, None], FIRST + bits, 0).astype(np.int16), y, lengths)

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: even and odd as classes."""
        return labelling(train, FIRST + 2, ("even", "odd"))
