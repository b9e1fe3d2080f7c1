"""minLSTM: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi 2024, "Were RNNs All We Needed?", arXiv 2410.01201, sec. 3.2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import linear, zeros
from seqlab.cells.mingru import positive


class MinLSTM(LinearCell):
    """An LSTM whose gates and candidate see the input alone, with gates that add up to one.

    f_t = sigmoid(W_f x_t + b_f),  i_t = sigmoid(W_i x_t + b_i)
    c_t = g(W_h x_t + b_h)
    h_t = f_t / (f_t + i_t) h_{t-1} + i_t / (f_t + i_t) c_t

    Args:
        input_size: I.
        hidden_size: H.
        positive: g keeps the state above zero, as the paper's experiments do; False: g is the identity (section 3.2.3).
        bias: whether the biases are there.
        forget_bias: b_f at the start; above zero the cell keeps more from the first step on (section 5, figure 5).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        positive: bool = True,
        bias: bool = True,
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.positive = positive
        self.input = nn.Linear(input_size, 3 * hidden_size, bias)
        if bias:
            with torch.no_grad():
                self.input.bias[:hidden_size] += forget_bias

    def initial_state(self, batch_size: int) -> State:
        """Return (h,), (B, H) of zeros."""
        return (zeros(self, batch_size, self.hidden_size),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return the input products of forget gate, input gate and candidate, each (B, T, H)."""
        return linear(x, self.input.weight, self.input.bias, *[self.hidden_size] * 3), state

    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return (f'_t, i'_t c_t), the gates normalised."""
        forget, write, candidate = pre
        # f / (f + i) = sigmoid(log f - log i), which stands where both gates underflow.
        keep = torch.sigmoid(F.logsigmoid(forget) - F.logsigmoid(write))
        return keep, (1 - keep) * (positive(candidate) if self.positive else candidate)
