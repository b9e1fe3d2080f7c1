"""mLSTM: Beck, Poeppel, Spanring et al. 2024, "xLSTM", NeurIPS, arXiv 2405.04517, section 2.3 and figure 11."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State, hint
from seqlab.cells._causal import CausalConv
from seqlab.cells._matrix import MatrixCell, by_head, causal
from seqlab.cells._time import block_linear, block_weight, count_heads, linear, zeros
from seqlab.errors import RequestError


class MLSTM(MatrixCell):
    """xLSTM's layer with a matrix memory (its block without norm and residual); per head

    u_t, z_t = W_up x_t,  c_t = SiLU(conv(u)_t)              each of E = expand H channels
    q_t, k_t = W_q c_t, W_k c_t / sqrt(d),  v_t = W_v u_t    block-diagonal
    i~_t, f~_t = w_i [q, k, v] + b_i, w_f [q, k, v] + b_f    k before its division
    m_t = max(log sigmoid(f~_t) + m_{t-1}, i~_t)
    i_t = exp(i~_t - m_t),  f_t = exp(log sigmoid(f~_t) + m_{t-1} - m_t)
    C_t = f_t C_{t-1} + i_t v_t k_t^T,  n_t = f_t n_{t-1} + i_t k_t
    h_t = C_t q_t / max(|n_t q_t|, exp(-m_t))
    y_t = W_down ((LayerNorm(h_t) + s c_t) SiLU(z_t))

    C is held as (key, value). At the start the gates see no input, b_f is spread over [3, 6] across the heads and b_i
    is N(0, 0.1^2); W_up and the projections have variance 2 / (5 I) and 2 / (5 H), W_down 4 / H.

    Args:
        input_size: I.
        hidden_size: H, features of y.
        num_heads: heads; None: the largest of 4, 2 and 1 that divides E.
        expand: E / H.
        window: steps that the convolution sees, the present one included.
    """

    memories: ClassVar[int] = 3
    gate_names = ("f",)

    def __init__(
        self, input_size: int, hidden_size: int, num_heads: int | None = None, expand: int = 2, window: int = 4
    ) -> None:
        super().__init__(input_size, hidden_size)
        for name, value in (("expand", expand), ("window", window)):
            if value < 1:
                raise RequestError(f"{name} must be at least 1; got {value}.")
        self.channels = channels = expand * hidden_size
        self.num_heads = heads = count_heads(num_heads, channels, "expand * hidden_size")
        self.up = nn.Linear(input_size, 2 * channels, bias=False)
        nn.init.normal_(self.up.weight, std=math.sqrt(2 / (5 * input_size)))
        self.conv = CausalConv(channels, window)
        block = math.gcd(channels, 4)
        small = math.sqrt(2 / (5 * hidden_size))
        self.q = block_weight(channels // block, block, block, small)
        self.k = block_weight(channels // block, block, block, small)
        self.v = block_weight(channels // block, block, block, small)
        self.gates = nn.Linear(3 * channels, 2 * heads)  # input gates, then forget gates
        nn.init.zeros_(self.gates.weight)
        self.gates.bias = hint(
            nn.Parameter(torch.cat([torch.randn(heads) * 0.1, torch.linspace(3, 6, heads)])), weight_decay=0.0
        )
        self.norm = nn.Parameter(torch.ones(channels))
        self.skip = nn.Parameter(torch.ones(channels))
        self.down = nn.Linear(channels, hidden_size, bias=False)
        nn.init.normal_(self.down.weight, std=2 / math.sqrt(hidden_size))

    def initial_state(self, batch_size: int) -> State:
        """Return C (B, heads, d, d), n (B, heads, d), m (B, heads) and the convolution's last inputs, zeros."""
        heads, width = self.num_heads, self.channels // self.num_heads
        return (
            zeros(self, batch_size, heads, width, width),
            zeros(self, batch_size, heads, width),
            zeros(self, batch_size, heads),
            zeros(self, batch_size, len(self.conv.weight) - 1, self.channels, wide=False),
        )

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return q, k, v (B, T, heads, d), i~ and log f (B, T, heads), c and z (B, T, E)."""
        u, z = linear(x, self.up.weight, None, self.channels, self.channels)
        conv, tail = self.conv(u, state[3], lengths)
        c = F.silu(conv)
        q, k, v = block_linear(c, self.q), block_linear(c, self.k), block_linear(u, self.v)
        write, forget = self.gates(torch.cat([q, k, v], -1)).chunk(2, -1)
        q, k, v = (p.reshape(*p.shape[:2], self.num_heads, p.shape[2] // self.num_heads) for p in (q, k, v))
        return (q, k * k.shape[-1] ** -0.5, v, write, F.logsigmoid(forget), c, z), (*state[:3], tail)

    def recur(self, pre: Pre, memory: State) -> tuple[Tensor, State]:
        """Return h_t and (C_t, n_t, m_t)."""
        q, k, v, write, log_f = pre[:5]
        c, n, m = memory
        top = torch.maximum(log_f + m, write)
        i, f = (write - top).exp().unsqueeze(-1), (log_f + m - top).exp().unsqueeze(-1)
        c = f.unsqueeze(-1) * c + (i * k).unsqueeze(-1) * v.unsqueeze(-2)
        n = f * n + i * k
        weight = torch.maximum((n * q).sum(-1).abs(), (-top).exp())
        return (q.unsqueeze(-2) @ c).squeeze(-2) / weight.unsqueeze(-1), (c, n, top)

    def chunk(self, pre: Pre, memory: State) -> tuple[Tensor, State]:
        """Return ``recur`` over L steps.

        With b_t the sum of log f up to t, a_s = i~_s - b_s, and p_t = max(m_0, a_1 ... a_t): m_t = b_t + p_t, what
        step s wrote weighs exp(a_s - p_t) at step t, and the memory from before the chunk weighs exp(m_0 - p_t).
        """
        q, k, v, write, log_f = by_head(pre[:5])
        c, n, m = memory
        b = log_f.cumsum(-1)
        a = write - b
        p = torch.maximum(a.cummax(-1).values, m.unsqueeze(-1))
        within = causal(a.unsqueeze(-2) - p.unsqueeze(-1))
        before = (m.unsqueeze(-1) - p).exp().unsqueeze(-1)
        scores = (q @ k.mT) * within
        weight = scores.sum(-1) + (before * q * n.unsqueeze(-2)).sum(-1)
        weight = torch.maximum(weight.abs(), (-b - p).exp()).unsqueeze(-1)
        read = (scores @ v + before * (q @ c)) / weight
        written = k * within[..., -1, :].unsqueeze(-1)
        left = before[..., -1, :]
        memory = (left.unsqueeze(-1) * c + written.mT @ v, left * n + written.sum(-2), b[..., -1] + p[..., -1])
        return read.transpose(1, 2), memory

    def passive(self, pre: Pre, real: Tensor) -> Pre:
        """Return the projection with i = 0 and f = 1 at padded steps."""
        keep = ~real.unsqueeze(-1)
        return (*pre[:3], pre[3].masked_fill(keep, -torch.inf), pre[4].masked_fill(keep, 0), *pre[5:])

    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return W_down ((LayerNorm(h) + s c) SiLU(z)), the norm over each head."""
        c, z = pre[5:]
        normed = F.layer_norm(h, h.shape[-1:]).flatten(-2) * self.norm
        y: Tensor = self.down(((normed + self.skip * c) * F.silu(z)).to(self.down.weight.dtype))
        return y
