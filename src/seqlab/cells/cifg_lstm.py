"""LSTM with coupled input and forget gates (Greff et al. 2015, arXiv 1503.04069)."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells._base import Pre, State
from seqlab.cells._gated import GatedCell, Kept, Weights, masked, sigmoid_backward, tanh_backward


class CIFGLSTM(GatedCell):
    """Greff, Srivastava, Koutnik, Steunebrink, Schmidhuber 2015, "LSTM: a search space odyssey", arXiv 1503.04069.

        f, g, o = s(W_f x + U_f h + b_f), tanh(W_g x + U_g h + b_g), s(W_o x + U_o h + b_o)
        c' = f * c + (1 - f) * g
        h' = o * tanh(c')

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: b_f at the start.
        init: "orthogonal" or "uniform".
    """

    gates = 3
    states = ("h", "c")
    gate_names = ("f", "o")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0, init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.forget_bias = forget_bias
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        self.bias.chunk(3)[0].fill_(self.forget_bias)

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        h, c = state
        f, g, o = torch.addmm(pre[0], masked(h, mask), weights[0].t()).chunk(3, 1)
        f, g, o = torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        new_c = torch.lerp(g, c, f)
        squashed = torch.tanh(new_c)
        return (o * squashed, new_c), (f, g, o, c, squashed)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dc)."""
        f, g, o, c, squashed = kept
        d_h, d_c = grads
        d_c = d_c + tanh_backward(d_h * o, squashed)
        d_kept = d_c * f
        d_f, d_g = sigmoid_backward(d_c * (c - g), f), tanh_backward(d_c - d_kept, g)
        d_sums = torch.cat((d_f, d_g, sigmoid_backward(d_h * squashed, o)), 1, out=d_pre[0])
        return masked(torch.mm(d_sums, weights[0]), mask), d_kept
