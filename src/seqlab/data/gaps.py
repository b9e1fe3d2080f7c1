"""Missing values: which were observed, how long ago, and what stands in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fill = Literal["last", "mean", "linear"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Gaps:
    """Where values are missing in a stack of series.

    Attributes:
        observed: (N, C) bool.
        last: (N, C) row of the latest observation up to each row of the same series; -1 without.
        following: (N, C) row of the earliest observation from each row on; N without.
    """

    observed: NDArray[np.bool_]
    last: Ints
    following: Ints

    @classmethod
    def of(cls, values: Floats, bounds: Ints) -> Gaps:
        """Look at ``values`` (N, C), NaN where missing; ``bounds`` (S + 1,) are the series' first rows, then N."""
        observed = ~np.isnan(values)
        size = len(values)
        rows = np.arange(size)[:, None]
        first, past = _spread(bounds, size)
        last = np.maximum.accumulate(np.where(observed, rows, -1), axis=0)
        following = np.minimum.accumulate(np.where(observed, rows, size)[::-1], axis=0)[::-1]
        return cls(observed, np.where(last >= first, last, -1), np.where(following < past, following, size))

    def carry(self, values: Floats, start: Floats) -> Floats:
        """Return ``values`` with the last observation carried forward; ``start`` (N, C) stands before the first."""
        carried = np.take_along_axis(values, np.maximum(self.last, 0), axis=0)
        return np.where(self.last >= 0, carried, start)

    def interpolate(self, values: Floats, start: Floats) -> Floats:
        """Return ``values`` with straight lines over gaps; after the last observation it is carried forward."""
        carried = self.carry(values, start)
        inside = ~self.observed & (self.last >= 0) & (self.following < len(values))
        rows, columns = np.nonzero(inside)
        before, after = self.last[rows, columns], self.following[rows, columns]
        low, high = values[before, columns], values[after, columns]
        carried[rows, columns] = low + (high - low) * (rows - before) / (after - before)
        return carried

    def since_observed(self, time: Floats, bounds: Ints) -> Floats:
        """Return (N, C) steps since the last earlier observation (GRU-D, Che et al. 2018, equation 2); first row 0.

        Args:
            time: (N,) time stamps in steps.
            bounds: (S + 1,) the series' first rows, then N.
        """
        first, _ = _spread(bounds, len(time))
        earlier = np.concatenate([np.full((1, self.last.shape[1]), -1), self.last[:-1]])
        earlier = np.where(earlier >= first, earlier, first)  # before any observation: since the series began
        since: Floats = time[:, None] - time[earlier]
        return since


def _spread(bounds: Ints, size: int) -> tuple[Ints, Ints]:
    """Return for every row, as (N, 1), the first row of its series and the one past its last."""
    sizes = np.diff(bounds)
    return np.repeat(bounds[:-1], sizes)[:, None], np.repeat(bounds[1:], sizes)[:, None]
