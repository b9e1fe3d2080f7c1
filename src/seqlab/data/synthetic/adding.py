"""The adding problem: Hochreiter and Schmidhuber 1997, experiment 4; as in Bai et al. 2018 (arXiv:1803.01271)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least
from seqlab.data.sequences import Sequences
from seqlab.data.synthetic._base import Drawn, Synthetic


class Adding(Synthetic):
    """Add the two numbers that are marked; every other number is a distraction.

        number  .37  .81  .05  .92  .44  .18          target .81 + .44 = 1.25
        marker    0    1    0    0    1    0

    Numbers are uniform in [0, 1) and the two marks stand at any two different steps. Kind: regression, x (B, T, 2),
    y (B, 1). Trivial score: predicting 1, the mean of the sum, has a mean squared error of 1/6 (two variances of
    1/12); Bai et al. report .164 for an LSTM at length 600 that learned nothing more.

    Args:
        length: T, steps of every sequence.
        sizes: numbers of training, validation and test sequences.
        split_seed: decides the sequences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    def __init__(
        self,
        length: int = 50,
        sizes: Sequence[int] = (5000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("length", length, 2, ": two steps are marked")
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.length = length

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw numbers and marks."""
        rows = np.arange(count)
        first = rng.integers(self.length, size=count)
        second = (first + rng.integers(1, self.length, size=count)) % self.length
        x = np.zeros((count, self.length, 2), dtype=np.float32)
        x[..., 0] = rng.random((count, self.length), dtype=np.float32)
        x[rows, first, 1] = x[rows, second, 1] = 1
        return Drawn(x, x[rows, first, :1] + x[rows, second, :1])

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: two features in, one number out."""
        return Spec(kind="regression", output_size=1, input_size=2, lookback=self.length, target_names=("sum",))
