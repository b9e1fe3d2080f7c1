"""LSTM with layer normalisation (Ba, Kiros and Hinton 2016, arXiv 1607.06450)."""

from __future__ import annotations

from collections.abc import Sequence

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
    sigmoid_backward_into,
    tanh_backward,
    tanh_backward_into,
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
    gate_names = ("i", "f", "o")

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
        """Return U, a_x, a_h, b, a_c and b_c."""
        return self.weight_hh, self.gain_ih, self.gain_hh, self.bias, self.gain_c, self.bias_c

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x, and the zeros that U h is added to, (B, T, 4 H) each."""
        # Time first in memory: each step's rows lie together, as its normalisation wants them.
        sums = F.linear(x.transpose(0, 1).contiguous(), self.weight_ih).transpose(0, 1)
        return (sums, sums.new_zeros(1).expand_as(sums)), state

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        h, c = state
        weight, a_x, a_h, b, a_c, b_c = weights
        units = c.shape[1]
        # The input is normalised here and not for all steps at once: a step's worth stays in the cache.
        of_x, *moments_x = self._normalise(pre[0], a_x, b)
        recurrent = torch.addmm(pre[1], masked(h, mask), weight.t())
        of_h, *moments_h = self._normalise(recurrent, a_h, None)
        sums = of_x + of_h
        gates = torch.sigmoid(sums[:, : 2 * units])
        i, f = gates.chunk(2, 1)
        g, o = torch.tanh(sums[:, 2 * units : 3 * units]), torch.sigmoid(sums[:, 3 * units :])
        new_c = torch.addcmul(f * c, i, g)
        of_c, *moments_c = torch.native_layer_norm(new_c, [units], a_c, b_c, EPSILON)
        squashed = torch.tanh(of_c)
        norms = (pre[0], *moments_x, recurrent, *moments_h, new_c, *moments_c)
        return (o * squashed, new_c), (gates, g, o, c, squashed, *norms)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dc)."""
        gates, g, o, c, squashed, *norms = kept
        i, f = gates.chunk(2, 1)
        weight, a_x, a_h, _, a_c, _ = weights
        _, d_a_x, d_a_h, d_b, d_a_c, d_b_c = d_weights
        d_h, d_c = grads
        d_of_c = tanh_backward(d_h * o, squashed)
        d_c = d_c + _norm_backward(d_of_c, norms[6:], a_c, d_a_c)
        d_b_c.add_(d_of_c.sum(0))
        d_sums = torch.empty_like(norms[0])
        d_i, d_f, d_g, d_o = d_sums.chunk(4, 1)
        sigmoid_backward_into(d_c * g, i, grad_input=d_i)
        sigmoid_backward_into(d_c * c, f, grad_input=d_f)
        tanh_backward_into(d_c * i, g, grad_input=d_g)
        sigmoid_backward_into(d_h * squashed, o, grad_input=d_o)
        d_b.add_(d_sums.sum(0))
        d_pre[0].copy_(self._normalise_backward(d_sums, norms[:3], a_x, d_a_x))
        d_recurrent = d_pre[1].copy_(self._normalise_backward(d_sums, norms[3:6], a_h, d_a_h))
        return masked(torch.mm(d_recurrent, weight), mask), d_c * f

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradients of the weights."""
        return weight_gradient(d_pre[1], tape.before), *d_weights[1:]

    def _normalise(self, sums: Tensor, gain: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return LN(sums) for sums (B, 4 H), and the mean and inverse deviation of each group."""
        if self.norm == "joint":
            return torch.native_layer_norm(sums, gain.shape, gain, bias, EPSILON)
        normed, mean, scale = torch.native_layer_norm(_by_gate(sums), [self.hidden_size], None, None, EPSILON)
        normed = normed.flatten(1) * gain
        return normed if bias is None else normed + bias, mean, scale

    def _normalise_backward(self, d_out: Tensor, norm: Sequence[Tensor], gain: Tensor, d_gain: Tensor) -> Tensor:
        """Return the gradient of ``sums`` and add that of ``gain``."""
        if self.norm == "joint":
            return _norm_backward(d_out, norm, gain, d_gain)
        sums, mean, scale = norm
        grouped = _by_gate(sums)
        d_gain.add_((d_out * ((grouped - mean) * scale).flatten(1)).sum(0))
        return _norm_backward(_by_gate(d_out * gain), (grouped, mean, scale), None, None).flatten(1)


def _by_gate(sums: Tensor) -> Tensor:
    return sums.unflatten(1, (4, -1))  # type: ignore[no-untyped-call, no-any-return]


def _norm_backward(d_out: Tensor, norm: Sequence[Tensor], gain: Tensor | None, d_gain: Tensor | None) -> Tensor:
    """Return the gradient of what was normalised over its last axis, and add that of ``gain`` if there is one."""
    value, mean, scale = norm
    wanted, shape = [True, gain is not None, False], value.shape[-1:]
    backward = torch.ops.aten.native_layer_norm_backward.default
    d_value, d_gain_here, _ = backward(d_out, value, shape, mean, scale, gain, None, wanted)
    if d_gain is not None:
        d_gain.add_(d_gain_here)
    return d_value  # type: ignore[no-any-return]
