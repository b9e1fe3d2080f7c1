"""Columns to rows ready for windows: gaps filled, scaled, and all that is fitted fitted on the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data._base import SPLITS, Split
from seqlab.data.calendar import Step, steps_since_start
from seqlab.data.chronology import Cuts
from seqlab.data.columns import Columns
from seqlab.data.gaps import Fill, Gaps
from seqlab.data.scaling import Kind as ScalerKind
from seqlab.data.scaling import Scaler
from seqlab.data.series import Series
from seqlab.data.windows import Rows
from seqlab.errors import RequestError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Prepared:
    """Rows ready for windows, and what was learned on the way.

    Attributes:
        rows: scaled and filled.
        bounds: (S + 1,) the series' first rows, then N.
        targets: the O names.
        center, scale: (O,) of the scaler; empty where each series has its own.
        naive_scale: per split, (S, O): see ``Batch.naive_scale``.
        season: steps; None with the reason in ``no_season``.
        notes: counts for the record.
    """

    rows: Rows
    bounds: Tensor
    targets: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    naive_scale: dict[Split, Tensor]
    season: int | None
    no_season: str
    notes: dict[str, Any]

    def has_gaps(self, low: Ints, high: Ints) -> bool:
        """Tell whether any input is missing in rows [low, high) of any series."""
        mask = self.rows.mask
        starts = np.maximum(low, self.bounds[:-1].numpy())
        return mask is not None and any(bool((mask[a:b] == 0).any()) for a, b in zip(starts, high, strict=True))


def training_rows(bounds: Ints, cuts: Cuts) -> NDArray[np.bool_]:
    """Return (N,) bool, true at rows that training owns."""
    rows = np.arange(bounds[-1])
    sizes = np.diff(bounds)
    return (rows >= np.repeat(cuts.start, sizes)) & (rows < np.repeat(cuts.val, sizes))


def prepare(
    series: Series, cuts: Cuts, columns: Columns, scaler: ScalerKind, fill: Fill, season: int | None
) -> Prepared:
    """Fill gaps, fit the scalers on the training rows (gaps filled with the last value), and scale.

    Raises:
        RequestError: a column without a single value in the training rows of a series.
    """
    bounds, values = series.bounds, columns.values
    sizes = np.diff(bounds)
    gaps = Gaps.of(values, bounds)
    # Before a column's first observation stands its training mean: 0 once scaled, which says nothing.
    start = np.repeat(_means(values, series, cuts, columns.names), sizes, axis=0)
    carried = gaps.carry(values, start)
    scalers = [Scaler.fit(scaler, carried[a:b]) for a, b in zip(cuts.start, cuts.val, strict=True)]

    def scaled(rows: Floats) -> Tensor:
        parts = [s.apply(rows[a:b]) for s, a, b in zip(scalers, bounds[:-1], bounds[1:], strict=True)]
        return torch.from_numpy(np.concatenate([*parts]).astype(np.float32))

    calendar = torch.from_numpy(columns.calendar.astype(np.float32))
    rows_last = torch.cat([scaled(carried), calendar], dim=1)
    step = None if series.dates is None else _step(series, cuts)
    missing = bool((~gaps.observed).any())
    known_dates = torch.ones_like(calendar)
    rows = Rows(
        inputs=rows_last
        if fill == "last" or not missing
        else torch.cat([scaled(_filled(gaps, values, start, fill)), calendar], dim=1),
        targets=rows_last[:, : len(columns.targets)].contiguous(),
        carried=rows_last if fill == "linear" and missing else None,
        following=_following(gaps, calendar.shape[1]) if fill == "linear" and missing else None,
        mask=torch.cat([torch.from_numpy(gaps.observed.astype(np.float32)), known_dates], dim=1) if missing else None,
        **_clock(series, gaps, step, calendar.shape[1], missing),
        future_size=columns.ahead + calendar.shape[1],
        **_own_scales(scalers, len(columns.targets)),
    )
    found, reason = _season(season, step)
    one = len(scalers) == 1
    return Prepared(
        rows=rows,
        bounds=torch.from_numpy(bounds),
        targets=columns.targets,
        center=tuple(map(float, scalers[0].center[: len(columns.targets)])) if one else (),
        scale=tuple(map(float, scalers[0].scale[: len(columns.targets)])) if one else (),
        naive_scale={split: _naive_scale(rows.targets, gaps, cuts, split, found or 1) for split in SPLITS},
        season=found,
        no_season=reason,
        notes=_notes(series, columns, gaps, step, scalers),
    )


def _means(values: Floats, series: Series, cuts: Cuts, names: tuple[str, ...]) -> Floats:
    """Return (S, C) means of the observed training values."""
    means = np.empty((len(series.names), values.shape[1]))
    for at, (low, high) in enumerate(zip(cuts.start, cuts.val, strict=True)):
        part = values[low:high]
        empty = np.flatnonzero(np.isnan(part).all(axis=0))
        if len(empty):
            name = f" of series {series.names[at]!r}" if series.names[at] else ""
            raise RequestError(
                f"{series.where}: column {names[empty[0]]!r}{name} has no value in the {high - low} training rows; leave it"
                " out, or give training the rows in which it has some (data.split)."
            )
        means[at] = np.nanmean(part, axis=0)
    return means


def _filled(gaps: Gaps, values: Floats, start: Floats, fill: Fill) -> Floats:
    return gaps.interpolate(values, start) if fill == "linear" else np.where(gaps.observed, values, start)


def _following(gaps: Gaps, calendar: int) -> Tensor:
    following = torch.from_numpy(np.ascontiguousarray(gaps.following))
    return torch.cat([following, torch.zeros(len(following), calendar, dtype=torch.int64)], dim=1)


def _step(series: Series, cuts: Cuts) -> Step | None:
    """Return the step of the longest series' training rows, which may not depend on what comes later."""
    assert series.dates is not None
    at = int(np.argmax(cuts.val - cuts.start))
    dates = series.dates[cuts.start[at] : cuts.val[at]]
    return Step.of(dates) if len(dates) > 1 else None


