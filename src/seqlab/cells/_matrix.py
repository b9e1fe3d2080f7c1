"""The matrix family: each head's state is a matrix that a step decays and to which it adds an outer product.

Over time the steps run in chunks: within a chunk every step meets every earlier one in one matrix product, and only the
state at the chunk's end is carried on. Cost and memory are linear in T, and the products are large enough to be fast.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from seqlab.cells._base import Aux, Pre, RecurrentCell, State, unroll_by_steps, valid_steps, zero_padding
from seqlab.cells._time import widen


class MatrixCell(RecurrentCell):
    """A cell of the family. State: ``memories`` tensors that a step changes, then tails that ``project`` moves on.

    Attributes:
        memories: how many of the state's tensors a step changes.
        chunk_size: L, steps a chunk.
    """

    family: ClassVar[str] = "matrix"
    backends: ClassVar[tuple[str, ...]] = ("auto", "chunk", "steps")
    memories: ClassVar[int] = 1
    chunk_size: int = 32

    @abstractmethod
    def recur(self, pre: Pre, memory: State) -> tuple[Tensor, State]:
        """Return what one step reads, (B, heads, d), and the memory after it: the paper's recurrence."""

    @abstractmethod
    def chunk(self, pre: Pre, memory: State) -> tuple[Tensor, State]:
        """Return what L steps read, (B, L, heads, d), and the memory after them: ``recur`` in matrix products."""

    @abstractmethod
    def passive(self, pre: Pre, real: Tensor) -> Pre:
        """Return the projection with the steps where ``real`` (B, T) is False made to leave the memory alone."""

    @abstractmethod
    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return y from what the steps read, for one step or many."""

    def step(self, pre: Pre, state: State) -> tuple[Tensor, State]:
        """Advance one step: see ``RecurrentCell.step``."""
        wide = widen(pre)
        h, memory = self.recur(wide, state[: self.memories])
        return self.readout(h, wide).to(pre[0].dtype), (*memory, *state[self.memories :])

    def unroll(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, State]:
        """Run over a sequence: see ``RecurrentCell.unroll``."""
        x = zero_padding(x, lengths)
        if self.backend == "steps":
            return unroll_by_steps(self, x, state, lengths, aux)
        state = self.initial_state(x.shape[0]) if state is None else state
        pre, state = self.project(x, state, lengths, aux)
        wide = widen(pre)
        moved = wide if lengths is None else self.passive(wide, valid_steps(lengths, x.shape[1]))
        memory, outputs = state[: self.memories], []
        for part in zip(*(torch.split(p, self.chunk_size, 1) for p in moved), strict=True):
            h, memory = self.chunk(part, memory)
            outputs.append(h)
        y = self.readout(torch.cat(outputs, 1), wide).to(pre[0].dtype)
        return zero_padding(y, lengths), (*memory, *state[self.memories :])


def by_head(pre: Pre) -> Pre:
    """Return tensors (B, L, heads, ...) as (B, heads, L, ...), as the products over L want them."""
    return tuple(p.transpose(1, 2) for p in pre)


def causal(exponent: Tensor) -> Tensor:
    """Return exp of (..., L, L) where the second step is not later than the first, else zero."""
    steps = exponent.shape[-1]
    later = torch.ones(steps, steps, dtype=torch.bool, device=exponent.device).triu(1)
    # Masked before the exponential, which may overflow there and would then poison the gradient.
    return exponent.masked_fill(later, -torch.inf).exp()
