"""The elementwise family: a nonlinear recurrence in which no unit sees another, s_t = F(p_t, s_{t-1}) entry by entry.

Forward, a loop over F without a graph. Backward, no loop over F at all: once every state is known, F and its diagonal
derivative J are evaluated at all steps together, and the gradient g that reaches each state follows from the linear
recurrence g_{t-1} = ds_{t-1} + J_t g_t. A cell writes F once and no derivative by hand.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqlab.cells._base import Aux, Pre, RecurrentCell, State, unroll_by_steps, valid_steps, zero_padding
from seqlab.cells._time import widen


class ElementwiseCell(RecurrentCell):
    """A cell of the family. Its states all have one shape, (B, H), and ``transition`` mixes no units."""

    family: ClassVar[str] = "elementwise"
    backends: ClassVar[tuple[str, ...]] = ("auto", "loop", "steps")

    @abstractmethod
    def transition(self, pre: Pre, state: State) -> State:
        """Return F(p_t, s_{t-1}) for one step or, with leading axes, for many."""

    def readout(self, pre: Pre, before: State, after: State) -> Tensor:
        """Return y from the states before and after the step, for one step or many."""
        return after[0]

    def step(self, pre: Pre, state: State) -> tuple[Tensor, State]:
        """Advance one step: see ``RecurrentCell.step``."""
        wide = widen(pre)
        after = self.transition(wide, state)
        return self.readout(wide, state, after).to(pre[0].dtype), after

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
        real = None if lengths is None else valid_steps(lengths, x.shape[1]).T
        with torch.no_grad():
            trajectory = self._trajectory(wide, real, state)
        before, after = tuple(s[:-1] for s in trajectory), tuple(s[1:] for s in trajectory)
        if torch.is_grad_enabled():
            after = self._attach(wide, real, state, before)
            before = tuple(torch.cat([s.unsqueeze(0), a[:-1]]) for s, a in zip(state, after, strict=True))
        y = self.readout(wide, before, after).transpose(0, 1).to(pre[0].dtype)
        return zero_padding(y, lengths), tuple(a[-1] for a in after)

    def _advance(self, pre: Pre, real: Tensor | None, state: State) -> State:
        """Return F, or the state as it was where a step is padding."""
        after = self.transition(pre, state)
        if real is None:
            return after
        alive = real.unsqueeze(-1)
        return tuple(torch.where(alive, a, s) for a, s in zip(after, state, strict=True))

    def _trajectory(self, pre: Pre, real: Tensor | None, state: State) -> tuple[Tensor, ...]:
        """Return every state in time, (T + 1, B, H) each, the given one first."""
        columns = zip(*(p.unbind() for p in pre), strict=True)
        alive = [None] * len(pre[0]) if real is None else real.unbind()
        states = [state]
        for pre_t, alive_t in zip(columns, alive, strict=True):
            states.append(self._advance(pre_t, alive_t, states[-1]))
        return tuple(torch.stack(s) for s in zip(*states, strict=True))

    def _attach(self, pre: Pre, real: Tensor | None, state: State, before: State) -> State:
        """Return the states after each step with the graph that leads to inputs, parameters and the first state."""
        leaves = tuple(s.detach().requires_grad_() for s in before)
        local = self._advance(pre, real, leaves)
        jacobian = tuple(
            g for s in local for g in torch.autograd.grad(s.sum(), leaves, retain_graph=True, materialize_grads=True)
        )
        attached: State = _Adjoint.apply(*local, *jacobian, *state)  # type: ignore[no-untyped-call]
        return attached


class _Adjoint(torch.autograd.Function):
    """The states as they are; backward, the sum of their own gradient and of all that reaches them through later ones.

    Arguments: S states (T, B, H), their S x S diagonal derivatives by the states before, row by row, S first states.
    """

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> State:
        count = _count(tensors)
        ctx.save_for_backward(*tensors[count : count + count**2])
        return tuple(s.view_as(s) for s in tensors[:count])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        count = len(grads)
        jacobian = [j.unbind() for j in ctx.saved_tensors]
        local = [g.unbind() for g in grads]
        total = [torch.empty_like(g, memory_format=torch.contiguous_format) for g in grads]
        slots = [g.unbind() for g in total]
        reach = [torch.zeros_like(g[0]) for g in local]
        for t in range(len(grads[0]) - 1, -1, -1):
            for k in range(count):
                torch.add(local[k][t], reach[k], out=slots[k][t])
            reach = [slots[0][t] * jacobian[k][t] for k in range(count)]
            for row in range(1, count):
                for k in range(count):
                    reach[k].addcmul_(slots[row][t], jacobian[row * count + k][t])
        return *total, *[None] * count**2, *reach


def _count(tensors: tuple[Tensor, ...]) -> int:
    """Return S from the S + S^2 + S arguments."""
    return next(s for s in range(1, len(tensors)) if s * (s + 2) == len(tensors))
