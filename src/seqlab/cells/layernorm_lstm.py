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
        sums = F.linear(x, self.weight_ih)
        if self.norm == "joint":
            sums = F.layer_norm(sums, sums.shape[2:], self.gain_ih, self.bias, EPSILON)
        else:
            normed, *_ = self._normalise(sums.flatten(0, 1), self.gain_ih)
            sums = normed.view_as(sums) + self.bias
        return (sums, self.bias_c.to(sums.dtype).expand(*x.shape[:2], -1), sums.new_zeros(1).expand_as(sums)), state

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        h, c = state
        weight, a_h, a_c = weights
        units = c.shape[1]
        recurrent = torch.addmm(pre[2], masked(h, mask), weight.t())
        normed, *moments = self._normalise(recurrent, a_h)
        sums = pre[0] + normed
        gates = torch.sigmoid(sums[:, : 2 * units])
        i, f = gates.chunk(2, 1)
        g, o = torch.tanh(sums[:, 2 * units : 3 * units]), torch.sigmoid(sums[:, 3 * units :])
        new_c = torch.addcmul(f * c, i, g)
        normed, *moments_c = torch.native_layer_norm(new_c, [units], a_c, None, EPSILON)
        squashed = torch.tanh(pre[1] + normed)
        return (o * squashed, new_c), (gates, g, o, c, squashed, recurrent, *moments, new_c, *moments_c)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dc)."""
        gates, g, o, c, squashed, *norms = kept
        i, f = gates.chunk(2, 1)
        weight, a_h, a_c = weights
        d_h, d_c = grads
        d_squash = d_pre[1].copy_(tanh_backward(d_h * o, squashed))
        new_c, mean, scale = norms[3:]
        d_new_c, d_a_c = _norm_backward(d_squash, new_c, mean, scale, a_c)
        d_c = d_c + d_new_c
        d_gates = sigmoid_backward(torch.cat((d_c * g, d_c * c), 1), gates)
        d_sums = torch.cat((d_gates, tanh_backward(d_c * i, g), sigmoid_backward(d_h * squashed, o)), 1, out=d_pre[0])
        recurrent, mean, scale = norms[:3]
        d_recurrent, d_a_h = self._normalise_backward(d_sums, recurrent, mean, scale, a_h)
        d_weights[1].add_(d_a_h)
        d_weights[2].add_(d_a_c)
        return masked(d_pre[2].copy_(d_recurrent) @ weight, mask), d_c * f

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradients of U, a_h and a_c."""
        return weight_gradient(d_pre[2], tape.before), *d_weights[1:]

    def _normalise(self, sums: Tensor, gain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gain * LN(sums) for sums (N, 4 H), and the mean and inverse deviation of each group."""
        if self.norm == "joint":
            return torch.native_layer_norm(sums, gain.shape, gain, None, EPSILON)
        normed, mean, scale = torch.native_layer_norm(_by_gate(sums), [self.hidden_size], None, None, EPSILON)
        return normed.flatten(1) * gain, mean, scale

    def _normalise_backward(
        self, d_out: Tensor, sums: Tensor, mean: Tensor, scale: Tensor, gain: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of ``sums`` and ``gain``."""
        if self.norm == "joint":
            return _norm_backward(d_out, sums, mean, scale, gain)
        grouped = _by_gate(sums)
        d_gain = (d_out * ((grouped - mean) * scale).flatten(1)).sum(0)
        return _norm_backward(_by_gate(d_out * gain), grouped, mean, scale, None)[0].flatten(1), d_gain


def _by_gate(sums: Tensor) -> Tensor:
    return sums.view(len(sums), 4, -1)


def _norm_backward(
    d_out: Tensor, value: Tensor, mean: Tensor, scale: Tensor, gain: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``value`` and ``gain`` (if there is one) of a layer normalisation over the last axis."""
    wanted = [True, gain is not None, False]
    backward = torch.ops.aten.native_layer_norm_backward
    d_value, d_gain, _ = backward(d_out, value, value.shape[-1:], mean, scale, gain, None, wanted)
    return d_value, d_gain
