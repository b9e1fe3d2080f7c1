"""Gated DeltaNet: Yang, Kautz, Hatamizadeh 2025, "Gated Delta Networks", ICLR, arXiv 2412.06464, section 3."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State, hint
from seqlab.cells._causal import CausalConv
from seqlab.cells._matrix import MatrixCell, by_head, causal
from seqlab.cells._time import count_heads, linear, time_constants, zeros
from seqlab.errors import RequestError


class GatedDeltaNet(MatrixCell):
    """A memory that decays, is corrected where a key points, and is read by a query; per head

    q_t, k_t, v_t = SiLU(conv(W x)_t), q and k of length one
    beta_t = sigmoid(w_b x_t),  alpha_t = exp(-exp(a) softplus(w_a x_t + b_dt))
    S_t = alpha_t S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T          (equation 10)
    y_t = W_o (RMSNorm(S_t q_t / sqrt(d)) SiLU(W_g x_t))

    The state is held as S^T, (key, value). At the start exp(a) is uniform in (0, 16), softplus(b_dt) log-uniform in
    [0.001, 0.1], as in Mamba-2.

    Args:
        input_size: I.
        hidden_size: H, features of y, and of the keys of all heads together.
        num_heads: heads; None: the largest of 4, 2 and 1 that divides H.
        expand_v: a value's features for each of a key's.
        window: steps that the convolution sees, the present one included.
        allow_neg_eigval: beta up to 2, so that a step can turn a direction round, as parity needs (arXiv 2411.12537).
    """

    memories: ClassVar[int] = 1
    gate_names = ("beta",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_heads: int | None = None,
        expand_v: int = 2,
        window: int = 4,
        allow_neg_eigval: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        for name, value in (("expand_v", expand_v), ("window", window)):
            if value < 1:
                raise RequestError(f"{name} must be at least 1; got {value}.")
        self.num_heads = count_heads(num_heads, hidden_size, "hidden_size")
        self.allow_neg_eigval = allow_neg_eigval
        self.values = expand_v * hidden_size
        # Queries, keys, values; the output's gate; beta and alpha.
        self.sizes = [2 * hidden_size + self.values, self.values, self.num_heads, self.num_heads]
        self.input = nn.Linear(input_size, sum(self.sizes), bias=False)
        self.conv = CausalConv(self.sizes[0], window, bias=False)
        self.a = hint(nn.Parameter(torch.empty(self.num_heads).uniform_(1e-3, 16).log()), weight_decay=0.0)
        self.dt_bias = hint(nn.Parameter(time_constants(self.num_heads)), weight_decay=0.0)
        self.norm = nn.Parameter(torch.ones(self.values // self.num_heads))
        self.output = nn.Linear(self.values, hidden_size, bias=False)

    def initial_state(self, batch_size: int) -> State:
        """Return S^T (B, heads, d_k, d_v) and the last inputs of the convolution (B, window - 1, 2H + V), zeros."""
        heads = self.num_heads
        memory = zeros(self, batch_size, heads, self.hidden_size // heads, self.values // heads)
        return memory, zeros(self, batch_size, len(self.conv.weight) - 1, self.sizes[0], wide=False)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return q, k and v (B, T, heads, d), log alpha and beta (B, T, heads) and the gate (B, T, V)."""
        qkv, gate, beta, alpha = linear(x, self.input.weight, None, *self.sizes)
        qkv, tail = self.conv(qkv, state[1], lengths)
        parts = torch.split(F.silu(qkv), [self.hidden_size, self.hidden_size, self.values], -1)
        q, k, v = (p.reshape(*p.shape[:2], self.num_heads, p.shape[2] // self.num_heads) for p in parts)
        q, k = (p * torch.rsqrt(p.square().sum(-1, keepdim=True) + 1e-6) for p in (q, k))
        log_alpha = -self.a.exp() * F.softplus(alpha + self.dt_bias)
        beta = torch.sigmoid(beta) * (2 if self.allow_neg_eigval else 1)
        return (q * q.shape[-1] ** -0.5, k, v, log_alpha, beta, gate), (state[0], tail)

    def recur(self, pre: Pre, memory: State) -> tuple[Tensor, State]:
        """Return S_t q_t and S_t, by the delta that the key corrects: alpha S + beta (v - alpha S k) k^T."""
        q, k, v, log_alpha, beta = pre[:5]
        decayed = log_alpha.exp()[..., None, None] * memory[0]
        delta = beta.unsqueeze(-1) * (v - (k.unsqueeze(-2) @ decayed).squeeze(-2))
        after = decayed + k.unsqueeze(-1) * delta.unsqueeze(-2)
        return (q.unsqueeze(-2) @ after).squeeze(-2), (after,)

    def chunk(self, pre: Pre, memory: State) -> tuple[Tensor, State]:
        """Return ``recur`` over L steps: the deltas of a chunk solve one triangular system (section 3.2, UT transform).

        delta_t = beta_t (v_t - g_t S_0 k_t - sum_{s<t} g_t / g_s (k_s k_t) delta_s), with g_t = alpha_1 ... alpha_t.
        """
        q, k, v, log_alpha, beta = by_head(pre[:5])
        log_g = log_alpha.cumsum(-1)
        g, beta = log_g.exp().unsqueeze(-1), beta.unsqueeze(-1)
        between = causal(log_g.unsqueeze(-1) - log_g.unsqueeze(-2))  # g_t / g_s, s <= t
        earlier = beta * between * (k @ k.mT)
        right = beta * (v - g * (k @ memory[0]))
        delta = torch.linalg.solve_triangular(earlier, right, upper=False, unitriangular=True)
        read = g * (q @ memory[0]) + (between * (q @ k.mT)) @ delta
        after = g[..., -1:, :] * memory[0] + (k * between[..., -1, :].unsqueeze(-1)).mT @ delta
        return read.transpose(1, 2), (after,)

    def passive(self, pre: Pre, real: Tensor) -> Pre:
        """Return the projection with alpha = 1 and beta = 0 at padded steps."""
        keep = ~real.unsqueeze(-1)
        return (*pre[:3], pre[3].masked_fill(keep, 0), pre[4].masked_fill(keep, 0), pre[5])

    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return W_o (RMSNorm(h) SiLU(gate)), the norm over each head."""
        normed = F.rms_norm(h, h.shape[-1:], self.norm.to(h.dtype), 1e-5).flatten(-2)
        y: Tensor = self.output((normed * F.silu(pre[5])).to(self.output.weight.dtype))
        return y
