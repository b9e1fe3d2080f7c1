"""Learning curves: the monitored score of each epoch, mean and band over runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from seqlab.compare import Section
from seqlab.compare.scores import Row
from seqlab.compare.wording import number
from seqlab.report.svg import Plot, drawing, inline, legend_below, log_axis, series_colour
from seqlab.runs import METRICS_FILE, Run

Curve = dict[float, float]
#: Rows whose curves are drawn; more can't be told apart by eye.
MOST = 8


def read_curve(run: Run, column: str) -> Curve:
    """Return ``column`` of a run's metrics.csv by epoch, its last value in each; empty where there is none."""
    file = run.folder / METRICS_FILE
    if not file.is_file():
        return {}
    curve: Curve = {}
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            epoch, value = _float(row.get("epoch")), _float(row.get(column))
            if math.isfinite(epoch) and math.isfinite(value):
                curve[epoch] = value
    return curve


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def curve_plot(section: Section, column: str, title: str, name: str) -> Plot | None:
    """Draw ``column`` of metrics.csv against the epoch for the best rows; None where no run recorded it."""
    drawn = [(place, row, curves) for place, row in enumerate(section.rows[:MOST]) if (curves := _curves(row, column))]
    if not drawn:
        return None
    spoken, lowest, highest = [], math.inf, 0.0
    with drawing() as (figure, axes):
        for place, row, curves in drawn:
            epochs, middle, low, high = _band(curves)
            axes.plot(
                epochs, middle, color=series_colour(place), label=row.label, marker="o" if len(epochs) < 3 else ""
            )
            axes.fill_between(epochs, low, high, color=series_colour(place), alpha=0.18, linewidth=0)
            spoken.append(f"{row.label} from {number(middle[0])} to {number(middle[-1])} after {len(epochs)} epochs")
            lowest, highest = min(lowest, float(low.min())), max(highest, float(high.max()))
        log_axis(axes.yaxis, (lowest, highest))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(column)
        legend_below(figure, axes)
        alt = f"{column} by epoch: {'; '.join(spoken)}."
        svg = inline(figure, name, alt)
    left = len(section.rows) - len(drawn)
    caption = "Mean over runs; the band spans all of them." + (f" {left} rows are not drawn." if left else "")
    return Plot(title, alt, svg, caption)


def _curves(row: Row, column: str) -> list[Curve]:
    return [curve for run in row.group.runs if (curve := read_curve(run, column))]


def _band(curves: Sequence[Curve]) -> tuple[NDArray[np.float64], ...]:
    """Return epochs, mean, lowest and highest over the runs that got as far."""
    epochs = sorted(set().union(*curves))
    values = [[curve[epoch] for curve in curves if epoch in curve] for epoch in epochs]
    summaries = [[float(np.mean(v)) for v in values], [min(v) for v in values], [max(v) for v in values]]
    return (np.array(epochs), *(np.array(s) for s in summaries))
