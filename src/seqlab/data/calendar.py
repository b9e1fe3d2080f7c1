"""Dates: read from columns of many spellings, turned into a step, a season and covariates known ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlab.errors import RequestError, did_you_mean

Dates = NDArray[np.datetime64]

#: Names by which a date column is known when none is given, the likeliest first.
DATE_NAMES = ("date", "datetime", "timestamp", "time", "ds", "month", "week", "day", "quarter", "year")
PARTS = ("year", "month", "day", "hour", "minute", "second")
#: Spellings tried in turn; of two that read every row, the one that puts the dates in order is meant.
SPELLINGS = (
    *("ISO8601", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m", "%Y%m%d", "%Y%m", "%Y"),
    *("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"),
    *("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y", "%m/%Y", "%m.%Y"),
)
DAY = 86400.0


def find_date_columns(columns: Sequence[str], asked: str | Sequence[str] | None) -> list[str]:
    """Return the column, or the columns, that hold the dates.

    Args:
        columns: the table's.
        asked: what ``data.date`` says; None finds the column by its name: year, month, day ... together, or one of
            ``DATE_NAMES``.

    Raises:
        RequestError: none found, or the one asked for is not there.
    """
    if asked is not None:
        names = [asked] if isinstance(asked, str) else list(asked)
        for name in names:
            if name not in columns:
                raise RequestError(f"data.date: there is no column {name!r}.{did_you_mean(name, columns)}")
        return names
    by_name = {c.strip().lower(): c for c in reversed(columns)}
    if {"year", "month"} <= by_name.keys():
        return [by_name[part] for part in PARTS if part in by_name]
    for name in DATE_NAMES:
        if name in by_name:
            return [by_name[name]]
    listed = ", ".join(columns[:12])
    raise RequestError(f"No date column was found among {listed}: name it with data.date=COLUMN.")


def read_dates(frame: pd.DataFrame, columns: Sequence[str], where: str) -> Dates:
    """Return (N,) datetime64[us] from one column, from year/month/day/... columns, or from a date and a time column.

    Raises:
        RequestError: a date that is missing or can't be read; row and column are named.
    """
    cells = frame[list(columns)]
    _refuse_rows(cells, cells.isna().any(axis=1), where)
    if len(columns) > 1 and {c.lower() for c in columns} <= set(PARTS):
        parts = cells.rename(columns=str.lower).assign(
            **{p: 1 for p in ("month", "day") if p not in cells.columns.str.lower()}
        )
        found = pd.to_datetime(parts, errors="coerce")
    elif len(columns) == 1 and pd.api.types.is_datetime64_any_dtype(cells[columns[0]]):
        found = cells[columns[0]]
    elif len(columns) == 1 and (unit := _epoch_unit(cells[columns[0]])):
        found = pd.to_datetime(cells[columns[0]], unit=unit)
    else:
        texts = cells[columns[0]].astype(str)
        for column in columns[1:]:
            texts = texts + " " + cells[column].astype(str)
        found = _spelled(texts.str.strip().str.removesuffix(".0"))
    _refuse_rows(cells, found.isna(), where)
    if found.dt.tz is not None:
        found = found.dt.tz_convert("UTC").dt.tz_localize(None)
    return found.to_numpy().astype("datetime64[us]")


def _epoch_unit(cells: pd.Series[Any]) -> Literal["s", "ms", "us", "ns"] | None:
    """Return the unit in which numbers count from 1970; None where they are not so large, as in 20200131."""
    if not pd.api.types.is_numeric_dtype(cells) or cells.min() < 1e8:
        return None
    largest = cells.max()
    return "s" if largest < 1e11 else "ms" if largest < 1e14 else "us" if largest < 1e17 else "ns"


def _refuse_rows(cells: pd.DataFrame, bad: pd.Series[bool], where: str) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    shown = " ".join("" if pd.isna(cell) else str(cell) for cell in cells.iloc[row]).strip()
    raise RequestError(
        f"{where}: the date {shown!r} in row {row + 1}, column {' + '.join(cells.columns)}, can't be read"
        f" ({int(bad.sum())} such rows). Expected one spelling in every row, best YYYY-MM-DD or YYYY-MM-DD HH:MM:SS."
    )


def _spelled(texts: pd.Series[str]) -> pd.Series[Any]:
    """Return the reading that misses the fewest rows; of equals, one in order."""
    best: tuple[float, pd.Series[Any]] | None = None
    head = texts.iloc[:1]
    for spelling in SPELLINGS:
        if best is not None and pd.to_datetime(head, format=spelling, errors="coerce", utc=True).isna().all():
            continue
        found = pd.to_datetime(texts, format=spelling, errors="coerce", utc=True)
        missed = float(found.isna().sum()) + 0.5 * (not found.is_monotonic_increasing)
        if best is None or missed < best[0]:
            best = (missed, found)
        if missed == 0:
            break
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class Step:
    """The usual distance between rows.

    Attributes:
        days: its median length.
        months: whole months in it; 0 where it is not counted in months.
        month_end: whether dates are counted from the end of their month.
        business: whether Saturdays and Sundays are left out.
        irregular: how many distances differ from it.
        season: steps in the season that such data usually has; None where none is usual.
    """

    days: float
    months: int
    month_end: bool
    business: bool
    irregular: int
    season: int | None

    @classmethod
    def of(cls, dates: Dates) -> Step:
        """Infer from (N,) rising dates; N of at least 2."""
        gaps = _days(np.diff(dates))
        days = float(np.median(gaps))
        month = dates.astype("datetime64[M]")
        same_start = bool(np.all(dates - month == dates[0] - month[0]))
        same_end = bool(np.all(month + 1 - dates == month[0] + 1 - dates[0]))
        months = int(np.median(np.diff(month.astype(np.int64)))) if days >= 28 and (same_start or same_end) else 0
        # Only weekdays: about one distance in five spans a week-end.
        business = days == 1 and bool(np.mean(gaps == 3) > 0.15)
        season = 5 if business else _season(days)
        step = cls(days, months, same_end and not same_start, business, 0, season)
        return replace(step, irregular=int(np.sum(uneven(step.count(dates)))))

    def count(self, dates: Dates) -> NDArray[np.float64]:
        """Return (N,) time stamps in steps, the first row 0: whole numbers where rows are evenly spaced."""
        if self.months:
            months = dates.astype("datetime64[M]").astype(np.float64)
            return np.asarray((months - months[0]) / self.months)
        if self.business:
            days = dates.astype("datetime64[D]")
            return np.busday_count(days[0], days).astype(np.float64)
        return _days(dates - dates[0]) / self.days

    def after(self, date: np.datetime64, count: int) -> Dates:
        """Return the (count,) dates of the steps after ``date``."""
        places = np.arange(1, count + 1)
        if self.months:
            month = date.astype("datetime64[M]")
            months = month + places * self.months
            later = (months + 1) - (month + 1 - date) if self.month_end else months + (date - month)
            return np.asarray(later, dtype="datetime64[us]")
        if self.business:
            day = date.astype("datetime64[D]")
            return np.asarray(np.busday_offset(day, places, roll="backward") + (date - day), dtype="datetime64[us]")
        return date + np.round(places * self.days * DAY * 1e6).astype("timedelta64[us]")


def uneven(time: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N - 1,) bool, true where a row is not one step after the one before."""
    return np.abs(np.diff(time) - 1) > 1e-6


