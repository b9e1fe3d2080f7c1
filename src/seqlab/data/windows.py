"""Windows as views: a batch is gathered by one strided index, and no window is ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data._base import Batch

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Spans:
    """Every run of ``length`` rows as a view; NumPy gathers from it in one thread, which for a batch is the fastest.

    Args:
        rows: (N, C).
        length: L rows a run.
    """

    def __init__(self, rows: NDArray[Any], length: int) -> None:
        rows = np.ascontiguousarray(rows)
        self.shape = (length, rows.shape[1])
        count = max(0, len(rows) - length + 1)
        self.view = as_strided(rows, (count, length * rows.shape[1]), (rows.strides[0], rows.itemsize), writeable=False)

    def take(self, places: Ints) -> Tensor:
        """Return the runs that begin at rows ``places`` (B,), copied as (B, L, C)."""
        return torch.from_numpy(self.view[places]).view(-1, *self.shape)


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
        inputs: (N, I), scaled and filled; the targets first, the F covariates known ahead last.
        targets: (N, O), scaled, gaps filled with the last value only.
        carried: (N, I), ``inputs`` filled with the last value, and following: (N, I) int64, the row of the next
            observation, where ``inputs`` were interpolated: a window must not see what comes after its end.
        mask: (N, I), 1 where observed; None when everything was. delta: (N, I) steps since last observed.
        time: (N,) steps, and uneven: (N,) bool, rows not one step after the one before; None when all are.
        future_size: F.
        center, scale: (S, O) of each series' own scaler; None when there is one for all.
    """

    inputs: Floats
    targets: Floats
    carried: Floats | None
    following: Ints | None
    mask: Floats | None
    delta: Floats | None
    time: Floats | None
    uneven: NDArray[np.bool_] | None
    future_size: int
    center: Floats | None
    scale: Floats | None


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

    def __init__(self, rows: Rows, ends: Ints, series: Ints, naive_scale: Floats, lookback: int, horizon: int) -> None:
        self.rows, self.ends, self.series, self.naive_scale = rows, ends, series, naive_scale
        self.lookback, self.horizon = lookback, horizon
        target_mask = None if rows.mask is None else rows.mask[:, : rows.targets.shape[1]]
        gaps = _within(_missing(rows.mask), ends - lookback, ends)
        target_gaps = _within(_missing(target_mask), ends, ends + horizon)
        uneven = _within(rows.uneven, ends - lookback + 1, ends)
        known = rows.inputs[:, rows.inputs.shape[1] - rows.future_size :] if rows.future_size else None
        self._x, self._y = Spans(rows.inputs, lookback), Spans(rows.targets, horizon)
        self._carried, self._following = _spans(rows.carried, lookback), _spans(rows.following, lookback)
        self._mask = _spans(rows.mask if gaps else None, lookback)
        self._delta = _spans(rows.delta if gaps or uneven else None, lookback)
        self._time = _spans(rows.time[:, None] if uneven and rows.time is not None else None, lookback)
        self._future, self._y_mask = _spans(known, horizon), _spans(target_mask if target_gaps else None, horizon)

    def __reduce__(self) -> tuple[type[Windows], tuple[Any, ...]]:
        """Pickle the rows and not the views, which would be written out window by window."""
        return Windows, (self.rows, self.ends, self.series, self.naive_scale, self.lookback, self.horizon)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return windows ``indices`` as one batch."""
        index = np.asarray(indices, dtype=np.int64)
        ends, series = self.ends[index], self.series[index]
        starts = ends - self.lookback
        time = _take(self._time, starts)
        return Batch(
            x=self._inputs(starts, ends),
            index=torch.from_numpy(index),
            y=self._y.take(ends),
            mask=_take(self._mask, starts),
            delta=_take(self._delta, starts),
            time=None if time is None else time[..., 0],
            future=_take(self._future, ends),
            y_mask=_take(self._y_mask, ends),
            center=_pick(self.rows.center, series),
            scale=_pick(self.rows.scale, series),
            naive_scale=_pick(self.naive_scale, series),
        )

    def _inputs(self, starts: Ints, ends: Ints) -> Tensor:
        x = self._x.take(starts)
        if self._following is None or self._carried is None:
            return x
        late = self._following.take(starts) >= torch.from_numpy(ends)[:, None, None]
        return torch.where(late, self._carried.take(starts), x)


def _missing(mask: Floats | None) -> NDArray[np.bool_] | None:
    return None if mask is None else (mask == 0).any(axis=1)


def _within(marked: NDArray[np.bool_] | None, low: Ints, high: Ints) -> bool:
    """Tell whether a marked row lies in any of the spans [low, high)."""
    if marked is None:
        return False
    before = np.concatenate([[0], np.cumsum(marked)])
    return bool((before[high] > before[low]).any())


def _spans(rows: NDArray[Any] | None, length: int) -> Spans | None:
    return None if rows is None else Spans(rows, length)


def _take(spans: Spans | None, places: Ints) -> Tensor | None:
    return None if spans is None else spans.take(places)


def _pick(values: Floats | None, places: Ints) -> Tensor | None:
    return None if values is None else torch.from_numpy(values[places])
