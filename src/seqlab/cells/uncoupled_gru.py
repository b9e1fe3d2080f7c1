"""Uncoupled GRU: independent input and forget gates, and a reset over the whole candidate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._gated import GatedCell, Kept, Weights, masked, sigmoid_backward, tanh_backward


class UncoupledGRU(GatedCell):
    """A single-state gated cell: the GRU with its update gate split in two and its reset over the whole candidate.

        i, f, o = s(W [h, x] + b)
        c = tanh((W_c [h, x]) * o + b_c)
        h' = f * h + i * c

    o is no output gate: it multiplies the candidate's products, of input and h alike, and not b_c; where o is 0 the
    candidate is tanh(b_c). With i and f independent h is not bounded (it can grow by one a step), and the gates read it
    raw: keep the forget bias, clip gradients by norm, or couple the gates, after which h never leaves [-1, 1].

    Args:
        input_size: I.
        hidden_size: H.
        coupled: whether i = 1 - f; then i has no weights.
        forget_bias: b_f at the start.
        init: "orthogonal" or "uniform".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        coupled: bool = False,
        forget_bias: float = 1.0,
        init: str = "orthogonal",
    ) -> None:
        self.coupled, self.forget_bias, self.gates = coupled, forget_bias, 3 if coupled else 4
        self.gate_names = ("f", "o") if coupled else ("i", "f", "o")
        super().__init__(input_size, hidden_size, init)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        self.bias.chunk(self.gates)[-3].fill_(self.forget_bias)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x + b of (i, f, o) and W_c x, (B, T, 4 H), and b_c, (B, T, H), which waits for o."""
        gates, candidate = torch.split(self.bias, [(self.gates - 1) * self.hidden_size, self.hidden_size])
        sums = F.linear(x, self.weight_ih, torch.cat((gates, torch.zeros_like(candidate))))
        return (sums, candidate.to(sums.dtype).expand(*x.shape[:2], -1)), state

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h',)."""
        (h,) = state
        units = h.shape[1]
        sums = torch.addmm(pre[0], masked(h, mask), weights[0].t())
        gates, candidate = torch.sigmoid(sums[:, :-units]), sums[:, -units:]
        *i, f, o = gates.chunk(self.gates - 1, 1)
        c = torch.tanh(torch.addcmul(pre[1], candidate, o))
        new = torch.lerp(c, h, f) if self.coupled else torch.addcmul(f * h, i[0], c)
        return (new,), (gates, candidate, c, h)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh,)."""
        gates, candidate, c, h = kept
        *i, f, o = gates.chunk(self.gates - 1, 1)
        (d_new,) = grads
        d_kept = d_new * f
        d_c = tanh_backward(d_new - d_kept if self.coupled else d_new * i[0], c)
        into = [d_new * (h - c)] if self.coupled else [d_new * c, d_new * h]
        d_gates = sigmoid_backward(torch.cat((*into, d_c * candidate), 1), gates)
        d_pre[1].copy_(d_c)
        d_sums = torch.cat((d_gates, d_c * o), 1, out=d_pre[0])
        return (d_kept + masked(torch.mm(d_sums, weights[0]), mask),)
