"""Gradient flow: how much of the loss's gradient reaches each step back in time, from ``gradient_flow.json``.

The file holds ``epochs`` (e numbers), ``layers`` (l names) and ``gradient_norm`` (e, l, T): the norm of dL/dh_t.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.compare import Section
from seqlab.compare.scores import Row
from seqlab.compare.wording import number
from seqlab.errors import RunError
from seqlab.report.curves import MOST
from seqlab.report.svg import Plot, drawing, inline, legend_below, log_axis, series_colour

FLOW_FILE = "gradient_flow.json"


def read_flow(row: Row) -> dict[str, Any] | None:
    """Return the first recorded gradient flow of a row's runs; None without one.

    Raises:
        RunError: the file is not what it should be.
    """
    for run in row.group.runs:
        file = run.folder / FLOW_FILE
        if not file.is_file():
            continue
        try:
            flow = json.loads(file.read_text(encoding="utf-8"))
            norms = np.array(flow["gradient_norm"], dtype=np.float64)
            if norms.ndim != 3 or norms.shape[:2] != (len(flow["epochs"]), len(flow["layers"])):
                raise ValueError(f"gradient_norm has the shape {norms.shape}")
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise RunError(f"{file} is corrupt ({error}). Delete it to report without it.") from error
        return {"epochs": flow["epochs"], "layers": flow["layers"], "norms": norms}
    return None


def gradient_plots(section: Section, name: str) -> list[Plot]:
    """Draw, before and after training, each row's gradient norm of the last layer by distance from the end."""
    flows = [(place, row, flow) for place, row in enumerate(section.rows[:MOST]) if (flow := read_flow(row))]
    if not flows:
        return []
    plots = [_flow_plot(flows, 0, f"{name}-first")]
    if any(len(flow["epochs"]) > 1 for _, _, flow in flows):
        plots.append(_flow_plot(flows, -1, f"{name}-last"))
    return plots


def _flow_plot(flows: list[tuple[int, Row, dict[str, Any]]], which: int, name: str) -> Plot:
    title = "Gradient flow at the start" if which == 0 else "Gradient flow at the end"
    spoken, shares = [], []
    with drawing() as (figure, axes):
        for place, row, flow in flows:
            share = _share_of_last(flow["norms"][which, -1])
            shares += share.tolist()
            back = np.arange(len(share))[::-1]
            axes.plot(back, share, color=series_colour(place), label=f"{row.label}, epoch {flow['epochs'][which]}")
            spoken.append(f"{row.label}: {number(float(share[0]))} of the last step's norm reaches the first")
        log_axis(axes.yaxis, shares)
        axes.set_xlabel("steps before the end")
        axes.set_ylabel("norm, share of the last step's")
        legend_below(figure, axes)
        alt = f"{title}, norm of dL/dh by time step. {'; '.join(spoken)}."
        svg = inline(figure, name, alt)
    return Plot(title, alt, svg, "Last layer; a line that falls fast forgets.")


def _share_of_last(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return norms (T,) over the last one, with what underflowed held on the axis."""
    last = norms[-1] if norms[-1] > 0 else 1.0
    return np.maximum(norms / last, 1e-30)
