"""The drawings of a comparison: scores with intervals, scores against costs, ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from seqlab.compare import Comparison, Section
from seqlab.compare.ranks import Ranks
from seqlab.compare.scores import Row
from seqlab.compare.wording import decimals, fixed, listed, number, percent, word
from seqlab.report.svg import FAINT, INK, Plot, drawing, inline, log_axis, series_colour

#: What a score may be drawn against: cost, axis label, whether its axis may be logarithmic.
COST_AXES = (("seconds", "seconds of a whole run"), ("parameters", "trainable parameters"))


def score_plot(section: Section, comparison: Comparison, name: str) -> Plot:
    """Draw each row's mean and interval, one dot a run, and the trivial predictors as lines."""
    rows, digits = [row for row in section.rows if row.finite], decimals(section)
    alt = f"{section.metric.name} on {section.name}: " + "; ".join(_spoken(row, digits) for row in rows) + "."
    with drawing(4.6, 0.9 + 0.34 * max(len(rows), 3)) as (figure, axes):
        for place, row in enumerate(rows):
            _draw_row(axes, place, row)
        beyond = _draw_trivial(axes, rows, section.baselines)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.7)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{section.metric.name} ({'higher' if section.metric.higher_is_better else 'lower'} is better)")
        svg = inline(figure, name, alt)
    caption = f"Mean and {percent(comparison.level)} interval; one dot a run."
    if beyond:
        caption += (
            f" Beyond the axis: {listed([f'{word(n)} ({fixed(section.baselines[n], digits)})' for n in beyond])}."
        )
    return Plot("Scores", alt, svg, caption)


def _spoken(row: Row, digits: int) -> str:
    e = row.estimate
    interval = "" if math.isnan(e.low) else f" ({fixed(e.low, digits)} to {fixed(e.high, digits)})"
    return f"{row.label} {fixed(e.mean, digits)}{interval}"


def _draw_row(axes: Axes, place: int, row: Row) -> None:
    colour, e = series_colour(place), row.estimate
    beneath = np.full(len(row.scores), place + 0.26)  # where the interval does not cover them
    axes.plot(row.scores, beneath, "o", color=colour, alpha=0.6, markersize=4, markeredgewidth=0)
    if not math.isnan(e.low):
        axes.plot([e.low, e.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([e.mean], [place], "D", color=colour, markersize=6)


def _draw_trivial(axes: Axes, rows: Sequence[Row], trivial: dict[str, float]) -> list[str]:
    """Draw the predictors that lie near the rows' scores; return the names of the others."""
    low, high = axes.get_xlim()
    reach = high - low
    near = {name: score for name, score in trivial.items() if low - reach <= score <= high + reach}
    for score in near.values():
        axes.axvline(score, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    low, high = axes.get_xlim()
    for names in _neighbours(near, 0.04 * (high - low)):
        score = near[names[0]]
        right = score > (low + high) / 2
        axes.annotate(
            ", ".join(map(word, names)),
            (score, 1),
            xytext=(-2 if right else 2, -1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            va="bottom",
            ha="right" if right else "left",
        )
    return [name for name, score in trivial.items() if name not in near and math.isfinite(score)]


def _neighbours(scores: dict[str, float], apart: float) -> list[list[str]]:
    """Return the names in groups whose labels would meet, by score."""
    groups: list[list[str]] = []
    for name in sorted(scores, key=lambda name: scores[name]):
        if groups and scores[name] - scores[groups[-1][0]] < apart:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def cost_plots(section: Section, name: str) -> list[Plot]:
    """Draw the mean score against seconds and against parameters, where the rows differ in them."""
    rows = [row for row in section.rows if row.finite]
    plots = []
    for cost, label in COST_AXES:
        known = [(row, cost_of) for row in rows if (cost_of := row.costs[cost]) is not None]
        if len({round(x, 9) for _, x in known}) > 1:
            plots.append(_cost_plot(section, known, cost, label, f"{name}-{cost}"))
    return plots


def _cost_plot(section: Section, known: list[tuple[Row, float]], cost: str, label: str, name: str) -> Plot:
    digits = decimals(section)
    spoken = "; ".join(f"{row.label} {fixed(row.estimate.mean, digits)} at {number(x, 4)}" for row, x in known)
    alt = f"{section.metric.name} on {section.name} against {label}: {spoken}."
    with drawing() as (figure, axes):
        for place, (row, x) in enumerate(known):
            e = row.estimate
            if not math.isnan(e.low):
                axes.plot([x, x], [e.low, e.high], color=series_colour(place), linewidth=1.6)
            axes.plot([x], [e.mean], "D", color=series_colour(place), markersize=6)
            aside = (7, 5 if place % 2 else -5)  # neighbours in rank often lie close together
            axes.annotate(row.label, (x, e.mean), aside, textcoords="offset points", va="center", fontsize=9)
        log_axis(axes.xaxis, [x for _, x in known])
        axes.set_xlabel(label)
        axes.set_ylabel(section.metric.name)
        axes.margins(x=0.18)
        svg = inline(figure, name, alt)
    return Plot(f"Score against {cost}", alt, svg)


def rank_plot(ranks: Ranks) -> Plot:
    """Draw the critical-difference diagram: average ranks, and a bar over those that are not told apart."""
    spoken = ", ".join(f"{label} {rank:.2f}" for label, rank in zip(ranks.labels, ranks.ranks, strict=True))
    difference, count = ranks.critical_difference, len(ranks.labels)
    alt = f"Average ranks over {len(ranks.data_sets)} data sets: {spoken}. Critical difference {difference:.2f}."
    with drawing(4.6, 1.1 + 0.3 * count + 0.12 * len(ranks.cliques)) as (figure, axes):
        for place, (label, rank) in enumerate(zip(ranks.labels, ranks.ranks, strict=True)):
            axes.plot([rank], [place], "D", color=series_colour(place), markersize=6)
            axes.annotate(
                f"{label}  {rank:.2f}", (rank, place), (8, 0), textcoords="offset points", va="center", fontsize=9
            )
        for level, (first, last) in enumerate(ranks.cliques):
            y = count - 0.3 + 0.4 * level
            axes.plot([ranks.ranks[first], ranks.ranks[last]], [y, y], color=INK, linewidth=3, solid_capstyle="butt")
        axes.plot([1, 1 + difference], [-0.9, -0.9], color=FAINT, linewidth=2)
        axes.annotate("critical difference", (1, -0.9), (0, 3), textcoords="offset points", va="bottom", fontsize=8)
        axes.set_ylim(count + 0.4 * len(ranks.cliques), -1.6)
        axes.set_xlim(0.8, max(count, 1 + difference) + 0.9)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("average rank (1 is best)")
        svg = inline(figure, "ranks", alt)
    return Plot("Ranks", alt, svg, "Rows joined by a thick bar are not told apart (Nemenyi).")
