"""Batches of one split, in an order that depends on (seed, epoch) alone and can be taken up anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from seqlab.data._base import Batch, Examples

#: Batches' worth of examples that are sorted by length together: enough for little padding, few enough to stay random.
POOL = 100


class Batches(Sampler[list[int]]):
    """Yields lists of example numbers; process ``rank`` of ``world`` gets every ``world``-th of each global batch.

    Args:
        size: N examples.
        batch_size: examples in a global batch, over all processes.
        seed: with the epoch, decides the order.
        shuffle: False keeps the examples' own order (or, with lengths, the order by length).
        lengths: (N,) steps of each example; given, batches hold examples of like length.
        weights: (N,) drawing weights; given, N examples are drawn with replacement.
        rank: this process.
        world: number of processes.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        lengths: NDArray[np.int64] | None = None,
        weights: NDArray[np.float64] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        self.lengths, self.weights, self.rank, self.world = lengths, weights, rank, world
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._global_batches()[self.position :]:
            yield batch[self.rank :: self.world].tolist()

    def _global_batches(self) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = np.arange(self.size)
        if self.weights is not None and self.size:
            order = rng.choice(self.size, self.size, p=self.weights / self.weights.sum())
        elif self.shuffle:
            order = rng.permutation(self.size)
        if self.lengths is not None:
            span = POOL * self.batch_size if self.shuffle else max(self.size, 1)
            pools = [order[i : i + span] for i in range(0, self.size, span)]
            order = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools] or [order])
        batches = [order[i : i + self.batch_size] for i in range(0, self.size, self.batch_size)]
        if self.lengths is not None and self.shuffle:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches


def _whole(batch: Any) -> Any:
    """Return what ``__getitems__`` gathered; there is nothing left to collate."""
    return batch


class Loader(DataLoader[Any]):
    """A DataLoader over whole batches whose place (epoch, position) is saved and restored; Lightning calls both.

    Position is counted as batches are handed out, so that prefetching workers don't run ahead of it.
    """

    def __init__(self, examples: Examples, batches: Batches, num_workers: int = 0, pin_memory: bool = False) -> None:
        self.batches = batches
        self._begun = self._restored = False
        super().__init__(
            examples,  # type: ignore[arg-type]
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=_whole,
            pin_memory=pin_memory,
            persistent_workers=False,
            # Its own generator: an iterator otherwise draws its base seed from the global random state.
            generator=torch.Generator().manual_seed(0),
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        # Whoever iterates may stop at the last batch without asking for one more: an epoch ends when the next begins.
        if self._begun and (not self._restored or self.batches.position >= len(self.batches)):
            self.batches.epoch += 1
            self.batches.position = 0
        self._begun, self._restored = True, False
        gathered = super().__iter__() if self.num_workers else self._in_this_process()
        for count, batch in enumerate(gathered, self.batches.position + 1):
            self.batches.position = count
            yield batch

    def _in_this_process(self) -> Iterator[Batch]:
        """Gather without torch's own iterator, which costs as much as gathering a batch of short windows."""
        for indices in self.batches:
            batch: Batch = self.dataset.__getitems__(indices)  # type: ignore[attr-defined]
            yield batch.pin_memory() if self.pin_memory else batch

    def state_dict(self) -> dict[str, int]:
        """Return {epoch, position}."""
        return {"epoch": self.batches.epoch, "position": self.batches.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take up the order where ``state`` says."""
        self.batches.epoch, self.batches.position = state["epoch"], state["position"]
        self._begun = self._restored = True
