"""Forecasting: one or many series in time order, cut chronologically, windowed without copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seqlab.data._base import SPLITS, Predictor, SequenceData, Spec, Split
from seqlab.data.chronology import Cuts, cut
from seqlab.data.columns import Columns, choose_columns
from seqlab.data.gaps import Fill
from seqlab.data.naive import Drift, Naive, SeasonalNaive
from seqlab.data.preparation import Fitted, naive_scale, notes, prepare, training_rows
from seqlab.data.scaling import Kind as ScalerKind
from seqlab.data.series import LAYOUTS, Layout, Series, read_series
from seqlab.data.tables import find_files, fingerprint
from seqlab.data.windows import Rows, Windows, window_ends
from seqlab.errors import RequestError, did_you_mean

WindowNorm = Literal["none", "last", "revin"]
FITTED_FILE = "scaler.json"


@dataclass(frozen=True)
class ForecastInputs:
    """Windows of a file to forecast from, in the order of the file.

    Attributes:
        examples: M windows; targets that lie past the end of the file, or are blank, have ``y_mask`` 0.
        series: the M names of the series; "" where the source is one series.
        dates: (M, K) dates that are forecast; row numbers where the source has no dates.
        truth: (M, K, O) the values there in original units, NaN where unknown.
    """

    examples: Windows
    series: tuple[str, ...]
    dates: NDArray[np.datetime64] | NDArray[np.int64]
    truth: NDArray[np.float64]


class ForecastingData(SequenceData):
    """Windows of ``lookback`` rows and the ``horizon`` rows that follow, at stride 1.

    Everything that is fitted (scaler, means, categories, the step between rows) is fitted on training rows. Validation
    and test windows reach back into the rows before their split, so that the first forecast of a split is its first
    row. Where several series are given, each has its own scaler, and no window spans two.

    Args:
        path: a file, a folder with one, or ``package:file`` inside an installed package.
        layout: "table" (header, dates, one row a time), "matrix" (no header, no dates), "ragged" (one series a row).
        date: date column, or columns (year, month, ...; or a date and a time); None finds it by its name.
        series: the column that names the series of a long table; None for one series.
        target: a column, a list of them, or "all" numeric columns.
        covariates: further input columns, known up to the present, or "all" numeric ones. A text column becomes one
            column of 0 and 1 a category.
        known: input columns that are known ahead, among them parts of the date: date.hour, date.weekday, date.month ...
        lookback: T, rows that the model sees.
        horizon: K, rows that it forecasts.
        season: rows in a season; None takes the usual one of the step between rows, if there is one; 1 is none.
        split: see ``chronology.cut``.
        scaler: "standard", "minmax", "robust" or "none".
        window_norm: "none", "last" (subtract the window's last value) or "revin"; the model applies it.
        fill: what stands for a missing value: "last", "mean" (of the training rows) or "linear".
        sort: put dates in order and keep the last row of a repeated date, instead of refusing.
        batch_size: windows in a batch, over all processes.
        num_workers: processes that gather batches.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        layout: Layout = "table",
        date: str | Sequence[str] | None = None,
        series: str | None = None,
        target: str | Sequence[str] = "all",
        covariates: str | Sequence[str] = (),
        known: str | Sequence[str] = (),
        lookback: int = 96,
        horizon: int = 24,
        season: int | None = None,
        split: Sequence[float | str] | str = (0.7, 0.1, 0.2),
        scaler: ScalerKind = "standard",
        window_norm: WindowNorm = "none",
        fill: Fill = "last",
        sort: bool = False,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        _check_choice("layout", layout, LAYOUTS)
        _check_choice("scaler", scaler, get_args(ScalerKind))
        _check_choice("window_norm", window_norm, get_args(WindowNorm))
        _check_choice("fill", fill, get_args(Fill))
        for name, number, least in (("lookback", lookback, 1), ("horizon", horizon, 1), ("batch_size", batch_size, 1)):
            _check_count(name, number, least)
        _check_count("season", 1 if season is None else season, 1)
        _check_count("num_workers", num_workers, 0)
        self.path, self.layout, self.date, self.series = path, layout, date, series
        self.target, self.covariates, self.known = target, covariates, [known] if isinstance(known, str) else known
        self.lookback, self.horizon, self.season, self.split = lookback, horizon, season, split
        self.scaler, self.window_norm, self.fill, self.sort = scaler, window_norm, fill, sort
        self.batch_size, self.num_workers = batch_size, num_workers
        self._fitted: Fitted | None = None
        self._windows: dict[Split, Windows] = {}
        self._starts: NDArray[np.int64]
        self._notes: dict[str, Any] = {}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the source's bytes and of which columns are read how."""
        asked = (self.layout, self.date, self.series, self.target, self.covariates, self.known)
        return fingerprint(find_files(self.path), asked)

    def setup(self) -> None:
        """Read, split, fit and scale.

        Raises:
            RequestError: the source does not hold what the arguments ask for.
        """
        if self._windows:
            return
        series = read_series(find_files(self.path), self.layout, self.date, self.series, self.sort)
        cuts = cut(series, self.split, self.horizon)
        self._check_room(cuts, series)
        columns = self._choose(series, training_rows(series, cuts))
        self._fitted = fitted = self._fit(series, cuts, columns)
        rows = prepare(series, columns, fitted, self.fill)
        windows = {split: self._cut_windows(rows, cuts, series, split) for split in SPLITS}
        self._starts = series.bounds[:-1]
        self._notes = notes(series, cuts, columns, fitted)
        self._windows = windows

    def _choose(self, series: Series, train: NDArray[np.bool_]) -> Columns:
        """Choose what was asked for; after ``restore``, what that stood for then."""
        before = self._fitted
        if before is None:
            return choose_columns(series, self.target, self.covariates, self.known, train)
        covariates = self.covariates
        if covariates == "all":
            covariates = before.columns[len(before.targets) : len(before.columns) - before.ahead]
        return choose_columns(series, before.targets, covariates, self.known, train, before.columns)

    def _fit(self, series: Series, cuts: Cuts, columns: Columns) -> Fitted:
        def anew() -> Fitted:
            return Fitted.on_training_rows(series, cuts, columns, self.scaler)

        return anew() if self._fitted is None else self._fitted.for_series(series, columns, anew)

    def _cut_windows(self, rows: Rows, cuts: Cuts, series: Series, split: Split) -> Windows:
        ends = window_ends(*cuts.span(split), cuts.start, self.lookback, self.horizon)
        owner = np.searchsorted(series.bounds, ends, side="right") - 1
        scale = naive_scale(rows, cuts, split, self._season()[0] or 1)
        return Windows(rows, ends, owner, scale, self.lookback, self.horizon)

    def _check_room(self, cuts: Cuts, series: Series) -> None:
        for split in SPLITS:
            low, high = cuts.span(split)
            short = np.flatnonzero(high - np.maximum(low, cuts.start + self.lookback) < self.horizon)
            if not len(short):
                continue
            at = int(short[0])
            name = f" of series {series.names[at]!r}" if series.names[at] else ""
            needed = f"data.horizon={self.horizon}"
            if low[at] - cuts.start[at] < self.lookback:
                needed = f"data.lookback={self.lookback} and data.horizon={self.horizon} together"
            raise RequestError(
                f"{series.where}: the {split} split{name} has {max(0, high[at] - low[at])} rows, too few for {needed}"
                f" (data.split={self.split}). Lower them, or give the split more rows."
            )

    @property
    def spec(self) -> Spec:
        """Return sizes, season, scaler and window norm (after ``setup`` or ``restore``)."""
        fitted = self._ready()
        targets, one = len(fitted.targets), len(fitted.scalers) == 1
        return Spec(
            kind="forecasting",
            output_size=targets,
            input_size=len(fitted.columns) + fitted.calendar,
            lookback=self.lookback,
            horizon=self.horizon,
            season=self._season()[0],
            target_index=tuple(range(targets)),
            future_size=fitted.ahead + fitted.calendar,
            window_norm=self.window_norm,
            center=tuple(map(float, fitted.scalers[0].center[:targets])) if one else (),
            scale=tuple(map(float, fitted.scalers[0].scale[:targets])) if one else (),
            target_names=fitted.targets,
        )

    def examples(self, split: Split) -> Windows:
        """Return the windows of a split."""
        self._ready()
        return self._windows[split]

    def baselines(self, split: Split) -> Mapping[str, Predictor]:
        """Return naive, drift and, where a season is known and the rows reach back so far, seasonal_naive."""
        windows, outputs = self.examples(split), len(self._ready().targets)
        found: dict[str, Predictor] = {"naive": Naive(self.horizon, outputs), "drift": Drift(self.horizon, outputs)}
        season, _ = self._season()
        if season is not None and self._no_seasonal_naive(split) is None:
            found["seasonal_naive"] = SeasonalNaive(windows.rows.targets, windows.ends, season, self.horizon)
        return found

    def _season(self) -> tuple[int | None, str]:
        """Return the season, or None and the reason."""
        if self.season is not None:
            return self.season, ""
        step = self._ready().step
        if step is None:
            return None, "The source has no dates to tell a season from; name it with data.season."
        return step.season, f"No season is usual for a step of {step.days:g} days; name it with data.season."

    def _no_seasonal_naive(self, split: Split) -> str | None:
        season, reason = self._season()
        if season is None:
            return reason
        if season == 1:
            return "With a season of 1 it is the naive forecast."
        windows = self.examples(split)
        short = int((windows.ends < self._starts[windows.series] + season).sum())
        return f"{short} of {len(windows)} windows have no row a season ({season}) back." if short else None

    def notes(self) -> dict[str, Any]:
        """Return rows, windows, the season, and everything that was filled, put in order or left out."""
        reasons = {split: reason for split in SPLITS if (reason := self._no_seasonal_naive(split))}
        windows = {split: len(self.examples(split)) for split in SPLITS}
        found = self._notes | {"windows": windows, "season": self._season()[0]}
        return found | ({"seasonal_naive_left_out": reasons} if reasons else {})

    def artifacts(self) -> Mapping[str, str]:
        """Return the scaler and all else that was fitted."""
        return {FITTED_FILE: self._ready().to_json()}

    def restore(self, artifacts: Mapping[str, str]) -> None:
        """Use the scaler, means and categories of an earlier run; ``spec`` and ``inputs`` then need no ``setup``."""
        self._fitted = Fitted.from_json(artifacts[FITTED_FILE])

    def inputs(self, path: str) -> ForecastInputs:
        """Return windows over a whole file, side by side, the last of which forecasts past the end of the file.

        Where columns are known ahead (``known``), the file has them in ``horizon`` last rows without targets.

        Args:
            path: as ``data.path``.

        Raises:
            RequestError: the file does not hold the columns or enough rows.
        """
        series = read_series(find_files(path), self.layout, self.date, self.series, self.sort)
        if self._ready().ahead == 0:
            series = series.extended(self.horizon, self._ready().step)
        columns = self._choose(series, np.ones(series.bounds[-1], dtype=np.bool_))
        truth = columns.values[:, : len(columns.targets)]
        start, past = series.bounds[:-1], self._past_last_target(series, np.any(~np.isnan(truth), axis=1))
        fitted = self._fit(series, Cuts(start, past, past, past), columns)
        tiles = zip(past, start + self.lookback - 1, strict=True)
        ends = np.concatenate([np.arange(last, first, -self.horizon)[::-1] for last, first in tiles])
        owner = np.searchsorted(series.bounds, ends, side="right") - 1
        windows = Windows(
            prepare(series, columns, fitted, self.fill),
            *(ends, owner, np.zeros((len(series.names), truth.shape[1]), np.float32), self.lookback, self.horizon),
        )
        rows = ends[:, None] + np.arange(self.horizon)
        dates = rows - start[owner][:, None] if series.dates is None else series.dates[rows]
        return ForecastInputs(windows, tuple(series.names[at] for at in owner), dates, truth[rows])

    def _past_last_target(self, series: Series, observed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return (S,) the row after each series' last target, from which the last forecast starts."""
        ends = []
        for name, low, high in zip(series.names, series.bounds[:-1], series.bounds[1:], strict=True):
            past = int(low + np.flatnonzero(observed[low:high])[-1] + 1) if observed[low:high].any() else int(low)
            where = f"{series.where}, series {name!r}" if name else series.where
            if past - low < self.lookback:
                raise RequestError(
                    f"{where}: {past - low} rows up to the last target; data.lookback={self.lookback} are needed."
                )
            if past + self.horizon > high:
                raise RequestError(
                    f"{where}: {high - past} rows after the last target; data.known={list(self.known)} must be given"
                    f" for data.horizon={self.horizon} rows ahead, with the targets left blank."
                )
            ends.append(past)
        return np.array(ends)

    def _ready(self) -> Fitted:
        if self._fitted is None:
            raise RuntimeError("setup() or restore() comes first")
        return self._fitted


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        listed = ", ".join(choices)
        raise RequestError(f"data.{name}={value!r} is not one of {listed}.{did_you_mean(str(value), choices)}")


def _check_count(name: str, number: Any, least: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise RequestError(f"data.{name} must be a whole number of at least {least}; got {number!r}.")
