"""The forecasts that need no training: repeat the last value, the last season, or go on in a straight line."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data._base import Batch


class Naive:
    """Repeat the last value of the window. Batch -> (B, K, O)."""

    def __init__(self, horizon: int, outputs: int) -> None:
        self.horizon, self.outputs = horizon, outputs

    def __call__(self, batch: Batch) -> Tensor:
        """Forecast."""
        return batch.x[:, -1:, : self.outputs].expand(-1, self.horizon, -1)


class SeasonalNaive:
    """Repeat the value one season before (Hyndman and Athanasopoulos, section 5.2), season after season.

    Args:
        targets: (N, O) all rows; a season may reach back further than a window.
        ends: (M,) the first target row of every window of the split.
        season: steps.
        horizon: K.
    """

    def __init__(self, targets: NDArray[np.float32], ends: NDArray[np.int64], season: int, horizon: int) -> None:
        self.targets, self.ends = targets, ends
        self.back = np.arange(horizon) % season - season

    def __call__(self, batch: Batch) -> Tensor:
        """Forecast."""
        rows = self.ends[batch.index.cpu().numpy()][:, None] + self.back
        return torch.from_numpy(self.targets[rows]).to(batch.x.device)


class Drift:
    """Go on along the line from the window's first value to its last (Hyndman and Athanasopoulos, section 5.2)."""

    def __init__(self, horizon: int, outputs: int) -> None:
        self.horizon, self.outputs = horizon, outputs

    def __call__(self, batch: Batch) -> Tensor:
        """Forecast."""
        past = batch.x[..., : self.outputs]
        slope = (past[:, -1:] - past[:, :1]) / max(1, past.shape[1] - 1)
        ahead = torch.arange(1, self.horizon + 1, device=past.device, dtype=past.dtype)[:, None]
        return past[:, -1:] + slope * ahead
