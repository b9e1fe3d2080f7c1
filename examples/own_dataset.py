"""A data set of one's own as a class: is a sequence of brackets balanced? `python examples/own_dataset.py`.

A table or a file of texts needs no class, see docs/howto/own_data.md. What does gives three splits whose batches are
gathered whole, a Spec that says what a model may know, and a fingerprint. The first line of
examples/conf/data/brackets.yaml names it, its `defaults` brings the task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import seqlab
from seqlab.config import trust
from seqlab.data import SPLITS, Batch, SequenceData, Spec, Split

HERE = Path(__file__).parent
OPEN, CLOSE = 2, 3  # 0 is padding and 1 the unknown token


class Examples:
    """One split, x (N, T) and y (N,), gathered a batch at a time."""

    lengths: NDArray[np.int64] | None = None  # all are equally long

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        index = torch.as_tensor(indices)
        return Batch(self.x[index], index, y=self.y[index])


class Brackets(SequenceData):
    """Random walks of brackets; balanced are those that end at zero and never fall below it."""

    def __init__(
        self, length: int = 16, sizes: Sequence[int] = (1500, 300, 300), batch_size: int = 64, num_workers: int = 0
    ) -> None:
        self.length, self.sizes, self.batch_size, self.num_workers = length, tuple(sizes), batch_size, num_workers
        self.splits: dict[Split, Examples] = {}

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(("brackets", self.length, self.sizes)).encode()).hexdigest()

    def setup(self) -> None:
        rng = np.random.default_rng(0)  # the data's own: the run's seed must not change the split
        for split, size in zip(SPLITS, self.sizes, strict=True):
            self.splits[split] = self._draw(rng, size)

    def _draw(self, rng: np.random.Generator, size: int) -> Examples:
        half = np.repeat([1, -1], self.length // 2)
        walks = rng.permuted(np.tile(half, (60 * size, 1)), axis=1)  # as many open as close: counting is not enough
        balanced = walks.cumsum(1).min(1) >= 0
        chosen = np.concatenate([np.flatnonzero(balanced)[: size // 2], np.flatnonzero(~balanced)[: size - size // 2]])
        x = np.where(walks[chosen] > 0, OPEN, CLOSE)
        return Examples(torch.as_tensor(x), torch.as_tensor(balanced[chosen].astype(np.int64)))

    @property
    def spec(self) -> Spec:
        counts = tuple(self.splits["train"].y.bincount(minlength=2).tolist())
        return Spec(
            kind="classification",
            output_size=2,
            vocabulary_size=4,
            class_names=("unbalanced", "balanced"),
            lookback=self.length,
            class_counts=counts,
        )

    def examples(self, split: Split) -> Examples:
        return self.splits[split]

    def baselines(self, split: Split) -> Mapping[str, Callable[[Batch], Tensor]]:
        def ends(batch: Batch) -> Tensor:
            """Balanced, if it begins open and ends closed."""
            likely = (batch.x[:, 0] == OPEN) & (batch.x[:, -1] == CLOSE)
            return torch.stack([torch.where(likely, 0.2, 0.9), torch.where(likely, 0.8, 0.1)], 1).log()

        return {"both ends": ends}


def main() -> None:
    trust("own_dataset")  # a config names the class; without this it would be refused
    options = ["data=brackets", "model.hidden_size=16", "trainer.max_epochs=6", "trainer.enable_progress_bar=false"]
    runs = [
        seqlab.train([*options, f"cell={cell}", f"seed={seed}"], config_dirs=[str(HERE / "conf")])
        for cell in ("rnn", "gru")
        for seed in range(2)
    ]
    print(seqlab.compare(runs))


if __name__ == "__main__":
    main()
