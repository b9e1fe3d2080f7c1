"""Columns to rows ready for windows: gaps filled, scaled, and all that is fitted fitted on the training rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.data._base import Split
from seqlab.data.calendar import Step, uneven
from seqlab.data.chronology import Cuts
from seqlab.data.columns import Columns
from seqlab.data.gaps import Fill, Gaps
from seqlab.data.scaling import Kind as ScalerKind
from seqlab.data.scaling import Scaler
from seqlab.data.series import Series
from seqlab.data.windows import Rows
from seqlab.errors import RequestError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """All that the training rows decide; a run keeps it as text.

    Attributes:
        columns: the C input columns of the table, the O targets first; a category is "column=category".
        targets: the O names.
        ahead: how many of the C are known ahead.
        calendar: D further inputs that the date gives.
        series: the S names.
        means: (S, C) of the observed training values.
        scalers: one a series.
        step: between rows; None without dates.
    """

    columns: tuple[str, ...]
    targets: tuple[str, ...]
    ahead: int
    calendar: int
    series: tuple[str, ...]
    means: Floats
    scalers: tuple[Scaler, ...]
    step: Step | None

    @classmethod
    def on_training_rows(cls, series: Series, cuts: Cuts, columns: Columns, scaler: ScalerKind) -> Fitted:
        """Fit to the rows of ``cuts``; the scaler sees gaps filled with the last value.

        Raises:
            RequestError: a column without a single value in the training rows of a series.
        """
        means = _means(columns, series, cuts)
        carried = Gaps.of(columns.values, series.bounds).carry(columns.values, _each_row(means, series.bounds))
        spans = zip(cuts.start, cuts.val, strict=True)
        scalers = tuple(Scaler.fit(scaler, carried[a:b], columns.indicator) for a, b in spans)
        step = _step(series, cuts)
        return cls(
            *(columns.names, columns.targets, columns.ahead, columns.calendar.shape[1]),
            *(series.names, means, scalers, step),
        )

    def to_json(self) -> str:
        """Return the text that ``from_json`` reads."""
        return json.dumps(asdict(self), default=lambda array: array.tolist(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Fitted:
        """Read what ``to_json`` wrote."""
        found = json.loads(text)
        names = {key: tuple(found[key]) for key in ("columns", "targets", "series")}
        scalers = tuple(Scaler(**{k: np.array(v) for k, v in scaler.items()}) for scaler in found["scalers"])
        step = Step(**found["step"]) if found["step"] else None
        return cls(**{**found, **names, "means": np.array(found["means"]), "scalers": scalers, "step": step})

    def for_series(self, series: Series, columns: Columns, anew: Callable[[], Fitted]) -> Fitted:
        """Return what was fitted, in the order of the series of another source.

        Args:
            series: the other source's.
            columns: chosen from it.
            anew: fits to the other source, for series that were not there before.

        Raises:
            RequestError: the other source has other columns.
        """
        if columns.names != self.columns:
            raise RequestError(
                f"{series.where} gives the inputs {', '.join(columns.names)}; the run was fitted to"
                f" {', '.join(self.columns)}."
            )
        if len(self.series) == len(series.names) == 1:
            return self
        place = {name: at for at, name in enumerate(self.series)}
        other = self if place.keys() >= set(series.names) else anew()
        which = [(self, place[n]) if n in place else (other, at) for at, n in enumerate(series.names)]
        means = np.stack([fitted.means[at] for fitted, at in which])
        return replace(self, series=series.names, means=means, scalers=tuple(f.scalers[at] for f, at in which))


def training_rows(series: Series, cuts: Cuts) -> NDArray[np.bool_]:
    """Return (N,) bool, true at rows that training owns."""
    rows = np.arange(series.bounds[-1])
    sizes = np.diff(series.bounds)
    return (rows >= np.repeat(cuts.start, sizes)) & (rows < np.repeat(cuts.val, sizes))


def prepare(series: Series, columns: Columns, fitted: Fitted, fill: Fill) -> Rows:
    """Fill gaps and scale, with what was fitted."""
    bounds, values, outputs = series.bounds, columns.values, len(columns.targets)
    gaps = Gaps.of(values, bounds)
    # Before a column's first observation stands its training mean: 0 once scaled, which says nothing.
    start = _each_row(fitted.means, bounds)
    calendar = columns.calendar

    def scaled(rows: Floats) -> NDArray[np.float32]:
        found = np.empty((len(rows), values.shape[1] + calendar.shape[1]), dtype=np.float32)
        found[:, values.shape[1] :] = calendar
        for scaler, (low, high) in zip(fitted.scalers, pairwise(bounds), strict=True):
            found[low:high, : values.shape[1]] = scaler.apply(rows[low:high])
        return found

    carried = scaled(gaps.carry(values, start))
    linear = gaps.any and fill == "linear"
    time, marks = _times(series, fitted.step)
    apart = bool(marks.any())
    one = len(fitted.scalers) == 1
    return Rows(
        inputs=carried if fill == "last" or not gaps.any else scaled(_filled(gaps, values, start, fill)),
        targets=np.ascontiguousarray(carried[:, :outputs]),
        carried=carried if linear else None,
        following=np.concatenate([gaps.following, np.zeros(calendar.shape, np.int64)], axis=1) if linear else None,
        mask=_joined(gaps.observed, np.ones_like(calendar)) if gaps.any else None,
        delta=_delta(gaps, time, bounds, calendar.shape[1]) if gaps.any or apart else None,
        time=time.astype(np.float32) if apart else None,
        uneven=marks if apart else None,
        future_size=columns.ahead + calendar.shape[1],
        center=None if one else np.stack([s.center[:outputs] for s in fitted.scalers]).astype(np.float32),
        scale=None if one else np.stack([s.scale[:outputs] for s in fitted.scalers]).astype(np.float32),
    )


def naive_scale(rows: Rows, cuts: Cuts, split: Split, season: int) -> NDArray[np.float32]:
    """Return (S, O) mean absolute differences over one season, on the observed rows before the split; 0 without any.

    A series that is not longer than a season before the split is compared with its row before.
    """
    means = []
    for low, high in zip(cuts.start, cuts.test if split == "test" else cuts.val, strict=True):
        past = rows.targets[low:high].astype(np.float64)
        seen = np.ones_like(past) if rows.mask is None else rows.mask[low:high, : past.shape[1]]
        lag = season if high - low > season else 1
        both = seen[lag:] * seen[:-lag]
        means.append((np.abs(past[lag:] - past[:-lag]) * both).sum(axis=0) / np.maximum(both.sum(axis=0), 1))
    return np.stack(means).astype(np.float32)


def notes(series: Series, cuts: Cuts, columns: Columns, fitted: Fitted) -> dict[str, Any]:
    """Return the counts that a person should know of."""
    missing = np.isnan(columns.values).sum(axis=0)
    constant = np.sum([s.constant for s in fitted.scalers], axis=0)
    found: dict[str, Any] = {"rows": len(columns.values), "series": len(series.names)}
    found["rows_after_the_split"] = int(np.sum(series.bounds[1:] - cuts.stop))
    found["filled_values"] = {n: int(c) for n, c in zip(columns.names, missing, strict=True) if c}
    found["constant_columns"] = {n: int(c) for n, c in zip(columns.names, constant, strict=True) if c}
    found["columns_left_out"] = list(columns.left_out)
    found["unknown_categories"] = columns.unknown_categories
    found |= series.counts
    if fitted.step is not None:
        found |= {"step_days": fitted.step.days, "irregular_steps": fitted.step.irregular}
    if series.dates is not None and len(series.names) == 1:
        first, last = series.dates[[cuts.test[0], cuts.stop[0] - 1]].astype("datetime64[s]")
        found["test_dates"] = [str(first), str(last)]
    return {name: value for name, value in found.items() if value or name in ("rows", "series")}


def _each_row(per_series: Floats, bounds: NDArray[np.int64]) -> Floats:
    return np.repeat(per_series, np.diff(bounds), axis=0)


def _means(columns: Columns, series: Series, cuts: Cuts) -> Floats:
    means = np.empty((len(series.names), columns.values.shape[1]))
    for at, (low, high) in enumerate(zip(cuts.start, cuts.val, strict=True)):
        part = columns.values[low:high]
        empty = np.flatnonzero(np.isnan(part).all(axis=0))
        if len(empty):
            name = f" of series {series.names[at]!r}" if series.names[at] else ""
            raise RequestError(
                f"{series.where}: column {columns.names[empty[0]]!r}{name} has no value in the {high - low} training"
                " rows; leave it out, or give training the rows in which it has some (data.split)."
            )
        means[at] = np.nanmean(part, axis=0)
    return means


def _step(series: Series, cuts: Cuts) -> Step | None:
    """Return the step of the longest series' training rows, which may not depend on what comes later."""
    if series.dates is None:
        return None
    at = int(np.argmax(cuts.val - cuts.start))
    dates = series.dates[cuts.start[at] : cuts.val[at]]
    return Step.of(dates) if len(dates) > 1 else None


