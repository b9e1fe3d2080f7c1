"""RG-LRU: De, Smith, Fernando, Botev et al. 2024, "Griffin", arXiv 2402.19427, section 2.4 and appendix A."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State, hint
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import block_linear, block_weight, count_heads, linear, softplus_inverse, zeros

#: The paper's c: a gate fully open raises the decay a to this power.
POWER = 8.0
#: The derivative of the square root at most, as in the authors' package.
MAX_SLOPE = 1000.0


class RGLRU(LinearCell):
    """Real-gated linear recurrent unit.

    u_t = W x_t
    r_t = sigmoid(W_a u_t + b_a),  i_t = sigmoid(W_x u_t + b_x)
    a_t = a^(c r_t), with a = exp(-softplus(Lambda)) and c = 8
    h_t = a_t h_{t-1} + sqrt(1 - a_t^2) (i_t u_t)

    W is the linear map before the unit in Griffin's recurrent block; W_a and W_x are block-diagonal. At the start
    a^c is uniform in [0.9, 0.999], as the text of section 2.4 has it. (The package recurrentgemma puts a, not a^c, on
    a ring between these bounds, so that its units forget sooner; and it lets the first step of a sequence pass
    without the factor sqrt(1 - a_t^2). Beyond that the two are equal.)

    Args:
        input_size: I.
        hidden_size: H.
        num_heads: blocks of W_a and W_x; None: the largest of 4, 2 and 1 that divides H.
    """

    gate_names = ("r", "i")

    def __init__(self, input_size: int, hidden_size: int, num_heads: int | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.num_heads = count_heads(num_heads, hidden_size, "hidden_size")
        width = hidden_size // self.num_heads
        self.input = nn.Linear(input_size, hidden_size, bias=False)
        nn.init.normal_(self.input.weight, std=input_size**-0.5)
        self.recurrence_gate = block_weight(self.num_heads, width, width, width**-0.5)
        self.recurrence_bias = nn.Parameter(torch.zeros(hidden_size))
        self.input_gate = block_weight(self.num_heads, width, width, width**-0.5)
        self.input_bias = nn.Parameter(torch.zeros(hidden_size))
        decay = torch.empty(hidden_size).uniform_(0.9, 0.999)  # a^c
        self.lambda_ = hint(nn.Parameter(softplus_inverse(-decay.log() / POWER)), weight_decay=0.0)

    def initial_state(self, batch_size: int) -> State:
        """Return (h,), (B, H) of zeros."""
        return (zeros(self, batch_size, self.hidden_size),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return u, W_a u + b_a and W_x u + b_x, each (B, T, H)."""
        (u,) = linear(x, self.input.weight, None, self.hidden_size)
        r = block_linear(u, self.recurrence_gate, self.recurrence_bias)
        i = block_linear(u, self.input_gate, self.input_bias)
        return (u, r, i), state

    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return (a_t, sqrt(1 - a_t^2) i_t u_t)."""
        u, recurrence, write = pre
        log_a = recurrence.sigmoid() * (-POWER * F.softplus(self.lambda_))
        decay, scale = _Decay.apply(log_a)  # type: ignore[no-untyped-call]
        return decay, scale * (write.sigmoid() * u)


class _Decay(torch.autograd.Function):
    """From log a, the pair a and sqrt(1 - a^2), whose derivative by a^2 is held to MAX_SLOPE where a reaches one."""

    @staticmethod
    def forward(ctx: Any, log_a: Tensor) -> tuple[Tensor, Tensor]:
        a, scale = log_a.exp(), torch.expm1(2 * log_a).neg_().sqrt_()
        ctx.save_for_backward(a, scale)
        return a, scale

    @staticmethod
    def backward(ctx: Any, grad_a: Tensor, grad_scale: Tensor) -> Tensor:
        a, scale = ctx.saved_tensors
        slope: Tensor = grad_scale / scale.clamp_min(1 / (2 * MAX_SLOPE))
        return torch.mul(torch.addcmul(grad_a, slope, a, value=-1), a)
