"""Initialisation schemes of the gated cells, as arguments rather than as cells of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.errors import RequestError

#: "orthogonal": recurrent blocks orthogonal, input blocks Glorot, biases zero; "uniform": torch.nn's.
SCHEMES = ("orthogonal", "uniform")


@torch.no_grad()
def init_gates(weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, init: str, units: int) -> None:
    """Initialise stacked gates in place.

    Args:
        weight_ih: (G H, I); each gate's block (H, I) is drawn by itself, or its Glorot bound would shrink with G.
        weight_hh: (G H, P); each block is orthogonal by itself, which the stacked matrix can't be (Saxe et al. 2014).
        bias: (G H,) or longer.
        init: one of SCHEMES.
        units: H, rows of a block; also sets the range of the uniform scheme, U(-1/sqrt(H), 1/sqrt(H)).
    """
    if init == "uniform":
        bound = 1 / math.sqrt(units)
        for tensor in (weight_ih, weight_hh, bias):
            tensor.uniform_(-bound, bound)
        return
    for block in torch.split(weight_ih, units):
        nn.init.xavier_uniform_(block)
    for block in torch.split(weight_hh, units):
        nn.init.orthogonal_(block)
    bias.zero_()


@torch.no_grad()
def chrono(forget: Tensor, longest: int, keep: Tensor | None = None) -> None:
    """Initialise a forget bias in place to log U(1, T - 1), so that memories last from one step to T steps.

    Tallec and Ollivier 2018, "Can recurrent neural networks warp time?", section 2.

    Args:
        forget: (H,), the bias of the gate that keeps the memory.
        longest: T, the longest dependency expected, in steps; at least 3.
        keep: (H,), the input gate's bias, which becomes the negative of the forget gate's; None where there is none.
    """
    if longest < 3:
        raise RequestError(f"chrono must be the longest dependency in steps, at least 3; got {longest}.")
    forget.uniform_(1, longest - 1).log_()
    if keep is not None:
        keep.copy_(-forget)