def _filled(gaps: Gaps, values: Floats, start: Floats, fill: Fill) -> Floats:
    return gaps.interpolate(values, start) if fill == "linear" else np.where(gaps.observed, values, start)


def _times(series: Series, step: Step | None) -> tuple[Floats, NDArray[np.bool_]]:
    """Return (N,) time stamps in steps, and the rows that are not one step after the one before."""
    times, marks = [], []
    for low, high in pairwise(series.bounds):
        time = np.arange(high - low, dtype=np.float64)
        if series.dates is not None and step is not None:
            time = step.count(series.dates[low:high])
        times.append(time)
        marks.append(np.concatenate([[False], uneven(time)]))
    return np.concatenate(times), np.concatenate(marks)


def _delta(gaps: Gaps, time: Floats, bounds: NDArray[np.int64], calendar: int) -> NDArray[np.float32]:
    """Return (N, C + calendar) steps since each value was observed; parts of the date are observed in every row."""
    since_row = np.diff(time, prepend=time[:1])
    since_row[bounds[:-1]] = 0
    return _joined(gaps.since_observed(time), np.repeat(since_row[:, None], calendar, axis=1))


def _joined(values: NDArray[Any], calendar: Floats) -> NDArray[np.float32]:
    return np.concatenate([values, calendar], axis=1, dtype=np.float32)
