"""JANET, just another network (van der Westhuizen and Lasenby 2018, arXiv 1804.04849)."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells._base import Pre, State
from seqlab.cells._gated import GatedCell, Kept, Weights, masked, sigmoid_backward, tanh_backward
from seqlab.cells._init import chrono


class JANET(GatedCell):
    """Van der Westhuizen, Lasenby 2018, "The unreasonable effectiveness of the forget gate", arXiv 1804.04849.

        s = W_f x + U_f h + b_f
        c = tanh(W_c x + U_c h + b_c)
        h' = s(s) * h + (1 - s(s - beta)) * c

    Args:
        input_size: I.
        hidden_size: H.
        beta: how far the input gate is opened beyond 1 - s(s); a constant.
        chrono: T_max of the forget bias, log U(1, T_max - 1): about the length of the sequences. The cell's point.
        init: "orthogonal" or "uniform", for all but the forget bias.
    """

    gates = 2
    gate_names = ("f",)

    def __init__(
        self, input_size: int, hidden_size: int, beta: float = 1.0, chrono: int = 100, init: str = "orthogonal"
    ) -> None:
        super().__init__(input_size, hidden_size, init)
        self.beta, self.chrono = beta, chrono
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        forget, candidate = self.bias.chunk(2)
        chrono(forget, self.chrono)
        candidate.zero_()

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h',)."""
        (h,) = state
        s, c = torch.addmm(pre[0], masked(h, mask), weights[0].t()).chunk(2, 1)
        f, shut, c = torch.sigmoid(s), torch.sigmoid(s - self.beta), torch.tanh(c)
        return (torch.addcmul(f * h, 1 - shut, c),), (f, shut, c, h)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh,)."""
        f, shut, c, h = kept
        (d_new,) = grads
        d_s = sigmoid_backward(d_new * h, f) - sigmoid_backward(d_new * c, shut)
        d_sums = torch.cat((d_s, tanh_backward(d_new * (1 - shut), c)), 1, out=d_pre[0])
        return (torch.addcmul(masked(torch.mm(d_sums, weights[0]), mask), d_new, f),)
