"""QRNN: Bradbury, Merity, Xiong, Socher 2017, "Quasi-Recurrent Neural Networks", arXiv 1611.01576, section 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._causal import extend, next_tail
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import linear, zeros
from seqlab.errors import RequestError, did_you_mean

POOLING = {"f": 2, "fo": 3, "ifo": 4}


class QRNN(LinearCell):
    """Causal convolutions for the gates, and a pooling that mixes no channels.

    z_t = tanh(W_z * x),  f_t = sigmoid(W_f * x),  o_t = sigmoid(W_o * x),  i_t = sigmoid(W_i * x)
    f:   c_t = f_t c_{t-1} + (1 - f_t) z_t,  h_t = c_t
    fo:  c_t = f_t c_{t-1} + (1 - f_t) z_t,  h_t = o_t c_t
    ifo: c_t = f_t c_{t-1} + i_t z_t,        h_t = o_t c_t

    Args:
        input_size: I.
        hidden_size: H.
        window: k, the steps that a convolution sees, the present one included.
        pooling: f, fo or ifo.
        bias: whether the convolutions have one.
        zoneout: share of the forget gates that are held at one in training, f = 1 - dropout(1 - f) without rescaling;
            in evaluation the mean.
    """

    refuses: ClassVar[Mapping[str, str]] = {"zoneout": "the paper's acts on its forget gate, which is cell.zoneout"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        window: int = 2,
        pooling: str = "fo",
        bias: bool = True,
        zoneout: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if pooling not in POOLING:
            raise RequestError(f"QRNN has no pooling {pooling!r}.{did_you_mean(pooling, POOLING)}")
        if window < 1:
            raise RequestError(f"window must be at least 1, the present step; got {window}.")
        if not 0 <= zoneout < 1:
            raise RequestError(f"zoneout must be in [0, 1), the share of gates that is held; got {zoneout}.")
        self.window, self.pooling, self.zoneout = window, pooling, zoneout
        self.gate_names = {"f": ("f",), "fo": ("f", "o"), "ifo": ("f", "i", "o")}[pooling]
        self.conv = nn.Linear(window * input_size, POOLING[pooling] * hidden_size, bias)

    def initial_state(self, batch_size: int) -> State:
        """Return c (B, H) and the last k - 1 inputs (B, k - 1, I), zeros."""
        tail = zeros(self, batch_size, self.window - 1, self.input_size, wide=False)
        return zeros(self, batch_size, self.hidden_size), tail

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return the convolutions for z, f, o and i, as many as the pooling has, each (B, T, H)."""
        extended, steps = extend(x, state[1]), x.shape[1]
        windows = torch.cat([extended[:, j : j + steps] for j in range(self.window)], -1)
        pre = linear(windows, self.conv.weight, self.conv.bias, *[self.hidden_size] * POOLING[self.pooling])
        return pre, (state[0], next_tail(extended, state[1], lengths))

    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return (f_t, i_t z_t), with i_t = 1 - f_t except in ifo pooling."""
        f = pre[1].sigmoid()
        if self.zoneout:
            held = (torch.rand_like(f) < self.zoneout).to(f.dtype) if self.training else self.zoneout
            f = f + held * (1 - f)
        write = pre[3].sigmoid() if self.pooling == "ifo" else 1 - f
        return f, write * pre[0].tanh()

    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return o_t c_t, or c_t in f pooling."""
        return h if self.pooling == "f" else pre[2].sigmoid() * h
