"""From a table to series: one or many, stacked, in the order of their dates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlab.data.calendar import Dates, Step, find_date_columns, read_dates
from seqlab.data.tables import LARGEST, one_file, read_bytes, read_table
from seqlab.errors import RequestError, did_you_mean

Layout = Literal["table", "matrix", "ragged"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


@dataclass(frozen=True)
class Series:
    """The series of a source, stacked.

    Attributes:
        frame: (N rows) the value columns as they were read.
        bounds: (S + 1,) the first row of each series, then N.
        names: the S series' names.
        dates: (N,) rising within each series; None where the source has none.
        where: the file's name, for messages.
        official: (S,) the first row of the official test part; None without one.
        counts: what was put right on request ("sorted_rows", "repeated_dates").
    """

    frame: pd.DataFrame
    bounds: NDArray[np.int64]
    names: tuple[str, ...]
    dates: Dates | None
    where: str
    official: NDArray[np.int64] | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def extended(self, count: int, step: Step | None) -> Series:
        """Return the series with ``count`` rows more at the end of each: dated, and without values."""
        parts, dates = [], []
        for low, high in pairwise(self.bounds):
            parts += [self.frame.iloc[low:high], pd.DataFrame(index=range(count))]
            if self.dates is not None and step is not None:
                dates += [self.dates[low:high], step.after(self.dates[high - 1], count)]
        return Series(
            frame=pd.concat(parts, ignore_index=True)[list(self.frame.columns)],
            bounds=self.bounds + count * np.arange(len(self.bounds)),
            names=self.names,
            dates=np.concatenate(dates) if dates else None,
            where=self.where,
            counts=self.counts,
        )


def read_series(
    files: Sequence[Path],
    layout: Layout,
    date: str | Sequence[str] | None = None,
    series: str | None = None,
    sort: bool = False,
) -> Series:
    """Read a source into series.

    Args:
        files: one file; for "ragged" also a pair named ...train... and ...test....
        layout: "table" (a header, a date column, one row a time), "matrix" (neither header nor dates), or "ragged" (one
            series a row: its name, then its values, rows of any length).
        date: the date column or columns; None finds it by its name.
        series: the column that names the series of a long table; None where the table is one series.
        sort: put dates in order and keep the last row of a repeated date, instead of refusing.

    Raises:
        RequestError: the files do not hold that layout; dates out of order or repeated without ``sort``.
    """
    if layout == "ragged":
        return _read_ragged(files)
    file = one_file(files)
    frame = read_table(file, header=layout == "table")
    if layout == "matrix":
        return Series(frame, np.array([0, len(frame)]), ("",), None, file.name)
    columns = find_date_columns(list(frame.columns), date)
    dates = read_dates(frame, columns, file.name)
    frame = frame.drop(columns=columns)
    if series is None:
        labels = pd.Series("", index=frame.index)
    elif series not in frame.columns:
        raise RequestError(f"data.series: there is no column {series!r}.{did_you_mean(series, frame.columns)}")
    else:
        labels = frame.pop(series)
        if labels.isna().any():
            row = int(np.flatnonzero(labels.isna())[0])
            raise RequestError(f"{file.name}: row {row + 1} has no name of a series (column {series!r}).")
    return _stacked(frame, labels, dates, file.name, sort)


def _stacked(frame: pd.DataFrame, labels: pd.Series[str], dates: Dates, where: str, sort: bool) -> Series:
    codes, names = pd.factorize(labels)
    order = np.lexsort((np.arange(len(codes)), codes))
    counts: dict[str, int] = {}
    if sort:
        by_date = np.lexsort((np.arange(len(codes)), dates, codes))
        counts["sorted_rows"] = int(np.sum(by_date != order))
        order = by_date
        codes_, dates_ = codes[order], dates[order]
        last = np.append((codes_[1:] != codes_[:-1]) | (dates_[1:] != dates_[:-1]), True)
        counts["repeated_dates"] = int(np.sum(~last))
        order = order[last]
    codes, stacked = codes[order], dates[order]
    _refuse_disorder(codes, stacked, order, where)
    bounds = np.searchsorted(codes, np.arange(len(names) + 1))
    return Series(
        frame.iloc[order].reset_index(drop=True), bounds, tuple(map(str, names)), stacked, where, counts=counts
    )


def _refuse_disorder(codes: NDArray[np.int64], dates: Dates, order: NDArray[np.int64], where: str) -> None:
    same = codes[1:] == codes[:-1]
    gaps = (dates[1:] - dates[:-1]).astype(np.int64)
    wrong = np.flatnonzero(same & (gaps <= 0))
    if not len(wrong):
        return
    at = int(wrong[0])
    earlier, date = _text(dates[at]), _text(dates[at + 1])
    happened = f"repeats the date {date}" if gaps[at] == 0 else f"has the date {date} after {earlier}"
    raise RequestError(
        f"{where}: row {int(order[at + 1]) + 1} {happened} ({len(wrong)} such rows). Dates must rise within a series."
        " data.sort=true puts them in order and keeps the last row of a repeated date; data.series=COLUMN tells several"
        " series in one table apart."
    )


def _text(date: np.datetime64) -> str:
    return str(date.astype("datetime64[s]")).replace("T00:00:00", "")


def _read_ragged(files: Sequence[Path]) -> Series:
    train, test = _pair(files)
    names, values = _ragged_rows(train)
    if test is None:
        return _joined(names, values, None, train.name)
    test_names, test_values = _ragged_rows(test)
    if names != test_names:
        differs = next(
            (a for a, b in zip(names, test_names, strict=False) if a != b), f"{len(names)} against {len(test_names)}"
        )
        raise RequestError(
            f"{train.name} and {test.name} must hold the same series in the same order; they differ at {differs}."
        )
    return _joined(names, values, test_values, train.name)


def _pair(files: Sequence[Path]) -> tuple[Path, Path | None]:
    train = [f for f in files if "train" in f.name.lower()]
    test = [f for f in files if "test" in f.name.lower()]
    if len(train) == 1 and len(test) == 1:
        return train[0], test[0]
    return one_file(files), None


def _ragged_rows(file: Path) -> tuple[list[str], list[NDArray[np.float64]]]:
    lines = read_bytes(file).decode("utf-8-sig").splitlines()[1:]
    names, values = [], []
    for number, line in enumerate(lines, 2):
        name, *cells = line.replace('"', "").rstrip(",").split(",")
        try:
            row = np.array([c if c not in ("", "NA") else "nan" for c in cells], dtype=np.float64)
        except ValueError as error:
            raise RequestError(f"{file.name}: line {number} (series {name!r}): {error}.") from error
        if not len(row) or (np.abs(row) > LARGEST).any():
            problem = f"a value beyond {LARGEST:g}" if len(row) else "no value"
            raise RequestError(f"{file.name}: line {number} (series {name!r}) holds {problem}.")
        names.append(name)
        values.append(row)
    if not names:
        raise RequestError(f"{file.name} holds a header and no rows.")
    return names, values


def _joined(
    names: Sequence[str], train: Sequence[NDArray[np.float64]], test: Sequence[NDArray[np.float64]] | None, where: str
) -> Series:
    whole = [np.concatenate(pair) for pair in zip(train, test, strict=True)] if test is not None else list(train)
    bounds = np.concatenate([[0], np.cumsum([len(v) for v in whole])])
    official = bounds[:-1] + np.array([len(v) for v in train]) if test is not None else None
    frame = pd.DataFrame({"value": np.concatenate(whole)})
    return Series(frame, bounds, tuple(names), None, where, official)
