"""SRU: Lei, Zhang, Wang, Dai, Artzi 2018, "Simple Recurrent Units", EMNLP, arXiv 1709.02755, section 3."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._elementwise import ElementwiseCell, Kept, Weights
from seqlab.cells._time import linear, zeros

sigmoid_backward = torch.ops.aten.sigmoid_backward.default


class SRU(ElementwiseCell):
    """Simple recurrent unit: a light recurrence and a highway around it.

    f_t = sigmoid(W_f x_t + v_f c_{t-1} + b_f)
    c_t = f_t c_{t-1} + (1 - f_t) (W x_t)
    r_t = sigmoid(W_r x_t + v_r c_{t-1} + b_r)
    h_t = r_t c_t + (1 - r_t) alpha x_t,  alpha = sqrt(1 + 2 exp(b)) with b the highway bias at the start (section 3.2)

    Where I differs from H, alpha x_t is a fourth product of the input, as in the authors' package.

    Args:
        input_size: I.
        hidden_size: H.
        peephole: the gates see c_{t-1} (version 2); False: v = 0 (version 1).
        highway_bias: b_r at the start; below zero the layer starts near the identity, for deep stacks.
    """

    gate_names = ("f", "r")

    def __init__(self, input_size: int, hidden_size: int, peephole: bool = True, highway_bias: float = 0.0) -> None:
        super().__init__(input_size, hidden_size)
        self.scale = math.sqrt(1 + 2 * math.exp(highway_bias))
        products = 3 if input_size == hidden_size else 4
        bound = math.sqrt(3 / input_size)
        weight = torch.empty(products, hidden_size, input_size).uniform_(-bound, bound)
        if peephole:
            weight[1:3] *= math.sqrt(0.5)  # the gates share their variance with v
        weight[3:] *= self.scale
        self.weight = nn.Parameter(weight.flatten(0, 1))
        self.forget_bias = nn.Parameter(torch.zeros(hidden_size))
        self.highway_bias = nn.Parameter(torch.full((hidden_size,), float(highway_bias)))
        self.v = nn.Parameter(torch.empty(2, hidden_size).uniform_(-1, 1) * math.sqrt(3 * 0.5)) if peephole else None

    def initial_state(self, batch_size: int) -> State:
        """Return (c,), (B, H) of zeros."""
        return (zeros(self, batch_size, self.hidden_size),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x and the highway's alpha x (B, T, H), and W_f x + b_f beside W_r x + b_r (B, T, 2, H)."""
        size, zero = self.hidden_size, torch.zeros_like(self.forget_bias)
        bias = torch.cat([zero, self.forget_bias, self.highway_bias, zero])[: len(self.weight)]
        candidate, gates, *skip = linear(x, self.weight, bias, size, 2 * size, *[size] * (len(self.weight) // size - 3))
        return (candidate, skip[0] if skip else self.scale * x, gates.reshape(*x.shape[:2], 2, size)), state

    def weights(self) -> Weights:
        """Return (v,), (2, H), or nothing without peepholes."""
        return () if self.v is None else (self.v,)

    def advance(self, pre: Pre, state: State, weights: Weights) -> tuple[Tensor, State, Kept]:
        """Return h_t and (c_t,)."""
        candidate, skip, sums = pre
        (c,) = state
        gates = torch.sigmoid(torch.addcmul(sums, weights[0], c.unsqueeze(1)) if weights else sums)
        f, r = gates.unbind(1)
        new = torch.lerp(candidate, c, f)
        return torch.lerp(skip, new, r), (new,), (candidate, skip, gates, c, new)

    def retreat(
        self, kept: Kept, d_y: Tensor, d_state: State, weights: Weights, d_weights: Weights
    ) -> tuple[Pre, State]:
        """Return the derivative."""
        candidate, skip, gates, c, new = kept
        f, r = gates.unbind(1)
        d_new = torch.addcmul(d_state[0], d_y, r)
        d_gates = torch.stack([d_new * (c - candidate), d_y * (new - skip)], 1)
        d_sums = sigmoid_backward(d_gates, gates)
        d_c = d_new * f
        d_pre = (d_new - d_c, torch.addcmul(d_y, d_y, r, value=-1), d_sums)
        if weights:
            d_c = d_c + (d_sums * weights[0]).sum(1)
            d_weights[0].addcmul_(d_sums, c.unsqueeze(1))
        return d_pre, (d_c,)
