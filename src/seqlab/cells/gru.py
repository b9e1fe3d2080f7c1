"""Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._gated import (
    Kept,
    Tape,
    Weights,
    masked,
    sigmoid_backward,
    tanh_backward,
    weight_gradient,
)
from seqlab.cells._native import NativeCell, one_layer


class GRU(NativeCell):
    """Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", with the reset after the product.

        r, z = s(W_r x + U_r h + b_r), s(W_z x + U_z h + b_z)
        n = tanh(W_n x + b_n + r * (U_n h + b_hn))
        h' = (1 - z) * n + z * h

    Weights stack r, z, n as torch's do; ``bias_hn`` is the one recurrent bias that doesn't merge with its input's.
    ``GRUResetBefore`` is the paper's own order.

    Args:
        input_size: I.
        hidden_size: H.
        init: "orthogonal" or "uniform".
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.bias_hn = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        nn.init.zeros_(self.bias_hn)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x + b of r and z, b_hn, and W x + b of n: (B, T, 4 H)."""
        units = self.hidden_size
        (w_rz, w_n), (b_rz, b_n) = (torch.split(t, [2 * units, units]) for t in (self.weight_ih, self.bias))
        weight = torch.cat((w_rz, torch.zeros_like(w_n), w_n))
        return (F.linear(x, weight, torch.cat((b_rz, self.bias_hn, b_n))),), state

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h',)."""
        (h,) = state
        units = h.shape[1]
        sums = torch.addmm(pre[0][:, : 3 * units], masked(h, mask), weights[0].t())
        gates = torch.sigmoid(sums[:, : 2 * units])
        r, z = gates.chunk(2, 1)
        u = sums[:, 2 * units :]
        n = torch.tanh(torch.addcmul(pre[0][:, 3 * units :], r, u))
        return (torch.lerp(n, h, z),), (gates, u, n, h)

    def retreat(self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, out: Pre) -> State:
        """Return (dh,)."""
        gates, u, n, h = kept
        r, z = gates.chunk(2, 1)
        (d_h,) = grads
        d_n = tanh_backward(d_h - d_h * z, n)
        d_gates = sigmoid_backward(torch.cat((d_n * u, d_h * (h - n)), 1), gates)
        torch.cat((d_gates, d_n * r, d_n), 1, out=out[0])
        recurrent = out[0][:, : 3 * h.shape[1]]
        return (torch.addcmul(masked(recurrent @ weights[0], mask), d_h, z),)

    def weight_gradients(self, tape: Tape, d_pre: Pre) -> tuple[Tensor | None, ...]:
        """Return the gradient of U."""
        return (weight_gradient(d_pre[0][..., : 3 * self.hidden_size], tape.before),)

    def kernel(self, x: Tensor, state: State, padding: Tensor | None) -> tuple[Tensor, State]:
        """Run ``torch.nn.GRU``'s kernel."""
        bias_hh = torch.cat((torch.zeros_like(self.bias[self.hidden_size :]), self.bias_hn))
        weights = [self.weight_ih, self.weight_hh, self.bias, bias_hh]
        (h,) = one_layer(state)
        y, h = torch._VF.gru(x, h, weights, True, 1, 0.0, False, False, True)
        return y, (h[0],)
