"""minLSTM: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi 2024, "Were RNNs All We Needed?", arXiv 2410.01201, sec. 3.2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import linear, zeros
from seqlab.cells.mingru import positive

sigmoid_backward = torch.ops.aten.sigmoid_backward.default


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

    gate_names = ("f", "i")

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
        keep, *_ = _Share.apply(forget, write)  # type: ignore[no-untyped-call]
        return keep, (1 - keep) * (positive(candidate) if self.positive else candidate)


class _Share(torch.autograd.Function):
    """s = f / (f + i) from the gates' sums, with ds/df~ = s (1 - s) (1 - f) and ds/di~ = -s (1 - s) (1 - i).

    Written out, because autograd's derivative of the quotient divides by (f + i)^2, which underflows for closed gates.
    """

    @staticmethod
    def forward(ctx: Any, forget: Tensor, write: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f, i = forget.sigmoid(), write.sigmoid()
        share = f / (f + i).clamp_min_(torch.finfo(f.dtype).tiny)
        ctx.save_for_backward(f, i, share)
        ctx.set_materialize_grads(False)
        return share, f, i  # f and i are given out so that a second derivative finds them in the graph

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_f: Tensor | None, grad_i: Tensor | None) -> tuple[Tensor, Tensor]:
        f, i, share = ctx.saved_tensors
        d = sigmoid_backward(torch.zeros_like(share) if grad is None else grad, share)
        d_forget, d_write = torch.addcmul(d, d, f, value=-1), torch.addcmul(d, d, i, value=-1).neg()
        d_forget = d_forget if grad_f is None else d_forget + sigmoid_backward(grad_f, f)
        return d_forget, d_write if grad_i is None else d_write + sigmoid_backward(grad_i, i)
