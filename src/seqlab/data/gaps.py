"""Missing values: which were observed, how long ago, and what stands in their place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
        first: (N, 1) the first row of each row's series, and past: (N, 1) the row after its last.
    """

    observed: NDArray[np.bool_]
    first: Ints
    past: Ints

    @classmethod
    def of(cls, values: Floats, bounds: Ints) -> Gaps:
        """Look at ``values`` (N, C), NaN where missing; ``bounds`` (S + 1,) are the series' first rows, then N."""
        sizes = np.diff(bounds)
        return cls(~np.isnan(values), np.repeat(bounds[:-1], sizes)[:, None], np.repeat(bounds[1:], sizes)[:, None])

    @cached_property
    def any(self) -> bool:
        """Whether anything is missing."""
        return not self.observed.all()

    @cached_property
    def last(self) -> Ints:
        """(N, C) the row of the latest observation up to each row of the same series; -1 without."""
        rows = np.where(self.observed, np.arange(len(self.observed))[:, None], -1)
        last = np.maximum.accumulate(rows, axis=0)
        return np.where(last >= self.first, last, -1)

    @cached_property
    def following(self) -> Ints:
        """(N, C) the row of the earliest observation from each row on in the same series; N without."""
        size = len(self.observed)
        rows = np.where(self.observed, np.arange(size)[:, None], size)
        following = np.minimum.accumulate(rows[::-1], axis=0)[::-1]
        return np.where(following < self.past, following, size)

    def carry(self, values: Floats, start: Floats) -> Floats:
        """Return ``values`` with the last observation carried forward; ``start`` (N, C) stands before the first."""
        if not self.any:
            return values
        carried = np.take_along_axis(values, np.maximum(self.last, 0), axis=0)
        return np.where(self.last >= 0, carried, start)

    def interpolate(self, values: Floats, start: Floats) -> Floats:
        """Return ``values`` with straight lines over gaps; after the last observation it is carried forward."""
        carried = self.carry(values, start).copy()
        inside = ~self.observed & (self.last >= 0) & (self.following < len(values))
        rows, columns = np.nonzero(inside)
        before, after = self.last[rows, columns], self.following[rows, columns]
        low, high = values[before, columns], values[after, columns]
        carried[rows, columns] = low + (high - low) * (rows - before) / (after - before)
        return carried

    def since_observed(self, time: Floats) -> Floats:
        """Return (N, C) steps since the last earlier observation (GRU-D, Che et al. 2018, equation 2); first row 0.

        Args:
            time: (N,) time stamps in steps.
        """
        earlier = np.concatenate([np.full((1, self.last.shape[1]), -1), self.last[:-1]])
        earlier = np.maximum(earlier, self.first)  # before any observation: since the series began
        since: Floats = time[:, None] - time[earlier]
        return since
