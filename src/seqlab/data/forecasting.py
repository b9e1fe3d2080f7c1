"""Forecasting: one or many series in time order, cut chronologically, windowed without copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from seqlab.data._base import SPLITS, Predictor, SequenceData, Spec, Split
from seqlab.data.chronology import Cuts, cut
from seqlab.data.columns import choose_columns
from seqlab.data.gaps import Fill
from seqlab.data.naive import Drift, Naive, SeasonalNaive
from seqlab.data.preparation import Prepared, prepare, training_rows
from seqlab.data.scaling import Kind as ScalerKind
from seqlab.data.series import LAYOUTS, Layout, read_series
from seqlab.data.tables import find_files, fingerprint
from seqlab.data.windows import Windows, window_ends
from seqlab.errors import RequestError, did_you_mean

WindowNorm = Literal["none", "last", "revin"]


class ForecastingData(SequenceData):
    """Windows of ``lookback`` rows and the ``horizon`` rows that follow, at stride 1.

    Everything that is fitted (scaler, means, categories, the step between rows) is fitted on training rows. Validation and
    test windows reach back into the rows before their split, so that the first forecast of a split is its first row.
    Where several series are given, each has its own scaler, and no window spans two.

    Args:
        path: a file, a folder with one, or ``package:file`` inside an installed package.
        layout: "table" (header, dates, one row a time), "matrix" (neither header nor dates), "ragged" (one series a row).
        date: date column, or columns (year, month, ...; or a date and a time); None finds it by its name.
        series: the column that names the series of a long table; None for one series.
        target: a column, a list of them, or "all" numeric columns.
        covariates: further input columns, known up to the present. A text column becomes one column a category.
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
        covariates: Sequence[str] = (),
        known: Sequence[str] = (),
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
        for name, value, choices in (
            ("layout", layout, LAYOUTS),
            ("scaler", scaler, get_args(ScalerKind)),
            ("window_norm", window_norm, get_args(WindowNorm)),
            ("fill", fill, get_args(Fill)),
        ):
            if value not in choices:
                raise RequestError(
                    f"data.{name}={value!r} is not one of {', '.join(choices)}.{did_you_mean(str(value), choices)}"
                )
        for name, number in (
            ("lookback", lookback),
            ("horizon", horizon),
            ("batch_size", batch_size),
            ("season", season),
        ):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise RequestError(f"data.{name} must be a whole number of at least 1; got {number!r}.")
        self.path, self.layout, self.date, self.series = path, layout, date, series
        self.target, self.covariates, self.known = target, tuple(covariates), tuple(known)
        self.lookback, self.horizon, self.season, self.split = lookback, horizon, season, split
        self.scaler, self.window_norm, self.fill, self.sort = scaler, window_norm, fill, sort
        self.batch_size, self.num_workers = batch_size, num_workers
        self._prepared: Prepared | None = None
        self._windows: dict[Split, Windows] = {}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the source's bytes and of which columns are read how."""
        schema = {"layout": self.layout, "date": self.date, "series": self.series, "target": self.target}
        schema |= {"covariates": self.covariates, "known": self.known}
        return fingerprint(
            find_files(self.path),
            {k: list(v) if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in schema.items()},
        )

    def setup(self) -> None:
        """Read, split, fit and scale.

        Raises:
            RequestError: the source does not hold what the arguments ask for.
        """
        if self._prepared is not None:
            return
        series = read_series(find_files(self.path), self.layout, self.date, self.series, self.sort)
        cuts = cut(series, self.split, self.horizon)
        self._check_room(cuts, series.names, series.where)
        train = training_rows(series.bounds, cuts)
        columns = choose_columns(series, self.target, self.covariates, self.known, train)
        prepared = prepare(series, cuts, columns, self.scaler, self.fill, self.season)
        for split in SPLITS:
            low, high = cuts.span(split)
            ends = window_ends(low, high, cuts.start, self.lookback, self.horizon)
            owner = np.searchsorted(series.bounds, ends, side="right") - 1
            gaps = prepared.has_gaps(low - self.lookback, high)
            self._windows[split] = Windows(
                prepared.rows, ends, owner, prepared.naive_scale[split], self.lookback, self.horizon, gaps
            )
        self._prepared = prepared

    def _check_room(self, cuts: Cuts, names: Sequence[str], where: str) -> None:
        for split in SPLITS:
            low, high = cuts.span(split)
            room = high - np.maximum(low, cuts.start + self.lookback)
            short = np.flatnonzero(room < self.horizon)
            if not len(short):
                continue
            at = int(short[0])
            name = f" of series {names[at]!r}" if names[at] else ""
            raise RequestError(
                f"{where}: the {split} split{name} is too short: it has {high[at] - low[at]} rows"
                + (f", of which data.lookback={self.lookback} are only looked back on" if split == "train" else "")
                + f", and data.horizon={self.horizon} needs {self.horizon} (data.split={self.split})."
                " Lower data.horizon or data.lookback, or give the split more rows."
            )

    @property
    def spec(self) -> Spec:
        """Return sizes, season, scaler and window norm."""
        prepared = self._ready()
        return Spec(
            kind="forecasting",
            output_size=len(prepared.targets),
            input_size=prepared.rows.inputs.shape[1],
            lookback=self.lookback,
            horizon=self.horizon,
            season=prepared.season,
            target_index=tuple(range(len(prepared.targets))),
            future_size=prepared.rows.future_size,
            window_norm=self.window_norm,
            center=prepared.center,
            scale=prepared.scale,
            target_names=prepared.targets,
        )

    def examples(self, split: Split) -> Windows:
        """Return the windows of a split."""
        self._ready()
        return self._windows[split]

    def baselines(self, split: Split) -> Mapping[str, Predictor]:
        """Return naive, drift and, where a season is known and the rows reach back so far, seasonal_naive."""
        prepared, windows = self._ready(), self.examples(split)
        outputs = len(prepared.targets)
        found: dict[str, Predictor] = {"naive": Naive(self.horizon, outputs), "drift": Drift(self.horizon, outputs)}
        if self._no_season(split) is None:
            assert prepared.season is not None
            found["seasonal_naive"] = SeasonalNaive(prepared.rows.targets, windows.ends, prepared.season, self.horizon)
        return found

    def _no_season(self, split: Split) -> str | None:
        prepared, windows = self._ready(), self.examples(split)
        if prepared.season is None:
            return f"{prepared.no_season} Name it with data.season."
        if prepared.season == 1:
            return "A season of 1 makes it the naive forecast."
        short = windows.ends < prepared.bounds[windows.series] + prepared.season
        return (
            f"{int(short.sum())} {split} windows have no row a season ({prepared.season}) back."
            if short.any()
            else None
        )

    def notes(self) -> dict[str, Any]:
        """Return rows, windows, the season, and everything that was filled, put in order or left out."""
        prepared = self._ready()
        left_out = {split: reason for split in SPLITS if (reason := self._no_season(split))}
        return prepared.notes | {
            "windows": {split: len(self._windows[split]) for split in SPLITS},
            "season": prepared.season,
            **({"seasonal_naive_left_out": left_out} if left_out else {}),
        }

    def _ready(self) -> Prepared:
        if self._prepared is None:
            raise RuntimeError("call setup() first")
        return self._prepared
