"""LSTM with layer normalisation (Ba, Kiros and Hinton 2016, arXiv 1607.06450)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._gated import (
    GatedCell,
    Kept,
    Tape,
    Weights,
    check_choice,
    masked,
    sigmoid_backward,
    tanh_backward,
    weight_gradient,
)

EPSILON = 1e-5


class LayerNormLSTM(GatedCell):
    """Ba, Kiros, Hinton 2016, "Layer normalization", arXiv 1607.06450, equations 20 to 22.

        i, f, g, o = s, s, tanh, s of: LN(W x; a_x) + LN(U h; a_h) + b
        c' = f * c + i * g
        h' = o * tanh(LN(c'; a_c, b_c))

    Args:
        input_size: I.
        hidden_size: H.
        norm: "joint" normalises all 4 H sums together (the paper); "per_gate" each gate's H by themselves.
        forget_bias: b_f at the start.
        init: "orthogonal" or "uniform"; gains start at 1 and b_c at 0 either way.
    """

    gates = 4
    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        norm: str = "joint",
        forget_bias: float = 1.0,
        init: str = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size, init)
        self.norm = check_choice("norm", norm, ("joint", "per_gate"))
        self.forget_bias = forget_bias
        self.gain_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_hh = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_c = nn.Parameter(torch.empty(hidden_size))
        self.bias_c = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        self.bias.chunk(4)[1].fill_(self.forget_bias)
        for gain in (self.gain_ih, self.gain_hh, self.gain_c):
            gain.fill_(1)
        self.bias_c.zero_()

    def weights(self) -> Weights:
        """Return U, a_h and a_c."""
        return self.weight_hh, self.gain_hh, self.gain_c

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return LN(W x; a_x) + b, b_c, and the zeros that U h is added to: (B, T, 4 H), (B, T, H), (B, T, 4 H)."""
        sums = self._grouped(F.linear(x, self.weight_ih))
        normed = F.layer_norm(sums, sums.shape[-1:], eps=EPSILON).flatten(2)
        sums = torch.addcmul(self.bias, normed, self.gain_ih)
        return (sums, self.bias_c.to(sums.dtype).expand(*x.shape[:2], -1), sums.new_zeros(1).expand_as(sums)), state

    def _grouped(self, sums: Tensor) -> Tensor:
        """Return sums (..., 4 H) with an axis for what is normalised together."""
        return sums.unflatten(-1, (1 if self.norm == "joint" else 4, -1))

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        h, c = state
        weight, a_h, a_c = weights
        units = c.shape[1]
        recurrent = self._grouped(torch.addmm(pre[2], masked(h, mask), weight.t()))
        normed, *moments = torch.native_layer_norm(recurrent, recurrent.shape[-1:], None, None, EPSILON)
        sums = torch.addcmul(pre[0], normed.flatten(1), a_h)
        gates = torch.sigmoid(sums[:, : 2 * units])
        i, f = gates.chunk(2, 1)
        g, o = torch.tanh(sums[:, 2 * units : 3 * units]), torch.sigmoid(sums[:, 3 * units :])
        new_c = torch.addcmul(f * c, i, g)
        normed, *moments_c = torch.native_layer_norm(new_c, [units], None, None, EPSILON)
        squashed = torch.tanh(torch.addcmul(pre[1], normed, a_c))
        return (o * squashed, new_c), (gates, g, o, c, squashed, recurrent, *moments, new_c, *moments_c)

    def retreat(self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, out: Pre) -> State:
        """Return (dh, dc)."""
        gates, g, o, c, squashed, *norms = kept
        i, f = gates.chunk(2, 1)
        weight, a_h, a_c = weights
        d_h, d_c = grads
        d_squash = out[1].copy_(tanh_backward(d_h * o, squashed))
        d_c = d_c + _norm_backward(d_squash * a_c, *norms[3:])
        d_gates = sigmoid_backward(torch.cat((d_c * g, d_c * c), 1), gates)
        d_sums = torch.cat((d_gates, tanh_backward(d_c * i, g), sigmoid_backward(d_h * squashed, o)), 1, out=out[0])
        d_recurrent = out[2].copy_(_norm_backward(self._grouped(d_sums * a_h), *norms[:3]).flatten(1))
        return masked(d_recurrent @ weight, mask), d_c * f

    def weight_gradients(self, tape: Tape, d_pre: Pre) -> tuple[Tensor | None, ...]:
        """Return the gradients of U, a_h and a_c."""
        d_sums, d_squash, d_recurrent = d_pre
        # Step by step each product stays in the cache, which one over all steps would not.
        d_a_h, d_a_c = torch.zeros_like(d_sums[0, 0]), torch.zeros_like(d_squash[0, 0])
        for kept, d_s, d_q in zip(tape.kept, d_sums.unbind(1), d_squash.unbind(1), strict=True):
            *_, recurrent, mean, scale, new_c, mean_c, scale_c = kept
            d_a_h += (d_s * ((recurrent - mean) * scale).flatten(1)).sum(0)
            d_a_c += (d_q * ((new_c - mean_c) * scale_c)).sum(0)
        return weight_gradient(d_recurrent, tape.before), d_a_h, d_a_c


def _norm_backward(d_out: Tensor, value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return the gradient of ``value`` in a layer normalisation over its last axis without gain and bias."""
    shape, wanted = value.shape[-1:], [True, False, False]
    return torch.ops.aten.native_layer_norm_backward(d_out, value, shape, mean, scale, None, None, wanted)[0]
