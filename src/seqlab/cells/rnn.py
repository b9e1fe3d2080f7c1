"""Simple recurrent network (Elman 1990, "Finding structure in time")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells._base import Pre, State
from seqlab.cells._gated import ACTIVATIONS, Kept, Weights, check_choice, masked
from seqlab.cells._init import SCHEMES
from seqlab.cells._native import NativeCell, one_layer

NONLINEARITIES = ("tanh", "relu", "leaky_relu", "sigmoid", "linear")


class Elman(NativeCell):
    """Elman 1990, "Finding structure in time", Cognitive Science 14.

        h' = f(W x + U h + b)

    Args:
        input_size: I.
        hidden_size: H.
        nonlinearity: f, one of tanh, relu, leaky_relu (slope 0.01), sigmoid, linear.
        init: "orthogonal", "uniform", or "identity" (Le, Jaitly, Hinton 2015, arXiv 1504.00941, section 2: U the
            identity, W normal with deviation 0.001, b zero; meant for relu).
    """

    gates = 1
    native_on_cpu = False
    schemes = (*SCHEMES, "identity")

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.nonlinearity = check_choice("nonlinearity", nonlinearity, NONLINEARITIES)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        if self.init == "identity":
            nn.init.normal_(self.weight_ih, std=0.001)
            nn.init.eye_(self.weight_hh)

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h',)."""
        (h,) = state
        h = ACTIVATIONS[self.nonlinearity].forward(torch.addmm(pre[0], masked(h, mask), weights[0].t()))
        return (h,), (h,)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh,)."""
        d_sum = ACTIVATIONS[self.nonlinearity].backward(grads[0], kept[0])
        d_pre[0].copy_(d_sum)
        return (masked(torch.mm(d_sum, weights[0]), mask),)

    def has_kernel(self) -> bool:
        """Return whether f is tanh or relu."""
        return self.nonlinearity in ("tanh", "relu")

    def kernel(self, x: Tensor, state: State, padding: Tensor | None) -> tuple[Tensor, State]:
        """Run ``torch.nn.RNN``'s kernel."""
        run = torch._VF.rnn_tanh if self.nonlinearity == "tanh" else torch._VF.rnn_relu
        weights = [self.weight_ih, self.weight_hh, self.bias, torch.zeros_like(self.bias)]
        (h,) = one_layer(state)
        y, h = run(x, h, weights, True, 1, 0.0, False, False, True)
        return y, (h[0],)