def _days(spans: NDArray[np.timedelta64]) -> NDArray[np.float64]:
    days: NDArray[np.float64] = spans / np.timedelta64(1, "us") / (DAY * 1e6)
    return days


def _season(days: float) -> int | None:
    for low, high, season in ((88, 93, 4), (28, 31.5, 12), (6.5, 7.5, 52), (0.99, 1.01, 7)):
        if low <= days <= high:
            return season
    a_day = 1 / days
    whole = abs(a_day - round(a_day)) < 1e-6 * a_day
    return round(a_day) if whole and 1 < a_day <= 1440 else None


def _cycle(part: Callable[[pd.DatetimeIndex], Any], period: float) -> Callable[[pd.DatetimeIndex], NDArray[np.float64]]:
    def pair(dates: pd.DatetimeIndex) -> NDArray[np.float64]:
        angle = 2 * np.pi * np.asarray(part(dates), dtype=np.float64) / period
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)

    return pair


#: Covariates that a date gives, each a (N, 2) sine and cosine of its place in the cycle.
PARTS_OF_DATE: dict[str, Callable[[pd.DatetimeIndex], NDArray[np.float64]]] = {
    "date.minute": _cycle(lambda d: d.minute, 60),
    "date.hour": _cycle(lambda d: d.hour + d.minute / 60, 24),
    "date.weekday": _cycle(lambda d: d.day_of_week, 7),
    "date.day": _cycle(lambda d: d.day - 1, 31),
    "date.yearday": _cycle(lambda d: d.day_of_year - 1, 365.25),
    "date.month": _cycle(lambda d: d.month - 1, 12),
    "date.quarter": _cycle(lambda d: d.quarter - 1, 4),
}


def calendar_covariates(dates: Dates, names: Sequence[str]) -> NDArray[np.float64]:
    """Return (N, 2 * len(names)) covariates of ``dates``, known as far ahead as one likes."""
    index = pd.DatetimeIndex(dates)
    return np.concatenate([np.zeros((len(dates), 0)), *(PARTS_OF_DATE[n](index) for n in names)], axis=1)
