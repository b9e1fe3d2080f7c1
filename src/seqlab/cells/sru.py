"""SRU: Lei, Zhang, Wang, Dai, Artzi 2018, "Simple Recurrent Units", EMNLP, arXiv 1709.02755, section 3."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._elementwise import ElementwiseCell
from seqlab.cells._time import linear, zeros


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
        """Return W x, W_f x, W_r x and the highway's alpha x, each (B, T, H)."""
        products = linear(x, self.weight, None, *[self.hidden_size] * (len(self.weight) // self.hidden_size))
        return products if len(products) == 4 else (*products, self.scale * x), state

    def transition(self, pre: Pre, state: State) -> State:
        """Return (c_t,)."""
        (c,) = state
        f = self._gate(pre[1], c, self.forget_bias, 0)
        return (f * c + (1 - f) * pre[0],)

    def readout(self, pre: Pre, before: State, after: State) -> Tensor:
        """Return h_t."""
        r = self._gate(pre[2], before[0], self.highway_bias, 1)
        return r * after[0] + (1 - r) * pre[3]

    def _gate(self, product: Tensor, c: Tensor, bias: Tensor, row: int) -> Tensor:
        return torch.sigmoid(product + bias if self.v is None else product + bias + self.v[row] * c)
