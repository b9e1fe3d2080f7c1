"""Mamba (S6): Gu, Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State, hint
from seqlab.cells._causal import CausalConv
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import linear, time_constants, zeros
from seqlab.errors import RequestError


class Mamba(LinearCell):
    """Mamba's mixer (section 3.4, figure 3): a selective state space between two gated projections.

    s_t, z_t = W_in x_t                     each of E = expand H channels
    u_t = SiLU(conv(s)_t)                   depthwise, causal, over ``window`` steps
    d_t, B_t, C_t = W_x u_t                 d_t of rank R, B_t and C_t of N
    Delta_t = softplus(W_dt d_t + b_dt)
    h_t = exp(Delta_t A) h_{t-1} + Delta_t B_t u_t,  A = -exp(a)       (E, N), section 3.2
    y_t = W_out ((h_t C_t + D u_t) SiLU(z_t))

    A = -(1 ... N) in each channel at the start (S4D-real, section 3.6), Delta log-uniform in [0.001, 0.1].

    Args:
        input_size: I.
        hidden_size: H, features of y.
        num_modes: N, states of a channel.
        expand: E / H.
        window: steps that the convolution sees, the present one included.
        rank: R; None: H / 16, rounded up.
    """

    segment: int | None = 8  # measured; the states of 8 steps at H = 256 fill a processor's cache

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_modes: int = 16,
        expand: int = 2,
        window: int = 4,
        rank: int | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.rank = math.ceil(hidden_size / 16) if rank is None else rank
        for name, value in (("num_modes", num_modes), ("expand", expand), ("window", window), ("rank", self.rank)):
            if value < 1:
                raise RequestError(f"{name} must be at least 1; got {value}.")
        self.num_modes, self.channels = num_modes, expand * hidden_size
        self.input = nn.Linear(input_size, 2 * self.channels, bias=False)
        self.conv = CausalConv(self.channels, window)
        self.select = nn.Linear(self.channels, self.rank + 2 * num_modes, bias=False)
        self.dt = nn.Linear(self.rank, self.channels)
        nn.init.uniform_(self.dt.weight, -(self.rank**-0.5), self.rank**-0.5)
        self.dt.bias = hint(nn.Parameter(time_constants(self.channels)), weight_decay=0.0)
        modes = torch.arange(1, num_modes + 1, dtype=torch.float32).expand(self.channels, num_modes)
        self.a = hint(nn.Parameter(modes.log()), weight_decay=0.0)
        self.d = hint(nn.Parameter(torch.ones(self.channels)), weight_decay=0.0)
        self.output = nn.Linear(self.channels, hidden_size, bias=False)

    def initial_state(self, batch_size: int) -> State:
        """Return h (B, E, N) and the last inputs of the convolution (B, window - 1, E), zeros."""
        tail = zeros(self, batch_size, len(self.conv.weight) - 1, self.channels, wide=False)
        return zeros(self, batch_size, self.channels, self.num_modes), tail

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return u, W_dt d + b_dt and z, each (B, T, E), and B and C, each (B, T, N)."""
        s, z = linear(x, self.input.weight, None, self.channels, self.channels)
        u, tail = self.conv(s, state[1], lengths)
        u = F.silu(u)
        d, b, c = linear(u, self.select.weight, None, self.rank, self.num_modes, self.num_modes)
        (dt,) = linear(d, self.dt.weight, self.dt.bias, self.channels)
        return (u, dt, z, b, c), (state[0], tail)

    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return exp(Delta_t A) and Delta_t B_t u_t, each (..., E, N)."""
        u, dt, _, b, _ = pre
        delta = F.softplus(dt)
        return torch.exp(delta.unsqueeze(-1) * -self.a.exp()), (delta * u).unsqueeze(-1) * b.unsqueeze(-2)

    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return W_out ((h_t C_t + D u_t) SiLU(z_t))."""
        u, _, z, _, c = pre
        y = (h @ c.unsqueeze(-1)).squeeze(-1) + self.d * u
        gated: Tensor = self.output((y * F.silu(z)).to(self.output.weight.dtype))
        return gated
