"""LSTM with a recurrent projection (Sak, Senior and Beaufays 2014, arXiv 1402.1128)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._gated import Kept, Tape, Weights, weight_gradient
from seqlab.cells._native import NativeCell
from seqlab.cells.lstm import lstm_kernel, lstm_step, lstm_step_backward
from seqlab.errors import RequestError


class LSTMP(NativeCell):
    """Sak, Senior, Beaufays 2014, "LSTM based recurrent neural network architectures for large vocabulary speech
    recognition", arXiv 1402.1128, equations 1 to 6 without peepholes.

        i, f, g, o and c' as in LSTM, with U acting on h in R^P
        h' = W_hr (o * tanh(c'))

    Args:
        input_size: I.
        hidden_size: H, units of c.
        projection: P, units of h and of the output, at most H; None is half of H.
        forget_bias: b_f at the start.
        init: "orthogonal" or "uniform".
    """

    gates = 4
    states = ("h", "c")
    gate_names = ("i", "f", "o")
    recurrent_weights = ("weight_hh", "weight_hr")
    native_on_cpu = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        projection: int | None = None,
        forget_bias: float = 1.0,
        init: str = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size, init)
        units = max(1, hidden_size // 2) if projection is None else projection
        if not 1 <= units <= hidden_size:
            raise RequestError(f"projection must be from 1 to hidden_size={hidden_size}; got {projection}.")
        self.output_size, self.forget_bias = units, forget_bias
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, units))
        self.weight_hr = nn.Parameter(torch.empty(units, hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        self.bias.chunk(4)[1].fill_(self.forget_bias)
        if self.init == "uniform":
            self.weight_hr.uniform_(-(self.hidden_size**-0.5), self.hidden_size**-0.5)
        else:
            nn.init.orthogonal_(self.weight_hr)

    def initial_state(self, batch_size: int) -> State:
        """Return zeros: h (B, P) and c (B, H)."""
        zeros = self.weight_hh.new_zeros
        return zeros(batch_size, self.output_size), zeros(batch_size, self.hidden_size)

    def weights(self) -> Weights:
        """Return U and W_hr."""
        return self.weight_hh, self.weight_hr

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return LSTM's, and the zeros (B, T, P) that the projection is added to."""
        (sums,), state = super().project(x, state, lengths, aux)
        return (sums, sums.new_zeros(1).expand(*x.shape[:2], self.output_size)), state

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h', c')."""
        (whole, c), kept = lstm_step(pre[0], state, weights[0], mask)
        return (torch.addmm(pre[1], whole, weights[1].t()), c), (*kept, whole)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh, dc)."""
        d_h, d_c = grads
        d_pre[1].copy_(d_h)
        return lstm_step_backward(kept[:-1], (torch.mm(d_h, weights[1]), d_c), weights[0], mask, d_pre[0])

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradients of U and W_hr."""
        return weight_gradient(d_pre[0], tape.before), weight_gradient(d_pre[1], tape.stack(-1))

    def kernel(self, x: Tensor, state: State, padding: Tensor | None) -> tuple[Tensor, State]:
        """Run ``torch.nn.LSTM``'s kernel with ``proj_size``."""
        return lstm_kernel(x, state, [self.weight_ih, self.weight_hh, self.bias, self.weight_hr], padding)
