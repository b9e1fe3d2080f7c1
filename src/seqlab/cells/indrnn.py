"""IndRNN: Li, Li, Cook, Zhu, Gao 2018, "Independently Recurrent Neural Network", CVPR, arXiv 1803.04831, section 3."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State, hint
from seqlab.cells._elementwise import ElementwiseCell, Kept, Weights
from seqlab.cells._time import linear, zeros
from seqlab.errors import RequestError

threshold_backward = torch.ops.aten.threshold_backward.default


class IndRNN(ElementwiseCell):
    """Each unit sees its own past alone; two layers or more mix the units.

    h_t = ReLU(W x_t + u h_{t-1} + b)

    Args:
        input_size: I.
        hidden_size: H.
        clamp: |u| at most; the paper takes gamma^(1/T) for sequences of T steps (section 4.1). None: no bound.
        bias: whether b is there.
    """

    def __init__(self, input_size: int, hidden_size: int, clamp: float | None = None, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size)
        if clamp is not None and not clamp > 0:
            raise RequestError(f"clamp must be above zero, or null for no bound; got {clamp}.")
        self.clamp = clamp
        self.input = nn.Linear(input_size, hidden_size, bias)
        bound = 1.0 if clamp is None else min(1.0, clamp)
        self.u = hint(nn.Parameter(torch.empty(hidden_size).uniform_(0, bound)), weight_decay=0.0)

    def initial_state(self, batch_size: int) -> State:
        """Return (h,), (B, H) of zeros."""
        return (zeros(self, batch_size, self.hidden_size),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x + b, (B, T, H)."""
        return linear(x, self.input.weight, self.input.bias, self.hidden_size), state

    def weights(self) -> Weights:
        """Return (u,), clamped where a bound was asked for."""
        return (self.u if self.clamp is None else _Clamp.apply(self.u, self.clamp),)  # type: ignore[no-untyped-call]

    def advance(self, pre: Pre, state: State, weights: Weights) -> tuple[Tensor, State, Kept]:
        """Return h_t."""
        (h,) = state
        new = torch.addcmul(pre[0], weights[0], h).relu_()
        return new, (new,), (h, new)

    def retreat(
        self, kept: Kept, d_y: Tensor, d_state: State, weights: Weights, d_weights: Weights
    ) -> tuple[Pre, State]:
        """Return the derivative."""
        h, new = kept
        d_sum = threshold_backward(d_y + d_state[0], new, 0)
        d_weights[0].addcmul_(d_sum, h)
        return (d_sum,), (d_sum * weights[0],)


class _Clamp(torch.autograd.Function):
    """Clamp to [-bound, bound] whose gradient still leads back inside, as projection after each update would."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.bound = bound
        return u.clamp(-bound, bound)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        outward = (u.abs() > ctx.bound) & (grad * u < 0)
        return grad.masked_fill(outward, 0), None