def _clock(series: Series, gaps: Gaps, step: Step | None, calendar: int, missing: bool) -> dict[str, Tensor | None]:
    """Return the time stamps where rows are unevenly spaced, and the time since each value was observed."""
    bounds = series.bounds
    time = np.concatenate([np.arange(size, dtype=np.float64) for size in np.diff(bounds)])
    uneven = step is not None and step.irregular > 0
    if uneven and series.dates is not None and step is not None:
        time = np.concatenate(
            [steps_since_start(series.dates[a:b], step) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
        )
    if not uneven and not missing:
        return {"time": None, "delta": None}
    every_row = np.diff(time, prepend=time[:1])
    every_row[bounds[:-1]] = 0
    delta = np.concatenate([gaps.since_observed(time, bounds), np.repeat(every_row[:, None], calendar, axis=1)], axis=1)
    as_tensor = torch.from_numpy(time.astype(np.float32)) if uneven else None
    return {"time": as_tensor, "delta": torch.from_numpy(delta.astype(np.float32))}


def _own_scales(scalers: list[Scaler], outputs: int) -> dict[str, Tensor | None]:
    if len(scalers) == 1:
        return {"center": None, "scale": None}
    stacked = {"center": [s.center[:outputs] for s in scalers], "scale": [s.scale[:outputs] for s in scalers]}
    return {name: torch.from_numpy(np.stack(parts).astype(np.float32)) for name, parts in stacked.items()}


def _naive_scale(targets: Tensor, gaps: Gaps, cuts: Cuts, split: Split, season: int) -> Tensor:
    """Return (S, O) mean absolute differences over one season, on the observed rows before the split."""
    observed = torch.from_numpy(gaps.observed[:, : targets.shape[1]])
    means = []
    for low, high in zip(cuts.start, cuts.test if split == "test" else cuts.val, strict=True):
        past, seen = targets[low:high].double(), observed[low:high]
        lag = season if high - low > season else 1
        both = seen[lag:] & seen[:-lag]
        means.append(((past[lag:] - past[:-lag]).abs() * both).sum(0) / both.sum(0))
    return torch.stack(means).float()


def _season(asked: int | None, step: Step | None) -> tuple[int | None, str]:
    if asked is not None:
        return asked, ""
    if step is None:
        return None, "The source has no dates to tell a season from."
    if step.season is None:
        return None, f"No season is usual for a step of {step.days:g} days."
    return step.season, ""


def _notes(series: Series, columns: Columns, gaps: Gaps, step: Step | None, scalers: list[Scaler]) -> dict[str, Any]:
    filled = {n: int(c) for n, c in zip(columns.names, (~gaps.observed).sum(axis=0), strict=True) if c}
    constant = {
        n: int(c) for n, c in zip(columns.names, sum(s.constant.astype(int) for s in scalers), strict=True) if c
    }
    found: dict[str, Any] = {"rows": len(columns.values), "series": len(series.names), "filled_values": filled}
    found |= {"constant_columns": constant} if constant else {}
    found |= {"columns_left_out": list(columns.left_out)} if columns.left_out else {}
    found |= {"unknown_categories": columns.unknown_categories} if columns.unknown_categories else {}
    found |= {"step_days": step.days, "irregular_steps": step.irregular} if step is not None else {}
    return found | series.counts
