"""The linear family: h_t = a_t h_{t-1} + b_t, where a and b come from the input alone.

On a CPU a sequential loop in place, with the backward pass written by hand (the same recurrence, run backwards); on
an accelerator a parallel scan. Both are exact, take memory linear in T, and hold for complex states.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

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


def linear_recurrence(a: Tensor, b: Tensor, h: Tensor, parallel: bool = False) -> Tensor:
    """Return all states of h_t = a_t h_{t-1} + b_t.

    Args:
        a: (T, B, ...), real or complex; T and B may be 1 where all steps or rows share one decay.
        b: (T, B, ...).
        h: (B, ...), the state before the first step.
        parallel: a scan in O(log T) passes instead of a loop.

    Returns:
        (T, B, ...).
    """
    states: Tensor = _Recurrence.apply(a, b, h, parallel)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    """h_t = a_t h_{t-1} + b_t, time first. Of the gradients g_t that reach h_t, g_{t-1} = dh_{t-1} + conj(a_t) g_t."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h: Tensor, parallel: bool) -> Tensor:
        trajectory = h.new_empty(len(b) + 1, *h.shape)  # h_0 first, so that the states before each step are a view
        trajectory[0] = h
        if parallel:
            _scan(a.expand(len(b), *a.shape[1:]), b, trajectory)
        else:
            _loop(_unbind(a, len(b)), b.unbind(), trajectory.unbind())
        ctx.save_for_backward(a, trajectory)
        ctx.parallel = parallel
        return trajectory[1:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        refuse_second_derivative()
        a, trajectory = ctx.saved_tensors
        decay = a.conj().resolve_conj()
        if ctx.parallel:
            backwards = grad.flip(0)  # the last step's gradient is given, the others are filled in
            _scan(decay.expand(len(grad), *a.shape[1:])[1:].flip(0), grad[:-1].flip(0), backwards)
            g = backwards.flip(0)
        else:
            g = torch.empty_like(grad, memory_format=torch.contiguous_format)
            g[-1] = grad[-1]
            _loop(_unbind(decay, len(grad))[:0:-1], grad.unbind()[-2::-1], g.unbind()[::-1])
        grad_a = (g * trajectory[:-1].conj()).sum_to_size(a.shape) if ctx.needs_input_grad[0] else None
        return grad_a, g, a[0].conj() * g[0], None


def _unbind(a: Tensor, steps: int) -> Sequence[Tensor]:
    return a.unbind() if len(a) == steps else [a[0]] * steps


def _loop(a: Sequence[Tensor], b: Sequence[Tensor], trajectory: Sequence[Tensor]) -> None:
    """Fill ``trajectory``, of which the first entry is given and which is one longer than the others."""
    h, *slots = trajectory
    for a_t, b_t, slot in zip(a, b, slots, strict=True):
        h = torch.addcmul(b_t, a_t, h, out=slot)


def _scan(a: Tensor, b: Tensor, trajectory: Tensor) -> None:
    """Fill ``trajectory`` as ``_loop`` does, by odd-even reduction: O(T) work in O(log T) passes.

    Two steps make one of a recurrence half as long, which gives every second state; the others follow from these.
    """
    steps = len(b)
    if steps == 0:
        return
    pairs = steps // 2
    first, second = slice(0, 2 * pairs, 2), slice(1, None, 2)
    a_pair, b_pair = a[second] * a[first], torch.addcmul(b[second], a[second], b[first])
    _scan(a_pair, b_pair, trajectory[::2][: pairs + 1])
    torch.addcmul(b[::2], a[::2], trajectory[:-1:2], out=trajectory[second])


class LinearCell(RecurrentCell):
    """A cell whose state obeys h_t = a_t h_{t-1} + b_t. State: h first, then tails that ``project`` alone moves on.

    Attributes:
        segment: steps whose coefficients are in memory at once on a CPU (an accelerator, which fills its width with
            steps, takes sixteen times as many); the backward pass forms them again. None: all.
    """

    family: ClassVar[str] = "linear"
    backends: ClassVar[tuple[str, ...]] = ("auto", "loop", "scan", "steps")
    segment: int | None = None

    @abstractmethod
    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return (a, b) of h_t = a_t h_{t-1} + b_t, from the projection of one step (B, ...) or of many (T, B, ...)."""

    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return y from the state after the step, for one step or many."""
        return h

    def step(self, pre: Pre, state: State) -> tuple[Tensor, State]:
        """Advance one step: see ``RecurrentCell.step``."""
        wide = widen(pre)
        a, b = self.coefficients(wide)
        h = torch.addcmul(b, a, state[0])
        return self.readout(h, wide).to(pre[0].dtype), (h, *state[1:])

    def unroll(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, State]:
        """Run over a sequence: see ``RecurrentCell.unroll``."""
        x = zero_padding(x, lengths)
        if self.backend == "steps" or torch.compiler.is_compiling():
            return unroll_by_steps(self, x, state, lengths, aux)
        state = self.initial_state(x.shape[0]) if state is None else state
        pre, (h, *tails) = self.project(x, state, lengths, aux)
        columns = tuple(p.transpose(0, 1) for p in pre)
        real = None if lengths is None else valid_steps(lengths, x.shape[1]).T
        size = x.shape[1] if self.segment is None else self.segment * (1 if h.device.type == "cpu" else 16)
        if x.shape[1] <= size:
            y, h = self._advance(h, real, *columns)
        else:
            y, h = self._advance_by_segments(h, real, columns, size)
        return zero_padding(y.transpose(0, 1), lengths), (h, *tails)

    def _advance(self, h: Tensor, real: Tensor | None, *pre: Tensor) -> tuple[Tensor, Tensor]:
        """Return y (T, B, O) and the last state; everything is time first from here on, as it lies in memory."""
        wide = widen(pre)
        a, b = self.coefficients(wide)
        if real is not None:  # a padded step is h_t = 1 h_{t-1} + 0
            real = real.reshape(*real.shape, *[1] * (b.dim() - 2))
            a, b = torch.where(real, a, 1), torch.where(real, b, 0)
        states = linear_recurrence(
            a, b, h, self.backend == "scan" or (self.backend == "auto" and h.device.type != "cpu")
        )
        return self.readout(states, wide).to(pre[0].dtype), states[-1]

    def _advance_by_segments(self, h: Tensor, real: Tensor | None, pre: Pre, size: int) -> tuple[Tensor, Tensor]:
        parts = list(zip(*(torch.split(p, size) for p in pre), strict=True))
        masks = [None] * len(parts) if real is None else torch.split(real, size)
        outputs = []
        for part, mask in zip(parts, masks, strict=True):
            y, h = checkpoint(self._advance, h, mask, *part, use_reentrant=False, preserve_rng_state=False)
            outputs.append(y)
        return torch.cat(outputs), h
