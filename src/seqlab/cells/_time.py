"""What the scanning families share: layout in memory, precision of the state, block-diagonal maps, time constants."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Pre, RecurrentCell
from seqlab.errors import RequestError


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, *sizes: int) -> tuple[Tensor, ...]:
    """Return x W^T + b for x (B, T, I) in parts of ``sizes`` features.

    The memory is laid out time first, which makes each step's slice contiguous; splitting in that layout keeps the
    gradients in it too.
    """
    parts = torch.split(F.linear(x.transpose(0, 1).contiguous(), weight, bias), list(sizes), -1)
    return tuple(p.transpose(0, 1) for p in parts)


def block_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the block-diagonal product of x (B, T, g n) and weight (g, n, m), plus bias (g m,): (B, T, g m)."""
    # Time first, as x lies in memory, and block by block without a copy of x.
    blocks = x.transpose(0, 1).reshape(-1, *weight.shape[:2]).transpose(0, 1)
    y = blocks @ weight if bias is None else torch.baddbmm(bias.reshape(len(weight), 1, -1), blocks, weight)
    return y.transpose(0, 1).reshape(x.shape[1], x.shape[0], len(weight) * weight.shape[2]).transpose(0, 1)


def widen(pre: Pre) -> Pre:
    """Return the tensors in at least float32: a decay near one, added up over time, has no room in half precision."""
    return tuple(p.to(torch.promote_types(p.dtype, torch.float32)) for p in pre)


def zeros(cell: RecurrentCell, *shape: int, wide: bool = True) -> Tensor:
    """Return zeros on the cell's device, in its parameters' precision or (``wide``) at least float32."""
    parameter = next(cell.parameters())
    dtype = torch.promote_types(parameter.dtype, torch.float32) if wide else parameter.dtype
    return torch.zeros(shape, device=parameter.device, dtype=dtype)


def count_heads(asked: int | None, size: int, what: str) -> int:
    """Return the number of heads: the largest of 4, 2 and 1 that divides ``size`` where none was asked for.

    Raises:
        RequestError: the number asked for does not divide ``size``.
    """
    if asked is None:
        return math.gcd(size, 4)
    if asked < 1 or size % asked:
        raise RequestError(
            f"num_heads must divide {what}={size}; got {asked}. Choose a divisor, or null for the default."
        )
    return asked


def time_constants(size: int, low: float = 1e-3, high: float = 1e-1, floor: float = 1e-4) -> Tensor:
    """Return a bias (size,) whose softplus is log-uniform in [low, high], at least ``floor`` (Gu & Dao 2023, 3.6)."""
    return softplus_inverse(torch.exp(torch.empty(size).uniform_(math.log(low), math.log(high))).clamp_min(floor))


def softplus_inverse(x: Tensor) -> Tensor:
    """Return y with softplus(y) = x > 0."""
    return x + torch.log(-torch.expm1(-x))


def block_weight(blocks: int, inputs: int, outputs: int, std: float) -> nn.Parameter:
    """Return a normal block-diagonal weight (blocks, inputs, outputs) for ``block_linear``."""
    return nn.Parameter(torch.randn(blocks, inputs, outputs) * std)
