"""Which columns are read, and as what: targets, covariates of the past, covariates known ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        targets: the O names.
        ahead: how many of the C are known ahead.
        left_out: text columns that target=all passed over.
        unknown_categories: cells with a category that no training row has.
    """

    values: NDArray[np.float64]
    calendar: NDArray[np.float64]
    names: tuple[str, ...]
    targets: tuple[str, ...]
    ahead: int
    left_out: tuple[str, ...]
    unknown_categories: int


def choose_columns(
    series: Series,
    target: str | Sequence[str],
    covariates: Sequence[str],
    known: Sequence[str],
    train: NDArray[np.bool_],
) -> Columns:
    """Read the columns that a request names.

    Args:
        series: the source.
        target: a column, a list of them, or "all" that hold numbers and are not named otherwise.
        covariates: input columns known up to the present.
        known: input columns known ahead; names of ``PARTS_OF_DATE`` are computed from the dates.
        train: (N,) bool, the training rows; they decide the categories of a text column.

    Raises:
        RequestError: a column is not there, is named twice, or holds what is not a finite number.
    """
    of_date = [name for name in known if name.startswith("date.")]
    ahead = [name for name in known if name not in of_date]
    targets, left_out = _targets(series, target, {*covariates, *ahead})
    _check_names(series, [*targets, *covariates, *ahead], of_date)
    blocks = {name: _numeric(series, name) for name in targets}
    unknown = 0
    counts = []
    for name in [*covariates, *ahead]:
        if _is_text(series.frame[name]):
            categories, missed = _categories(series.frame[name], name, train)
            blocks |= categories
            unknown += missed
            counts.append(len(categories))
        else:
            blocks[name] = _numeric(series, name)
            counts.append(1)
    return Columns(
        values=np.stack(list(blocks.values()), axis=1),
        calendar=calendar_covariates(series.dates, of_date) if series.dates is not None else np.zeros((len(train), 0)),
        names=tuple(blocks),
        targets=tuple(targets),
        ahead=sum(counts[len(covariates) :]),
        left_out=left_out,
        unknown_categories=unknown,
    )


def _targets(series: Series, target: str | Sequence[str], taken: set[str]) -> tuple[list[str], tuple[str, ...]]:
    if target != "all" or "all" in series.frame.columns:
        names = [target] if isinstance(target, str) else [str(name) for name in target]
        if not names:
            raise RequestError("data.target names no column; expected a column, a list of columns, or all.")
        return names, ()
    free = [name for name in series.frame.columns if name not in taken]
    text = [name for name in free if _is_text(series.frame[name])]
    names = [name for name in free if name not in text]
    if not names:
        raise RequestError(
            f"{series.where} has no column of numbers to forecast; it has {', '.join(free) or 'only dates'}."
        )
    return names, tuple(text)


def _is_text(cells: pd.Series) -> bool:  # type: ignore[type-arg]
    """Tell a column of categories from one of numbers in which some cell is wrong."""
    return (
        not pd.api.types.is_numeric_dtype(cells)
        and bool(pd.to_numeric(cells, errors="coerce").isna().all())
        and bool(cells.notna().any())
    )


def _numeric(series: Series, name: str) -> NDArray[np.float64]:
    return numbers(series.frame, name, series.where)


def _categories(cells: pd.Series, name: str, train: NDArray[np.bool_]) -> tuple[dict[str, NDArray[np.float64]], int]:  # type: ignore[type-arg]
    text = cells.astype(object).to_numpy()
    missing = cells.isna().to_numpy()
    found = sorted({str(c) for c in text[train & ~missing]})
    columns = {
        f"{name}={category}": np.where(missing, np.nan, text == category).astype(np.float64) for category in found
    }
    return columns, int(np.sum(~missing & ~np.isin(text.astype(str), found)))


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
