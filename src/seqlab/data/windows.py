"""Windows as views: a batch is gathered by one strided index, and no window is ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data._base import Batch

Ints = NDArray[np.int64]


def view(rows: Tensor, length: int) -> Tensor:
    """Return every window of ``length`` rows of ``rows`` (N, C) as a view (N - length + 1, length, C)."""
    rows = rows.contiguous()
    count, columns = rows.shape
    return rows.as_strided((max(0, count - length + 1), length, columns), (columns, columns, 1))


def window_ends(low: Ints, high: Ints, starts: Ints, lookback: int, horizon: int) -> Ints:
    """Return the first target row of every stride-1 window whose targets lie in [low, high), series after series.

    Args:
        low: (S,) first row of each series that a split owns.
        high: (S,) the row past its last.
        starts: (S,) first row of each series; a window reaches back before ``low`` but not before it.
        lookback: T.
        horizon: K.
    """
    spans = zip(np.maximum(low, starts + lookback), high - horizon + 1, strict=True)
    return np.concatenate([np.arange(first, past, dtype=np.int64) for first, past in spans])


@dataclass(frozen=True)
class Rows:
    """The prepared rows of all series, stacked; what windows are views of.

    Attributes:
        inputs: (N, I) float, scaled and filled; the targets first, the F covariates known ahead last.
        targets: (N, O) float, scaled, gaps filled with the last value only.
        carried: (N, I) float, ``inputs`` filled with the last value, and following: (N, I) int64, the row of the next
            observation, where ``inputs`` were interpolated: a window must not see what comes after its end.
        mask: (N, I) float, 1 where observed; None when everything was. delta: (N, I) steps since last observed.
        time: (N,) steps, and uneven: (N,) bool, rows not one step after the one before; None when all are.
        future_size: F.
        center, scale: (S, O) of each series' own scaler; None when there is one for all.
    """

    inputs: Tensor
    targets: Tensor
    carried: Tensor | None
    following: Tensor | None
    mask: Tensor | None
    delta: Tensor | None
    time: Tensor | None
    uneven: Tensor | None
    future_size: int
    center: Tensor | None
    scale: Tensor | None


class Windows:
    """The examples of one split: look-back windows and the K rows that follow each.

    Args:
        rows: prepared rows.
        ends: (N,) the first target row of every window.
        series: (N,) the series each window belongs to.
        naive_scale: (S, O) what MASE divides by.
        lookback: T.
        horizon: K.

    Masks and time stamps are gathered where some window of this split has a gap or uneven rows, and left out elsewhere.
    """

    lengths: NDArray[np.int64] | None = None

    def __init__(
        self,
        rows: Rows,
        ends: Ints,
        series: Ints,
        naive_scale: Tensor,
        lookback: int,
        horizon: int,
    ) -> None:
        self.ends, self.series = torch.from_numpy(ends), torch.from_numpy(series)
        self.rows, self.naive_scale, self.lookback = rows, naive_scale, lookback
        missing = None if rows.mask is None else (rows.mask == 0).any(dim=1)
        mask = rows.mask if _within(missing, self.ends - lookback, self.ends) else None
        target_mask = None if rows.mask is None else rows.mask[:, : rows.targets.shape[1]]
        target_missing = None if target_mask is None else (target_mask == 0).any(dim=1)
        time = rows.time if _within(rows.uneven, self.ends - lookback + 1, self.ends) else None
        delta = rows.delta if mask is not None or time is not None else None
        self._x, self._y = view(rows.inputs, lookback), view(rows.targets, horizon)
        self._carried, self._following = _view(rows.carried, lookback), _view(rows.following, lookback)
        self._mask, self._delta = _view(mask, lookback), _view(delta, lookback)
        self._time = None if time is None else view(time[:, None], lookback)
        self._y_mask = _view(target_mask, horizon) if _within(target_missing, self.ends, self.ends + horizon) else None
        known = rows.inputs[:, rows.inputs.shape[1] - rows.future_size :] if rows.future_size else None
        self._future = _view(known, horizon)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return windows ``indices`` as one batch."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        ends, series = self.ends[index], self.series[index]
        starts = ends - self.lookback
        time = _pick(self._time, starts)
        return Batch(
            x=self._inputs(starts, ends),
            index=index,
            y=self._y.index_select(0, ends),
            mask=_pick(self._mask, starts),
            delta=_pick(self._delta, starts),
            time=None if time is None else time[..., 0],
            future=_pick(self._future, ends),
            y_mask=_pick(self._y_mask, ends),
            center=_pick(self.rows.center, series),
            scale=_pick(self.rows.scale, series),
            naive_scale=self.naive_scale[series],
        )

    def _inputs(self, starts: Tensor, ends: Tensor) -> Tensor:
        x = self._x.index_select(0, starts)
        if self._following is None or self._carried is None:
            return x
        late = self._following.index_select(0, starts) >= ends[:, None, None]
        return torch.where(late, self._carried.index_select(0, starts), x)


def _within(marked: Tensor | None, low: Tensor, high: Tensor) -> bool:
    """Tell whether a marked row lies in any of the spans [low, high)."""
    if marked is None:
        return False
    before = torch.cat([torch.zeros(1, dtype=torch.int64), marked.long().cumsum(0)])
    return bool((before[high] > before[low]).any())


def _view(rows: Tensor | None, length: int) -> Tensor | None:
    return None if rows is None else view(rows, length)


def _pick(source: Tensor | None, places: Tensor) -> Tensor | None:
    return None if source is None else source.index_select(0, places)
