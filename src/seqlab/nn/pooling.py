"""From one vector a step to one vector a sequence; padded steps never count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from seqlab.cells._base import valid_steps
from seqlab.nn._checks import check_choice

PoolingName = Literal["last", "mean", "max", "attention"]


class Pooling(nn.Module, ABC):
    """Maps y (B, T, D) and lengths (B,) to (B, ``output_size``).

    Args:
        size: D.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    @abstractmethod
    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the pooled vectors (B, ``output_size``); every length must be at least 1."""


def last_step(y: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return each row's last real step, (B, D) of y (B, T, D)."""
    return y[:, -1] if lengths is None else y[torch.arange(len(y), device=y.device), lengths - 1]


class LastPooling(Pooling):
    """The step at which each direction has seen the whole sequence: forward the last, backward the first.

    Args:
        size: D.
        layers: how many layers' outputs lie side by side in D, each forward features first, then backward.
        directions: 1, or 2 where bidirectional.
    """

    def __init__(self, size: int, layers: int = 1, directions: int = 1) -> None:
        super().__init__(size)
        self.layers, self.directions = layers, directions

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, D)."""
        last = last_step(y, lengths)
        if self.directions == 1:
            return last
        halves = (self.layers, 2, -1)
        forward, backward = torch.unflatten(last, -1, halves)[:, :, 0], torch.unflatten(y[:, 0], -1, halves)[:, :, 1]
        return torch.stack((forward, backward), 2).flatten(1)


class EndsPooling(Pooling):
    """The last and the first step side by side, for outputs in which both directions are already mixed."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.output_size = 2 * size

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, 2 D)."""
        return torch.cat([last_step(y, lengths), y[:, 0]], -1)


class MeanPooling(Pooling):
    """The mean over real steps."""

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, D)."""
        if lengths is None:
            return y.mean(1)
        real = valid_steps(lengths, y.shape[1]).unsqueeze(-1)
        return y.masked_fill(~real, 0).sum(1) / lengths.unsqueeze(-1).to(y.dtype)


class MaxPooling(Pooling):
    """The largest value of each feature over real steps."""

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, D)."""
        if lengths is not None:
            y = y.masked_fill(~valid_steps(lengths, y.shape[1]).unsqueeze(-1), -torch.inf)
        return y.amax(1)


class AttentionPooling(Pooling):
    """A learned weighted mean, sum_t a_t y_t with a = softmax(v . tanh(W y_t + b)) (Yang et al. 2016, section 2.2)."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.key = nn.Linear(size, size)
        self.query = nn.Linear(size, 1, bias=False)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, D)."""
        score = self.query(torch.tanh(self.key(y))).squeeze(-1)
        if lengths is not None:
            score = score.masked_fill(~valid_steps(lengths, y.shape[1]), -torch.inf)
        weight = score.softmax(1)
        if lengths is not None:  # a weight of zero does not silence a padded step that isn't finite
            y = y.masked_fill(~valid_steps(lengths, y.shape[1]).unsqueeze(-1), 0)
        return torch.einsum("bt,btd->bd", weight, y)


POOLINGS: dict[str, type[Pooling]] = {"mean": MeanPooling, "max": MaxPooling, "attention": AttentionPooling}


def make_pooling(name: PoolingName, size: int, layers: int = 1, directions: int = 1, mixed: bool = False) -> Pooling:
    """Build a pooling by name.

    Args:
        name: last, mean, max or attention.
        size: D.
        layers: how many layers' outputs lie side by side in D.
        directions: 1, or 2 where bidirectional.
        mixed: whether every feature has already seen both directions.

    Raises:
        RequestError: there is no such pooling.
    """
    check_choice("model.pooling", name, ["last", *POOLINGS])
    if name != "last":
        return POOLINGS[name](size)
    return EndsPooling(size) if mixed and directions == 2 else LastPooling(size, layers, directions)
