"""The elementwise family: a nonlinear recurrence in which no unit sees another.

A loop over small tensors, which stay in the processor's cache, and a backward loop of the same kind: a cell writes one
step and its derivative, and a law holds the two together.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from seqlab.cells._base import (
    Aux,
    Pre,
    RecurrentCell,
    State,
    refuse_second_derivative,
    unroll_by_steps,
    valid_steps,
    zero_padding,
)
from seqlab.cells._time import widen

#: What a step keeps for its derivative.
Kept: TypeAlias = tuple[Tensor, ...]
#: The parameters that act inside the recurrence, each broadcast over the batch.
Weights: TypeAlias = tuple[Tensor, ...]


class ElementwiseCell(RecurrentCell):
    """A cell of the family."""

    family: ClassVar[str] = "elementwise"
    backends: ClassVar[tuple[str, ...]] = ("auto", "loop", "steps")

    @abstractmethod
    def weights(self) -> Weights:
        """Return the parameters that ``advance`` sees."""

    @abstractmethod
    def advance(self, pre: Pre, state: State, weights: Weights) -> tuple[Tensor, State, Kept]:
        """Return y, the states after one step, and what ``retreat`` wants to see again."""

    @abstractmethod
    def retreat(
        self, kept: Kept, d_y: Tensor, d_state: State, weights: Weights, d_weights: Weights
    ) -> tuple[Pre, State]:
        """Return the derivative of ``advance`` at one step.

        Args:
            kept: what ``advance`` kept.
            d_y: the gradient of y.
            d_state: the gradients of the states after the step.
            weights: as ``advance`` saw them.
            d_weights: (B, ...) for each weight, to which the step's share is added in place.

        Returns:
            The gradients of the projection and of the states before the step.
        """

    def step(self, pre: Pre, state: State) -> tuple[Tensor, State]:
        """Advance one step: see ``RecurrentCell.step``."""
        y, state, _ = self.advance(widen(pre), state, widen(self.weights()))
        return y.to(pre[0].dtype), state

    def unroll(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, State]:
        """Run over a sequence: see ``RecurrentCell.unroll``."""
        x = zero_padding(x, lengths)
        if self.backend == "steps" or torch.compiler.is_compiling():
            return unroll_by_steps(self, x, state, lengths, aux)
        state = self.initial_state(x.shape[0]) if state is None else state
        pre, state = self.project(x, state, lengths, aux)
        wide = tuple(p.transpose(0, 1) for p in widen(pre))
        alive = None if lengths is None else valid_steps(lengths, x.shape[1]).T.unsqueeze(-1)
        tensors = (*wide, *state, *widen(self.weights()))
        y, *last = _Unroll.apply(self, alive, len(pre), len(state), *tensors)  # type: ignore[no-untyped-call]
        return zero_padding(y.transpose(0, 1).to(pre[0].dtype), lengths), tuple(last)


class _Unroll(torch.autograd.Function):
    """A whole sequence, time first: projections, first states and weights to y (T, B, H) and the last states."""

    @staticmethod
    def forward(
        ctx: Any, cell: ElementwiseCell, alive: Tensor | None, inputs: int, states: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        pre, state, weights = tensors[:inputs], tensors[inputs : inputs + states], tensors[inputs + states :]
        outputs, ctx.kept = [], []
        for t, column in enumerate(zip(*(p.unbind() for p in pre), strict=True)):
            y, new, kept = cell.advance(column, state, weights)
            if alive is not None:
                new = tuple(torch.where(alive[t], n, s) for n, s in zip(new, state, strict=True))
            state = new
            outputs.append(y)
            ctx.kept.append(kept)
        ctx.cell, ctx.alive = cell, alive
        ctx.save_for_backward(*weights)
        return torch.stack(outputs), *(s.clone() for s in state)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor, *d_state: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        weights = ctx.saved_tensors
        batch = d_y.shape[1]
        d_weights = tuple(w.new_zeros(batch, *w.shape) for w in weights)
        d_columns = []
        for t in range(len(ctx.kept) - 1, -1, -1):
            given = d_state if ctx.alive is None else tuple(d * ctx.alive[t] for d in d_state)
            d_pre, d_before = ctx.cell.retreat(ctx.kept[t], d_y[t], given, weights, d_weights)
            if ctx.alive is not None:  # a padded step hands the gradient of its state on as it is
                d_before = tuple(torch.where(ctx.alive[t], b, d) for b, d in zip(d_before, d_state, strict=True))
            d_state = d_before
            d_columns.append(d_pre)
        d_pre = tuple(torch.stack(d) for d in zip(*reversed(d_columns), strict=True))
        return None, None, None, None, *d_pre, *d_state, *(d.sum(0) for d in d_weights)
