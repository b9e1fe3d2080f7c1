"""minGRU: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi 2024, "Were RNNs All We Needed?", arXiv 2410.01201, section 3.1."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import linear, zeros


def positive(x: Tensor) -> Tensor:
    """Return the paper's g (appendix B): x + 1/2 where x >= 0, sigmoid(x) elsewhere; continuous and above zero."""
    above = x.relu()
    return above + (x - above).sigmoid()


class MinGRU(LinearCell):
    """A GRU whose gate and candidate see the input alone.

    z_t = sigmoid(W_z x_t + b_z)
    c_t = g(W_h x_t + b_h)
    h_t = (1 - z_t) h_{t-1} + z_t c_t

    Args:
        input_size: I.
        hidden_size: H.
        positive: g keeps the state above zero, as the paper's experiments do; False: g is the identity (section 3.1.2).
        bias: whether b_z and b_h are there.
    """

    gate_names = ("z",)

    def __init__(self, input_size: int, hidden_size: int, positive: bool = True, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size)
        self.positive = positive
        self.input = nn.Linear(input_size, 2 * hidden_size, bias)

    def initial_state(self, batch_size: int) -> State:
        """Return (h,), (B, H) of zeros."""
        return (zeros(self, batch_size, self.hidden_size),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return the input products of gate and candidate, each (B, T, H)."""
        return linear(x, self.input.weight, self.input.bias, *[self.hidden_size] * 2), state

    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return (1 - z_t, z_t c_t)."""
        gate, candidate = pre
        z = gate.sigmoid()
        return 1 - z, z * (positive(candidate) if self.positive else candidate)
