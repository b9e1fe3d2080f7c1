"""Gradient flow: how much of the loss's gradient reaches each step back in time, and how far the gates are open.

``gradient_flow.json`` holds ``epochs`` (e numbers), ``layers`` (l names), ``gradient_norm`` (e, l, T), the norm of
dL/dh_t, ``memory_norm`` of the same shape with null for a layer without a memory, and ``gates`` (e, l), gate to
[closed, open] shares. A number that was not finite is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator
from numpy.typing import NDArray

from seqlab.compare import Section
from seqlab.compare.scores import Row
from seqlab.compare.wording import number
from seqlab.errors import RunError
from seqlab.report.curves import MOST
from seqlab.report.svg import Plot, drawing, inline, legend_below, log_axis, series_colour
from seqlab.runs.record import FLOW_FILE
from seqlab.table import Table

#: The lowest share that has room on the axis; what is less leaves it.
LEAST = 1e-40
Norms = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """The gradient flow of a row's last layer (of two directions the forward one).

    Attributes:
        label: the row's.
        place: of the row in its table, which decides its colour.
        epochs: e numbers, 0 the untrained model.
        hidden: (e, T) norms of dL/dh_t; NaN where they were not finite.
        memory: (e, T) norms of dL/dc_t; None without a memory.
        gates: e mappings of gate to its closed and open share.
    """

    label: str
    place: int
    epochs: list[int]
    hidden: Norms
    memory: Norms | None
    gates: list[dict[str, list[float | None]]]


def read_flows(section: Section) -> list[Flow]:
    """Return the first recorded gradient flow of each of the best rows that has one.

    Raises:
        RunError: a file is not what it should be.
    """
    return [flow for place, row in enumerate(section.rows[:MOST]) if (flow := _read(row, place)) is not None]


def _read(row: Row, place: int) -> Flow | None:
    for run in row.group.runs:
        file = run.folder / FLOW_FILE
        if not file.is_file():
            continue
        try:
            return _flow(json.loads(file.read_text(encoding="utf-8")), row.label, place)
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            raise RunError(f"{file} is corrupt ({error}). Delete it to report without it.") from error
    return None


def _flow(table: dict[str, Any], label: str, place: int) -> Flow:
    epochs, layers = table["epochs"], table["layers"]
    norms = np.array(table["gradient_norm"], dtype=np.float64)
    if norms.ndim != 3 or norms.shape[:2] != (len(epochs), len(layers)):
        raise ValueError(f"gradient_norm has the shape {norms.shape}")
    last = max(number for number, name in enumerate(layers) if "backward" not in name)
    memory = [layer[last] for layer in table["memory_norm"]]
    return Flow(
        label,
        place,
        epochs,
        norms[:, last],
        None if memory[0] is None else np.array(memory, dtype=np.float64),
        [layer[last] for layer in table["gates"]],
    )


def gradient_plots(flows: Sequence[Flow], name: str) -> list[Plot]:
    """Draw, before and after training, each row's gradient norm by the number of steps back from the last."""
    if not flows:
        return []
    plots = [_plot(flows, 0, f"{name}-first")]
    if any(len(flow.epochs) > 1 for flow in flows):
        plots.append(_plot(flows, -1, f"{name}-last"))
    return plots


def _plot(flows: Sequence[Flow], which: int, name: str) -> Plot:
    epochs = {flow.epochs[which] for flow in flows}
    title = "Gradient flow before training" if epochs == {0} else f"Gradient flow {_after(epochs)}"
    spoken, seen = [], [1.0]
    with drawing() as (figure, axes):
        for flow in flows:
            label = flow.label if len(epochs) == 1 else f"{flow.label}, epoch {flow.epochs[which]}"
            share = _draw(axes, flow.hidden[which], "-", label, flow.place, seen)
            spoken.append(f"{label}: {number(share)} of the last step's norm reaches the first")
            if flow.memory is not None:
                share = _draw(axes, flow.memory[which], "--", f"{label}, c", flow.place, seen)
                spoken[-1] += f" (of c's {number(share)})"
        _share_axis(axes, max(min(seen), LEAST), max(seen))
        axes.set_xlabel("steps back in time")
        axes.set_ylabel("share of the last norm")
        legend_below(figure, axes)
        alt = f"{title}, norm of dL/dh by time step. {'; '.join(spoken)}."
        svg = inline(figure, name, alt)
    caption = "Norm of dL/dh in the last layer, of one run each; a line that falls fast forgets."
    left = f" What is below {LEAST:g} has left the axis." if min(seen) < LEAST else ""
    return Plot(title, alt, svg, caption + left)


def _after(epochs: set[int]) -> str:
    return f"after {next(iter(epochs))} epochs" if len(epochs) == 1 else "after training"


def _draw(axes: Axes, norms: Norms, style: str, label: str, place: int, seen: list[float]) -> float:
    """Draw norms (T,) over the last one, note what there is to see, and return what reaches the first step."""
    share = norms / norms[-1] if norms[-1] > 0 else norms
    visible = np.where(share > 0, share, np.nan)  # zero has no place on a logarithmic axis
    axes.plot(np.arange(len(share))[::-1], visible, style, color=series_colour(place), label=label)
    seen += visible[np.isfinite(visible)].tolist()
    return float(share[0])


def _share_axis(axes: Axes, low: float, high: float) -> None:
    """Make the axis of shares logarithmic where they span more than a factor of 20, with 1 among its few ticks."""
    log_axis(axes.yaxis, (low, high))
    if axes.get_yscale() != "log":
        return
    axes.set_ylim(max(low / 3, LEAST), high * 3)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    apart = math.ceil(len(decades) / 8)
    shown = [k for k in decades if k % apart == 0]
    axes.yaxis.set_major_locator(FixedLocator([10.0**k for k in shown]))
    axes.yaxis.set_major_formatter(FixedFormatter(["1" if k == 0 else f"1e{k}" for k in shown]))


def gate_table(flows: Sequence[Flow]) -> Table | None:
    """Return how much of each gate is closed and open before and after training; None where no row has gates."""
    rows = [
        [flow.label, gate, *map(_share, [*flow.gates[0][gate], *flow.gates[-1][gate]])]
        for flow in flows
        for gate in flow.gates[0]
    ]
    if not rows:
        return None
    first, last = (_epoch([flow.epochs[which] for flow in flows]) for which in (0, -1))
    columns = ["", "gate", f"closed, {first}", f"open, {first}", f"closed, {last}", f"open, {last}"]
    title = "Gates: shares of their values below 0.1 (closed) and above 0.9 (open)"
    return Table(title, columns, rows)


def _epoch(numbers: Sequence[int]) -> str:
    return f"epoch {numbers[0]}" if len(set(numbers)) == 1 else f"epochs {min(numbers)} to {max(numbers)}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
