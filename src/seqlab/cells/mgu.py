"""Minimal gated unit (Zhou, Wu, Zhang and Zhou 2016, arXiv 1603.09420)."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells._base import Pre, State
from seqlab.cells._gated import (
    GatedCell,
    Kept,
    Tape,
    Weights,
    masked,
    sigmoid_backward_into,
    tanh_backward_into,
    weight_gradient,
)


class MGU(GatedCell):
    """Zhou, Wu, Zhang, Zhou 2016, "Minimal gated unit for recurrent neural networks", arXiv 1603.09420.

        f = s(W_f x + U_f h + b_f)
        n = tanh(W_n x + U_n (f * h) + b_n)
        h' = (1 - f) * h + f * n

    The one gate both resets (before the product) and updates.

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: b_f at the start.
        init: "orthogonal" or "uniform".
    """

    gates = 2
    gate_names = ("f",)

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0, init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.forget_bias = forget_bias
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        self.bias.chunk(2)[0].fill_(self.forget_bias)

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h',)."""
        (h,) = state
        (pre_f, pre_n), (u_f, u_n) = pre[0].chunk(2, 1), weights[0].chunk(2)
        seen = masked(h, mask)
        f = torch.sigmoid(torch.addmm(pre_f, seen, u_f.t()))
        kept = f * seen
        n = torch.tanh(torch.addmm(pre_n, kept, u_n.t()))
        return (torch.lerp(h, n, f),), (f, n, h, kept)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh,)."""
        f, n, h, _ = kept
        (d_new,) = grads
        u_f, u_n = weights[0].chunk(2)
        into_n = d_new * f
        d_f, d_n = d_pre[0].chunk(2, 1)
        tanh_backward_into(into_n, n, grad_input=d_n)
        d_kept = torch.mm(d_n, u_n)
        sigmoid_backward_into(torch.addcmul(d_new * (n - h), d_kept, masked(h, mask)), f, grad_input=d_f)
        return (d_new - into_n + masked(torch.addmm(d_kept * f, d_f, u_f), mask),)

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradient of U, whose candidate rows saw f * h."""
        d_f, d_n = d_pre[0].chunk(2, 2)
        return (torch.cat((weight_gradient(d_f, tape.before), weight_gradient(d_n, tape.stack(3)))),)
