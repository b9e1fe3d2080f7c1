"""Normalisation of each window by itself, undone on the forecast: so that a trend stays in the training range."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqlab.cells._base import valid_steps
from seqlab.data import Spec
from seqlab.errors import RequestError
from seqlab.nn._checks import check_choice
from seqlab.nn.pooling import last_step

EPSILON = 1e-5
WindowNormName = Literal["none", "last", "revin"]


class WindowStatistics(NamedTuple):
    """Where a window's targets lie, (B, O) each: normalised = (x - center) / scale."""

    center: Tensor
    scale: Tensor


class WindowNorm(nn.Module):
    """Normalises the target columns of a window and puts forecasts back where the window was.

    none: nothing is done. last: the window's last value is subtracted (Lin et al. 2023, arXiv 2308.11200, section 4.4).
    revin: mean 0 and variance 1 over the window's real steps, then a learned gain and offset, undone in turn
    (Kim et al. 2022, ICLR, section 3).

    Args:
        kind: none, last or revin.
        target_index: which input columns the O targets are.
    """

    def __init__(self, kind: WindowNormName = "none", target_index: tuple[int, ...] = ()) -> None:
        super().__init__()
        check_choice("data.window_norm", kind, ("none", "last", "revin"))
        if kind != "none" and not target_index:
            raise RequestError(
                f"data.window_norm={kind} needs the targets among the inputs; this data has none there."
                f" Use data.window_norm=none."
            )
        self.kind, self.columns = kind, list(target_index)
        if kind == "revin":
            self.gain = nn.Parameter(torch.ones(len(target_index)))
            self.offset = nn.Parameter(torch.zeros(len(target_index)))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, WindowStatistics | None]:
        """Return the window (B, T, I) with its target columns normalised, and what it takes to undo that."""
        if self.kind == "none":
            return x, None
        targets = x[..., self.columns]
        statistics = self._statistics(targets, lengths)
        targets = (targets - statistics.center.unsqueeze(1)) / statistics.scale.unsqueeze(1)
        if self.kind == "revin":
            targets = targets * self.gain + self.offset
        normalised = x.clone()
        normalised[..., self.columns] = targets
        return normalised, statistics

    def restore(self, y: Tensor, statistics: WindowStatistics | None) -> Tensor:
        """Return the forecast y (B, K, O) or (B, K, O, Q) in the window's own place and scale."""
        if statistics is None:
            return y
        targets = (len(self.columns), *(1,) * (y.dim() - 3))  # (O,) or (O, 1) for quantiles
        if self.kind == "revin":
            # The published code's guard: a gain that training has brought to zero still divides.
            gain = (self.gain + EPSILON**2).reshape(targets)
            y = (y - self.offset.reshape(targets)) / gain
        center, scale = (s.reshape(len(s), 1, *targets) for s in statistics)
        return y * scale + center

    def _statistics(self, targets: Tensor, lengths: Tensor | None) -> WindowStatistics:
        if self.kind == "last":
            last = last_step(targets, lengths)
            return WindowStatistics(last, torch.ones_like(last))
        if lengths is None:
            lengths = torch.full((len(targets),), targets.shape[1], device=targets.device)
        real = valid_steps(lengths, targets.shape[1]).unsqueeze(-1)
        count = lengths.unsqueeze(-1).to(targets.dtype)
        mean = torch.where(real, targets, 0).sum(1) / count
        variance = torch.where(real, targets - mean.unsqueeze(1), 0).square().sum(1) / count
        return WindowStatistics(mean, (variance + EPSILON).sqrt())


def make_window_norm(spec: Spec) -> WindowNorm:
    """Build the normalisation that the data asks for.

    Raises:
        RequestError: it is asked for where there is no forecast to undo it on.
    """
    if spec.window_norm != "none" and spec.kind != "forecasting":
        raise RequestError(
            f"data.window_norm={spec.window_norm} is for forecasting; this data is of the kind {spec.kind!r}."
        )
    return WindowNorm(spec.window_norm, spec.target_index)
