"""Which columns are read, and as what: targets, covariates of the past, covariates known ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlab.data.calendar import PARTS_OF_DATE, calendar_covariates
from seqlab.data.series import Series
from seqlab.data.tables import numbers
from seqlab.errors import RequestError, did_you_mean


@dataclass(frozen=True)
class Columns:
    """The columns that were asked for, in the order of a window's features.

    Attributes:
        values: (N, C) of the table, NaN where missing: targets, then covariates, then those known ahead.
        calendar: (N, D) parts of the date, known ahead and never missing.
        names: the C names; a category is "column=category".
        indicator: (C,) bool, columns of 0 and 1, which are not scaled.
        targets: the O names.
        ahead: how many of the C are known ahead.
        left_out: text columns that target=all passed over.
        unknown_categories: cells with a category that no training row has.
    """

    values: NDArray[np.float64]
    calendar: NDArray[np.float64]
    names: tuple[str, ...]
    indicator: NDArray[np.bool_]
    targets: tuple[str, ...]
    ahead: int
    left_out: tuple[str, ...]
    unknown_categories: int


def choose_columns(
    series: Series,
    target: str | Sequence[str],
    covariates: str | Sequence[str],
    known: Sequence[str],
    train: NDArray[np.bool_],
    fitted: Sequence[str] | None = None,
) -> Columns:
    """Read the columns that a request names.

    Args:
        series: the source.
        target: a column, a list of them, or "all" that hold numbers and are not named otherwise.
        covariates: input columns known up to the present; or "all" that hold numbers and are not named otherwise.
        known: input columns known ahead; names of ``PARTS_OF_DATE`` are computed from the dates.
        train: (N,) bool, the training rows; they decide the categories of a text column.
        fitted: the names of the columns of an earlier choice, whose categories hold instead; None without one.

    Raises:
        RequestError: a column is not there, is named twice, or holds what is not a finite number.
    """
    of_date = [name for name in known if name.startswith("date.")]
    ahead = [name for name in known if name not in of_date]
    named = [covariates] if isinstance(covariates, str) else list(covariates)
    targets, left_out = _targets(series, target, {*named, *ahead})
    if covariates == "all":
        named = _of_numbers(series, {*targets, *ahead})
    _check_names(series, [*targets, *named, *ahead], of_date)
    blocks = {name: numbers(series.frame, name, series.where) for name in targets}
    indicators: set[str] = set()
    widths, unknown = [], 0
    for name in [*named, *ahead]:
        cells = series.frame[name]
        if _is_text(cells):
            names = _categories(cells, name, train) if fitted is None else fitted
            categories, missed = _indicators(cells, name, [n for n in names if n.startswith(f"{name}=")])
            blocks |= categories
            indicators |= categories.keys()
            widths.append(len(categories))
            unknown += missed
        else:
            blocks[name] = numbers(series.frame, name, series.where)
            widths.append(1)
    return Columns(
        values=np.stack(list(blocks.values()), axis=1),
        calendar=calendar_covariates(series.dates, of_date) if series.dates is not None else np.zeros((len(train), 0)),
        names=tuple(blocks),
        indicator=np.array([name in indicators for name in blocks]),
        targets=tuple(targets),
        ahead=sum(widths[len(named) :]),
        left_out=left_out,
        unknown_categories=unknown,
    )


def _targets(series: Series, target: str | Sequence[str], taken: set[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the targets, and of the columns that "all" passes over."""
    if target != "all" or "all" in series.frame.columns:
        names = [target] if isinstance(target, str) else [str(name) for name in target]
        if not names:
            raise RequestError("data.target names no column; expected a column, a list of columns, or all.")
        return names, ()
    free = [name for name in series.frame.columns if name not in taken]
    names = _of_numbers(series, taken)
    if not names:
        listed = ", ".join(free) or "only dates"
        raise RequestError(f"{series.where} has no column of numbers to forecast; it has {listed}.")
    return names, tuple(name for name in free if name not in names)


def _of_numbers(series: Series, taken: set[str]) -> list[str]:
    return [name for name in series.frame.columns if name not in taken and not _is_text(series.frame[name])]


def _is_text(cells: pd.Series[Any]) -> bool:
    """Tell a column of categories (or further dates) from one of numbers in which some cell is wrong."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return True
    if pd.api.types.is_numeric_dtype(cells) or cells.isna().all():
        return False
    return bool(pd.to_numeric(cells, errors="coerce").isna().all())


def _categories(cells: pd.Series[Any], name: str, train: NDArray[np.bool_]) -> list[str]:
    return [f"{name}={category}" for category in sorted(cells[train].dropna().astype(str).unique())]


def _indicators(cells: pd.Series[Any], name: str, columns: Sequence[str]) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Return a column of 0 and 1 a category, NaN where the cell is blank, and the cells of no known category."""
    blank = cells.isna().to_numpy()
    text = cells.astype(object).map(lambda cell: f"{name}={cell}").to_numpy()
    found = {column: np.where(blank, np.nan, text == column).astype(np.float64) for column in columns}
    return found, int(np.sum(~blank & ~np.isin(text.astype(str), list(columns))))


def _check_names(series: Series, names: Sequence[str], of_date: Sequence[str]) -> None:
    there = list(series.frame.columns)
    for name in names:
        if name not in there:
            raise RequestError(f"{series.where} has no column {name!r}.{did_you_mean(name, there)}")
        if list(names).count(name) > 1:
            raise RequestError(f"Column {name!r} is named twice among data.target, data.covariates and data.known.")
    for name in of_date:
        if name not in PARTS_OF_DATE:
            raise RequestError(f"data.known: {name!r} is no part of a date.{did_you_mean(name, PARTS_OF_DATE)}")
    if of_date and series.dates is None:
        raise RequestError(f"data.known={list(of_date)} needs dates, and {series.where} has none.")
