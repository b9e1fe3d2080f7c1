"""One split of token sequences: stored flat, gathered a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from seqlab.data._base import Batch
from seqlab.data.loader import Batches

#: The token that fills a row up to the length of the longest in its batch.
PADDING = 0


@dataclass(eq=False)
class Tokens:
    """N token sequences and their class numbers.

    Attributes:
        flat: (sum of lengths,) int32, all sequences one after the other.
        offsets: (N + 1,) int64, where each begins in ``flat``; the last entry is the total.
        labels: (N,) int64 class numbers; None when only predicting.
        lengths: (N,) number of tokens of each sequence.
    """

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    lengths: NDArray[np.int64] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.lengths = np.diff(self.offsets)

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.int32]], labels: NDArray[np.int64] | None = None) -> Tokens:
        """Return the sequences ``rows``, each of at least one token, stored flat."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.concatenate([np.empty(0, np.int32), *rows]), offsets, labels)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the sequences ``indices`` padded to the longest: x (B, T) int64, lengths (B,), y (B,)."""
        index = np.asarray(indices, dtype=np.int64)
        starts, lengths = self.offsets[index], self.offsets[index + 1] - self.offsets[index]  # (B,)
        steps = np.arange(lengths.max(initial=0))  # (T,)
        real = steps < lengths[:, None]  # (B, T)
        # Where a row has ended, any place will do: the token there is replaced.
        x = np.where(real, self.flat.take(starts[:, None] + steps, mode="clip"), PADDING)
        return Batch(
            x=torch.from_numpy(x.astype(np.int64)),
            index=torch.from_numpy(index),
            y=None if self.labels is None else torch.from_numpy(self.labels[index]),
            lengths=torch.from_numpy(lengths),
        )


def padding_share(lengths: NDArray[np.int64], batch_size: int, seed: int = 0) -> float:
    """Return the share of padding among all tokens of one shuffled epoch in length buckets."""
    batches = Batches(len(lengths), batch_size, seed=seed, shuffle=True, lengths=lengths)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1.0 - float(lengths.sum()) / padded if padded else 0.0
