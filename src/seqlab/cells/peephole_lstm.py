"""Peephole LSTM (Gers, Schraudolph and Schmidhuber 2002)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells._base import Pre, State
from seqlab.cells._gated import (
    GatedCell,
    Kept,
    Weights,
    masked,
    sigmoid_backward_into,
    tanh_backward,
    tanh_backward_into,
)


class PeepholeLSTM(GatedCell):
    """Gers, Schraudolph, Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks", JMLR 3.

        i, f = s(W_i x + U_i h + p_i * c + b_i), s(W_f x + U_f h + p_f * c + b_f)
        g = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g
        o = s(W_o x + U_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: b_f at the start.
        init: "orthogonal" or "uniform"; the peepholes p (3, H) start at zero, an LSTM, either way.
    """

    gates = 4
    states = ("h", "c")
    gate_names = ("i", "f", "o")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0, init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.forget_bias = forget_bias
        self.peepholes = nn.Parameter(torch.empty(3, hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        self.bias.chunk(4)[1].fill_(self.forget_bias)
        self.peepholes.zero_()

    def weights(self) -> Weights:
        """Return U and p."""
        return self.weight_hh, self.peepholes

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        h, c = state
        weight, p = weights
        sums = torch.addmm(pre[0], masked(h, mask), weight.t()).view(-1, 4, c.shape[1])
        gates = torch.sigmoid(torch.addcmul(sums[:, :2], c.unsqueeze(1), p[:2]))
        i, f = gates.unbind(1)
        g = torch.tanh(sums[:, 2])
        new_c = torch.addcmul(f * c, i, g)
        o = torch.sigmoid(torch.addcmul(sums[:, 3], new_c, p[2]))
        squashed = torch.tanh(new_c)
        return (o * squashed, new_c), (gates, g, o, c, new_c, squashed)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dc)."""
        gates, g, o, c, new_c, squashed = kept
        i, f = gates.unbind(1)
        d_h, d_c = grads
        weight, p = weights
        d_i, d_f, d_g, d_o = d_pre[0].chunk(4, 1)
        sigmoid_backward_into(d_h * squashed, o, grad_input=d_o)
        d_c = torch.addcmul(d_c + tanh_backward(d_h * o, squashed), d_o, p[2])
        tanh_backward_into(d_c * i, g, grad_input=d_g)
        sigmoid_backward_into(d_c * g, i, grad_input=d_i)
        sigmoid_backward_into(d_c * c, f, grad_input=d_f)
        d_weights[1].add_(torch.stack(((d_i * c).sum(0), (d_f * c).sum(0), (d_o * new_c).sum(0))))
        d_c = torch.addcmul(torch.addcmul(d_c * f, d_i, p[0]), d_f, p[1])
        return masked(torch.mm(d_pre[0], weight), mask), d_c
