"""What the models put out on the test split: forecasts against truth, and confusion matrices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from seqlab.compare import Section
from seqlab.compare.examples import Saved, saved
from seqlab.compare.scores import Row
from seqlab.compare.wording import number, percent
from seqlab.errors import RunError
from seqlab.report.svg import INK, Plot, drawing, inline, legend_below, series_colour
from seqlab.runs import Run

#: Rows whose forecasts are drawn over the truth.
FORECASTS = 3
#: Steps of the test split that are drawn.
STEPS = 120
SCALER_FILE = "scaler.json"
#: Classes up to which each cell carries its count.
COUNTED = 10


def forecast_plot(section: Section, name: str) -> Plot | None:
    """Draw the last test windows, side by side, with the best rows' forecasts; None without real-valued targets."""
    rows = [row for row in section.rows if row.finite][:FORECASTS]
    found = [(row, own) for row in rows if (own := saved(row.group.runs[0])) is not None and _is_forecast(own)]
    if not found:
        return None
    first = found[0][1]
    windows, horizon, units = _windows(first.target), first.target.shape[1], _units(first.run)
    truth, times = units.original(_joined(first.target, windows)), _times(first, windows)
    spoken = []
    with drawing(4.6, 3.0) as (figure, axes):
        axes.plot(times, truth, color=INK, linewidth=1.2, label="truth")
        for place, (row, own) in enumerate(found):
            line = units.original(_joined(_middle(own), windows))
            axes.plot(times, line, color=series_colour(place), linewidth=1.3, label=f"{row.label}, {_seed(row)}")
            spoken.append(f"{row.label} misses by {number(float(np.nanmean(np.abs(line - truth))))} on average")
        if np.issubdtype(times.dtype, np.datetime64):
            locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        else:
            axes.set_xlabel("steps of the last test windows")
        axes.set_ylabel(units.label)
        legend_below(figure, axes)
        alt = f"Forecasts of {horizon} steps against the truth on {section.name}: {'; '.join(spoken)}."
        svg = inline(figure, name, alt)
    return Plot("Forecasts against the truth", alt, svg, f"Windows of {horizon} steps, one after the other.")


@dataclass(frozen=True)
class _Units:
    """What a value of the first target is measured in, and how scaled ones become such."""

    label: str
    center: float = 0.0
    scale: float = 1.0

    def original(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        return scaled * self.scale + self.center


def _units(run: Run) -> _Units:
    """Return the units of a run's data, by the scaler that it keeps; scaled ones where each series has its own.

    Raises:
        RunError: the file is not what it should be.
    """
    names = run.record.get("target_names") or ["first target"]
    file = run.folder / SCALER_FILE
    if not file.is_file():
        return _Units(str(names[0]))
    try:
        scalers = json.loads(file.read_text(encoding="utf-8"))["scalers"]
        if len(scalers) != 1:
            return _Units(f"{names[0]}, scaled by series")
        return _Units(str(names[0]), float(scalers[0]["center"][0]), float(scalers[0]["scale"][0]))
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise RunError(f"{file} is corrupt ({error!r}). Delete it to report in scaled units.") from error


def _times(own: Saved, windows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the date of each step that is drawn, where the run's notes tell the dates of its test split; else a count.

    The first window forecasts the first row of the split, and each further one starts a row later.
    """
    horizon, notes = own.target.shape[1], own.run.record.get("data_notes") or {}
    steps = len(windows) * horizon
    whole = notes.get("windows", {}).get("test") if isinstance(notes.get("windows"), dict) else None
    dates = notes.get("test_dates")
    if not dates or not whole or notes.get("irregular_steps"):
        return np.arange(steps)
    rows = (own.index[windows][:, None] + np.arange(horizon)).reshape(-1)
    start, end = np.array(dates, dtype="datetime64[s]")
    seconds = (end - start).astype(np.int64) / max(1, whole + horizon - 2)
    return np.asarray(start + (rows * seconds).astype("timedelta64[s]"))


def _is_forecast(own: Saved) -> bool:
    floats = np.issubdtype(own.target.dtype, np.floating)
    return bool(floats and own.target.ndim == 3 and own.prediction.ndim >= 3 and len(own.target))


def _middle(own: Saved) -> NDArray[Any]:
    """Return point forecasts (e, K, O); of quantiles the one in the middle."""
    if own.prediction.ndim == own.target.ndim:
        return own.prediction
    return np.asarray(own.prediction[..., own.prediction.shape[-1] // 2])


def _windows(target: NDArray[Any]) -> NDArray[np.int64]:
    """Return the numbers of the last windows that do not overlap, oldest first."""
    count, horizon = len(target), target.shape[1]
    wanted = max(1, STEPS // horizon)
    return np.arange(count - 1, -1, -horizon)[:wanted][::-1].astype(np.int64)


def _joined(values: NDArray[Any], windows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(values[windows, :, 0].reshape(-1), dtype=np.float64)


def _seed(row: Row) -> str:
    return f"seed {row.group.runs[0].seed}"


def confusion_plot(section: Section, name: str) -> Plot | None:
    """Draw the best row's confusion matrix over the test split, summed over its runs; None where none was recorded."""
    row = next((row for row in section.rows if row.finite), None)
    matrices = [m for run in row.group.runs if (m := (run.record.get("confusion") or {}).get("test"))] if row else []
    if row is None or not matrices or len({len(m) for m in matrices}) > 1:
        return None
    counts = np.sum(np.array(matrices, dtype=np.int64), axis=0)
    names = _class_names(row, len(counts))
    recall = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    spoken = "; ".join(f"{label} {percent(recall[i, i])}" for i, label in list(enumerate(names))[:COUNTED])
    alt = f"Confusion matrix of {row.label} on {section.name}, share of each class that is found: {spoken}."
    with drawing(4.6, 4.2) as (figure, axes):
        for i, j in np.argwhere(counts):
            axes.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, color=series_colour(0), alpha=0.85 * recall[i, j], linewidth=0)
            )
            if len(counts) <= COUNTED:
                axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=8)
        axes.set_xlim(-0.5, len(counts) - 0.5)
        axes.set_ylim(len(counts) - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.grid(visible=False)
        _label_classes(axes, names)
        svg = inline(figure, name, alt)
    caption = f"{row.label}, {len(matrices)} runs together; the shade is the share of the true class."
    return Plot("Confusion matrix", alt, svg, caption)


def _class_names(row: Row, count: int) -> list[str]:
    """Return the classes' names: as recorded, or from the recalls, which are recorded by class; else numbers."""
    run = row.group.runs[0]
    recalls = [key.removeprefix("test/recall_") for key in run.metrics if key.startswith("test/recall_")]
    for names in (run.record.get("class_names") or [], recalls):
        if len(names) == count:
            return [str(name) for name in names]
    return [str(number) for number in range(count)]


def _label_classes(axes: Any, names: Sequence[str]) -> None:
    every = -(-len(names) // 25)
    places = range(0, len(names), every)
    axes.set_xticks(places, [names[i] for i in places], rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(places, [names[i] for i in places])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
