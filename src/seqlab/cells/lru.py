"""LRU: Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu, De 2023, arXiv 2303.06349, sections 3 and 4."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.cells._base import Aux, Pre, State, hint
from seqlab.cells._linear import LinearCell
from seqlab.cells._time import linear, zeros
from seqlab.errors import RequestError


class LRU(LinearCell):
    """Linear recurrent unit: a diagonal complex recurrence, stable by its parametrisation.

    lambda = exp(-exp(nu) + i exp(theta))
    h_t = lambda h_{t-1} + exp(gamma) (B x_t)
    y_t = Re(C h_t) + D x_t

    Args:
        input_size: I.
        hidden_size: H, features of y. D is a diagonal where I = H, as in the paper's layers, and a matrix elsewhere.
        num_modes: N, complex states; None: H.
        r_min: the smallest |lambda| at the start.
        r_max: the largest |lambda| at the start; lambda is uniform on the ring between the two.
        max_phase: the largest phase of lambda at the start, in radians; small for long memory (section 3.4).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_modes: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__(input_size, hidden_size)
        modes = hidden_size if num_modes is None else num_modes
        if modes < 1:
            raise RequestError(f"num_modes must be at least 1; got {modes}.")
        if not 0 <= r_min < r_max <= 1:
            raise RequestError(f"The ring must have 0 <= r_min < r_max <= 1; got r_min={r_min}, r_max={r_max}.")
        if not max_phase > 0:
            raise RequestError(f"max_phase must be above zero, an angle in radians; got {max_phase}.")
        self.num_modes = modes
        radius_squared = torch.rand(modes) * (r_max**2 - r_min**2) + r_min**2
        phase = max_phase * torch.rand(modes).clamp_min(1e-7)
        # The memory of a mode is its own affair: no decay, and half the learning rate (appendix C).
        slow = {"weight_decay": 0.0, "lr_scale": 0.5}
        self.nu = hint(nn.Parameter((-0.5 * radius_squared.clamp(1e-12, 1 - 1e-7).log()).log()), **slow)
        self.theta = hint(nn.Parameter(phase.log()), **slow)
        self.gamma = hint(nn.Parameter(0.5 * torch.log1p(-torch.exp(-2 * self.nu.detach().exp()))), **slow)
        self.b = hint(nn.Parameter(torch.randn(modes, 2, input_size) * (2 * input_size) ** -0.5), **slow)
        self.c = nn.Parameter(torch.randn(hidden_size, modes, 2) * modes**-0.5)
        matrix = input_size != hidden_size
        self.d = nn.Parameter(
            torch.randn(hidden_size, input_size) * input_size**-0.5 if matrix else torch.randn(hidden_size)
        )

    def initial_state(self, batch_size: int) -> State:
        """Return (h,), (B, N) complex zeros."""
        zero = zeros(self, batch_size, self.num_modes)
        return (torch.complex(zero, zero),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return D x (B, T, H) and exp(gamma) (B x), (B, T, N) complex."""
        skip = linear(x, self.d, None, self.hidden_size)[0] if self.d.dim() == 2 else x * self.d
        # Real and imaginary rows of B alternate, so that the product is a complex tensor as it lies.
        weight = (self.gamma.exp()[:, None, None] * self.b).flatten(0, 1)
        drive = linear(x, weight, None, len(weight))[0].reshape(*x.shape[:2], self.num_modes, 2)
        return (skip, torch.view_as_complex(drive.to(torch.promote_types(drive.dtype, torch.float32)))), state

    def coefficients(self, pre: Pre) -> tuple[Tensor, Tensor]:
        """Return lambda, the same at every step, and the drive."""
        nu, theta = self.nu.to(pre[0].dtype), self.theta.to(pre[0].dtype)
        decay = torch.polar(torch.exp(-nu.exp()), theta.exp())
        return decay.expand(*[1] * (pre[1].dim() - 1), -1), pre[1]

    def readout(self, h: Tensor, pre: Pre) -> Tensor:
        """Return Re(C h_t) + D x_t: the real part of a product is the real product of (Re, -Im) and (Re, Im)."""
        weight = torch.stack([self.c[..., 0], -self.c[..., 1]], -1).flatten(1).to(h.real.dtype)
        return torch.view_as_real(h).flatten(-2) @ weight.T + pre[0]
