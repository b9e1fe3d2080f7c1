"""GRU-D, a GRU for missing values (Che, Purushotham, Cho, Sontag and Liu 2018, arXiv 1606.01865)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State, valid_steps
from seqlab.cells._gated import GatedCell, Kept, Tape, Weights
from seqlab.cells.gru import reset_before, reset_before_backward, reset_before_weight_gradient


class GRUD(GatedCell):
    """Che et al. 2018, "Recurrent neural networks for multivariate time series with missing values", arXiv 1606.01865.

        a_x, a_h = exp(-relu(w_x * d + b_x)), exp(-relu(W_h d + b_h))
        v = m * x + (1 - m) * (a_x * last + (1 - a_x) * mean)
        r, z, n, h' = the GRU with the reset before the product, on [v, m] and a_h * h

    with m 1 where observed, d the steps since the feature was last observed, and ``last`` its value then. z keeps, as
    in this project's GRU; the paper's z is 1 - z. Without a mask everything counts as observed; without d it is counted
    in steps.

    Args:
        input_size: I.
        hidden_size: H.
        init: "orthogonal" or "uniform". Decay weights start at U(0, 1/sqrt(H)), for a negative one would be cut off by
            its relu and never learn; their biases at zero.

    Attributes:
        mean: (I,) buffer, what an unobserved feature decays to; zero, the mean of standardised features.
    """

    gates = 3
    states = ("h", "last", "since")
    gate_names = ("r", "z")
    refuses: ClassVar[Mapping[str, str]] = {"mogrifier": "its mask belongs to the input as it came"}

    mean: Tensor

    def __init__(self, input_size: int, hidden_size: int, init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, 2 * input_size))
        self.decay_x = nn.Parameter(torch.empty(input_size))
        self.decay_x_bias = nn.Parameter(torch.empty(input_size))
        self.decay_h = nn.Parameter(torch.empty(hidden_size, input_size))
        self.decay_h_bias = nn.Parameter(torch.empty(hidden_size))
        self.register_buffer("mean", torch.zeros(input_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        for weight in (self.decay_x, self.decay_h):
            nn.init.uniform_(weight, 0, self.hidden_size**-0.5)
        for bias in (self.decay_x_bias, self.decay_h_bias):
            nn.init.zeros_(bias)

    def initial_state(self, batch_size: int) -> State:
        """Return zeros: h (B, H), last (B, I) and the steps since then (B, I)."""
        zeros = self.weight_hh.new_zeros
        return zeros(batch_size, self.hidden_size), *(zeros(batch_size, self.input_size) for _ in range(2))

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W [v, m] + b, (B, T, 3 H), and a_h, (B, T, H)."""
        h, last, since = state
        mask, delta, _ = Aux() if aux is None else aux
        observed = torch.ones_like(x, dtype=torch.bool) if mask is None else mask > 0.5
        if lengths is not None:
            observed = observed & valid_steps(lengths, x.shape[1]).unsqueeze(2)
        steps = torch.arange(x.shape[1], device=x.device).reshape(1, -1, 1)
        seen = torch.where(observed, steps, -1).cummax(1).values  # the last observed step up to each, -1 for none
        before = F.pad(seen[:, :-1], (0, 0, 1, 0), value=-1)
        if delta is None:
            delta = steps - before + torch.where(before < 0, since.unsqueeze(1), 0)
        filled = torch.where(before < 0, last.unsqueeze(1), x.gather(1, before.clamp(min=0)))
        a_x = torch.exp(-torch.relu(self.decay_x * delta + self.decay_x_bias))
        a_h = torch.exp(-torch.relu(F.linear(delta, self.decay_h, self.decay_h_bias)))
        v = torch.where(observed, x, a_x * filled + (1 - a_x) * self.mean)
        sums = F.linear(torch.cat((v, observed.to(v.dtype)), 2), self.weight_ih, self.bias)
        end = seen[:, -1]
        taken = torch.as_tensor(x.shape[1], device=x.device) if lengths is None else lengths.unsqueeze(1)
        since = taken - 1 - end + torch.where(end < 0, since, 0)
        last = torch.where(end < 0, last, x.gather(1, end.clamp(min=0).unsqueeze(1)).squeeze(1))
        return (sums, a_h), (h, last, since)

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', last, since)."""
        h, *tails = state
        (new,), kept = reset_before(pre[:1], pre[1] * h, weights[0], mask)
        return (new, *tails), (*kept, pre[1], h)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dlast, dsince)."""
        *of_gru, a_h, h = kept
        d_decayed = reset_before_backward(tuple(of_gru), grads[0], weights[0], mask, d_pre[:1])
        torch.mul(d_decayed, h, out=d_pre[1])
        return d_decayed * a_h, *grads[1:]

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradient of U."""
        return (reset_before_weight_gradient(d_pre[0], tape.masked(tape.stack(3)), tape.stack(1)),)
