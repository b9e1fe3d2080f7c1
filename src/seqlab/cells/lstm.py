"""Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates (Gers, Schmidhuber and Cummins 2000)."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells._base import Pre, State
from seqlab.cells._gated import ACTIVATIONS, Kept, Weights, check_choice, masked, sigmoid_backward
from seqlab.cells._init import chrono
from seqlab.cells._native import SHUT, NativeCell, one_layer


class LSTM(NativeCell):
    """Hochreiter and Schmidhuber 1997, "Long short-term memory"; forget gates of Gers et al. 2000.

        i, f, g, o = s(W_i x + U_i h + b_i), s(W_f ...), act(W_g ...), s(W_o ...)
        c' = f * c + i * g
        h' = o * act(c')

    Weights stack i, f, g, o as torch's do; b is one vector where torch has two that are added.

    Args:
        input_size: I.
        hidden_size: H.
        activation: act, tanh or relu, on the candidate and on the output alike (as Keras's ``activation``). Under relu
            c has no bound: clip gradients.
        forget_bias: b_f at the start (Jozefowicz et al. 2015, section 2.2).
        chrono: T_max, which replaces the forget bias by log U(1, T_max - 1) and b_i by its negative
            (Tallec and Ollivier 2018).
        init: "orthogonal" or "uniform".
    """

    gates = 4
    states = ("h", "c")
    gate_names = ("i", "f", "o")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: str = "tanh",
        forget_bias: float = 1.0,
        chrono: int | None = None,
        init: str = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size, init)
        self.activation = check_choice("activation", activation, ("tanh", "relu"))
        self.forget_bias, self.chrono = forget_bias, chrono
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        b_i, b_f, _, _ = self.bias.chunk(4)
        b_f.fill_(self.forget_bias)
        if self.chrono is not None:
            chrono(b_f, self.chrono, b_i)

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        return lstm_step(pre[0], state, weights[0], mask, self.activation)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dc)."""
        return lstm_step_backward(kept, grads, weights[0], mask, d_pre[0], self.activation)

    def has_kernel(self) -> bool:
        """Return whether act is tanh."""
        return self.activation == "tanh"

    def kernel(self, x: Tensor, state: State, padding: Tensor | None) -> tuple[Tensor, State]:
        """Run ``torch.nn.LSTM``'s kernel."""
        return lstm_kernel(x, state, [self.weight_ih, self.weight_hh, self.bias], padding)


def lstm_step(
    pre: Tensor, state: State, weight: Tensor, mask: Tensor | None, activation: str = "tanh"
) -> tuple[State, Kept]:
    """Return (h', c') from the sums (B, 4 H) of i, f, g, o."""
    h, c = state
    act = ACTIVATIONS[activation]
    units = c.shape[1]
    sums = torch.addmm(pre, masked(h, mask), weight.t())
    gates = torch.sigmoid(sums[:, : 2 * units])
    i, f = gates.chunk(2, 1)
    g, o = act.forward(sums[:, 2 * units : 3 * units]), torch.sigmoid(sums[:, 3 * units :])
    new_c = torch.addcmul(f * c, i, g)
    squashed = act.forward(new_c)
    return (o * squashed, new_c), (gates, g, o, c, squashed)


def lstm_step_backward(
    kept: Kept, grads: State, weight: Tensor, mask: Tensor | None, d_pre: Tensor, activation: str = "tanh"
) -> State:
    """Return (dh, dc) and write the gradient of ``pre``."""
    gates, g, o, c, squashed = kept
    i, f = gates.chunk(2, 1)
    d_h, d_c = grads
    act = ACTIVATIONS[activation]
    d_c = d_c + act.backward(d_h * o, squashed)
    d_gates = sigmoid_backward(torch.cat((d_c * g, d_c * c), 1), gates)
    d_g, d_o = act.backward(d_c * i, g), sigmoid_backward(d_h * squashed, o)
    d_sums = torch.cat((d_gates, d_g, d_o), 1, out=d_pre)
    return masked(torch.mm(d_sums, weight), mask), d_c * f


def lstm_kernel(x: Tensor, state: State, weights: list[Tensor], padding: Tensor | None) -> tuple[Tensor, State]:
    """Run ``torch.nn.LSTM``'s kernel, with a feature that shuts i and opens f at padded steps.

    Args:
        x: (B, T, I).
        state: (h, c) before x.
        weights: W, U and b, and W_hr where h is projected.
        padding: (B, T), 1 at padded steps; None for none.
    """
    weight_ih, weight_hh, bias, *projection = weights
    if padding is not None:
        x = torch.cat((x, padding.unsqueeze(2)), 2)
        gate = weight_ih.new_tensor([-SHUT, SHUT, 0, 0]).repeat_interleave(len(bias) // 4)
        weight_ih = torch.cat((weight_ih, gate.unsqueeze(1)), 1)
    flat = [weight_ih, weight_hh, bias, torch.zeros_like(bias), *projection]
    y, h, c = torch._VF.lstm(x, one_layer(state), flat, True, 1, 0.0, False, False, True)
    return y, (h[0], c[0])
