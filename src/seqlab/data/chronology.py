"""The chronological split: by share, by row, by date, or as the source says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlab.data._base import Split
from seqlab.data.series import Series
from seqlab.errors import RequestError

Ints = NDArray[np.int64]
EXPECTED = (
    "[0.7, 0.1, 0.2] (shares), [8640, 2880, 2880] (rows), ['2019-01-01', '2020-01-01'] (the first dates of validation"
    " and test), or official"
)


@dataclass(frozen=True)
class Cuts:
    """Where each series is cut: rows [start, val) train, [val, test) validate, [test, stop) test; all (S,)."""

    start: Ints
    val: Ints
    test: Ints
    stop: Ints

    def span(self, split: Split) -> tuple[Ints, Ints]:
        """Return the first target row of a split and the row past its last, per series."""
        return {"train": (self.start, self.val), "val": (self.val, self.test), "test": (self.test, self.stop)}[split]


def cut(series: Series, split: Sequence[float | str] | str, horizon: int) -> Cuts:
    """Cut every series in time.

    Args:
        series: what to cut.
        split: three shares that sum to at most 1; three row counts; the first dates of validation and test, and by
            choice the date past the last; or "official": the source's own test part, and ``horizon`` rows before it
            to validate.
        horizon: K.

    Raises:
        RequestError: none of these, or outside the data.
    """
    bounds = series.bounds
    if split == "official":
        if series.official is None:
            raise RequestError(
                "data.split=official: the source has no test part of its own (a ...train... and a ...test... file)."
            )
        return Cuts(bounds[:-1], series.official - horizon, series.official, bounds[1:])
    if not isinstance(split, str):
        kinds = {type(part) for part in split}
        if kinds == {int} and len(split) == 3:
            return _by_rows(bounds, [int(part) for part in split])
        if kinds <= {int, float} and len(split) == 3:
            return _by_share(bounds, [float(part) for part in split])
        if not kinds & {int, float, bool} and len(split) in (2, 3):
            return _by_date(series, [str(part) for part in split])
    raise RequestError(f"data.split={split!r} is not a split; expected {EXPECTED}.")


def _by_rows(bounds: Ints, counts: Sequence[int]) -> Cuts:
    sizes = np.diff(bounds)
    if min(counts) < 1 or sum(counts) > sizes.min():
        raise RequestError(
            f"data.split={list(counts)} asks for {sum(counts)} rows, each part at least 1; there are {sizes.min()}."
        )
    val, test, stop = np.cumsum(counts)
    start = bounds[:-1]
    return Cuts(start, start + val, start + test, start + stop)


def _by_share(bounds: Ints, shares: Sequence[float]) -> Cuts:
    if min(shares) <= 0 or sum(shares) > 1 + 1e-9:
        raise RequestError(f"data.split={list(shares)}: three shares above 0 that sum to at most 1 are expected.")
    sizes, start = np.diff(bounds), bounds[:-1]
    # 0.7 + 0.1 is a rounding error below 0.8: without the small addition 1,000 rows would be cut at 799.
    val, test, stop = (np.floor(sizes * total + 1e-6).astype(np.int64) for total in np.cumsum(shares))
    return Cuts(start, start + val, start + test, start + stop)


def _by_date(series: Series, texts: Sequence[str]) -> Cuts:
    if series.dates is None:
        raise RequestError(f"data.split={list(texts)} names dates, and the source has none; expected {EXPECTED}.")
    try:
        cuts = [pd.Timestamp(text).to_datetime64().astype("datetime64[us]") for text in texts]
    except ValueError as error:
        raise RequestError(f"data.split={list(texts)}: {error}; expected {EXPECTED}.") from error
    first, last = series.dates.min(), series.dates.max()
    if not first < cuts[0] < cuts[1] <= last or cuts != sorted(cuts):
        raise RequestError(f"data.split={list(texts)}: rising dates after {first} and up to {last} are expected.")
    spans = [(low, series.dates[low:high]) for low, high in zip(series.bounds[:-1], series.bounds[1:], strict=True)]
    places = np.array([[low + int(np.searchsorted(dates, c)) for c in cuts] for low, dates in spans], dtype=np.int64)
    stop = places[:, 2] if len(cuts) == 3 else series.bounds[1:]
    return Cuts(series.bounds[:-1], places[:, 0], places[:, 1], stop)
