"""Causal convolutions inside a cell, whose tail (the last k - 1 inputs of each row) is a part of the cell's state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def extend(x: Tensor, tail: Tensor) -> Tensor:
    """Return x (B, T, I) with the tail (B, k - 1, I) before it, laid out time first in memory."""
    return torch.cat([tail.to(x.dtype).transpose(0, 1), x.transpose(0, 1)]).transpose(0, 1)


def next_tail(extended: Tensor, tail: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the last k - 1 inputs of each row up to its last real step, (B, k - 1, I), in the dtype of ``tail``."""
    keep = tail.shape[1]
    if lengths is None:
        return extended[:, extended.shape[1] - keep :].to(tail.dtype)
    # Row b's real inputs end at keep + lengths[b] of the extended sequence.
    index = lengths.unsqueeze(1) + torch.arange(keep, device=extended.device)
    return extended.gather(1, index.unsqueeze(-1).expand(-1, -1, extended.shape[2])).to(tail.dtype)


class CausalConv(nn.Module):
    """Depthwise causal convolution over time, y_t = sum_j w_j x_{t-k+1+j} + b.

    Args:
        channels: E, features; each has its own filter.
        window: k, steps that a filter sees; the last is the present.
        bias: whether b is there.
    """

    def __init__(self, channels: int, window: int, bias: bool = True) -> None:
        super().__init__()
        bound = window**-0.5
        self.weight = nn.Parameter(torch.empty(window, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor, tail: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return y (B, T, E) and the tail after each row's last real step, from x (B, T, E) and tail (B, k - 1, E)."""
        extended, steps = extend(x, tail), x.shape[1]
        y = extended[:, -steps:] * self.weight[-1]
        for j in range(len(self.weight) - 1):
            y = torch.addcmul(y, extended[:, j : j + steps], self.weight[j])
        return (y if self.bias is None else y + self.bias), next_tail(extended, tail, lengths)
