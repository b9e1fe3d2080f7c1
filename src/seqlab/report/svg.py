"""Figures as inline SVG that takes its colours from the page, so that one drawing reads well on light and on dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from seqlab.compare.wording import number

#: Stand-ins that the drawing uses; each becomes a variable of the page's style sheet.
INK, FAINT = "#0a0b0c", "#0a0b0d"
SERIES = tuple(f"#0a0c{number:02x}" for number in range(8))
_VARIABLES = {INK: "--ink", FAINT: "--faint", **{colour: f"--series-{i}" for i, colour in enumerate(SERIES)}}
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # the second has the first one's widths
    "font.size": 10,
    "grid.alpha": 0.4,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Plot:
    """A drawing for the page.

    Attributes:
        title: what it shows, in a few words.
        alt: the same for who can't see it, with the numbers.
        svg: the drawing.
        caption: what a reader should know; may be empty.
    """

    title: str
    alt: str
    svg: Markup
    caption: str = ""


def series_colour(number: int) -> str:
    """Return the stand-in colour of the ``number``-th series; colours repeat after eight."""
    return SERIES[number % len(SERIES)]


@contextmanager
def drawing(width: float = 4.6, height: float = 3.2) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure with one pair of axes in the page's style; sizes in inches, small enough for a phone."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        yield figure, figure.subplots()


def legend_below(figure: Figure, axes: Axes) -> None:
    """Name the series under the axes, where nothing is drawn."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=4 if longest < 8 else 3 if longest < 13 else 2 if longest < 25 else 1,
    )


def log_axis(axis: Axis, values: Sequence[float]) -> None:
    """Make an axis logarithmic where ``values`` span more than a factor of 20, with plain numbers at its ticks."""
    if min(values) > 0 and max(values) / min(values) > 20:
        scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
        scale("log")
        decades = math.log10(max(values) / min(values))
        axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=8))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value) if value >= 1e-3 else f"{value:g}"))


def inline(figure: Figure, name: str, alt: str) -> Markup:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: made by ``drawing``, still inside its block.
        name: a word that no other drawing on the page has; it keeps their ids apart.
        alt: text for who can't see it.
    """
    with matplotlib.rc_context({"svg.hashsalt": name}):
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\bid=\"", f'id="{name}-', text)
    text = re.sub(r"(xlink:href=\"#|url\(#)", rf"\g<1>{name}-", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var({variable})")
    text = re.sub(r"^<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>", r'<svg viewBox="\1" @>', text, count=1, flags=re.DOTALL)
    # Markup.format escapes the text: names of runs and groups are other people's.
    head = Markup('xmlns:xlink="http://www.w3.org/1999/xlink" role="img" aria-label="{}"').format(alt)
    return Markup(text.replace("@", str(head), 1))


def standalone(plot: Plot) -> str:
    """Return a drawing as the text of an SVG file: the page's light colours on white."""
    css = Path(__file__).with_name("templates").joinpath("style.css").read_text(encoding="utf-8")
    text = str(plot.svg)
    for variable, colour in re.findall(r"(--[\w-]+): (#\w+);", css.partition("@media")[0]):
        text = text.replace(f"var({variable})", colour)
    width, height = re.search(r"viewBox=\"0 0 ([\d.]+) ([\d.]+)\"", text).groups()  # type: ignore[union-attr]
    size = f'width="{float(width) * 1.5:.0f}" height="{float(height) * 1.5:.0f}"'
    return text.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="background: #fff" ', 1)
