"""One HTML page about runs: the question, the answer, tables, drawings, failures, and how to repeat it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from seqlab import __version__
from seqlab.compare import Comparison, Section
from seqlab.compare.answer import answer, question
from seqlab.compare.comparison import tally
from seqlab.compare.mixing import code_of
from seqlab.compare.notes import config_differences
from seqlab.compare.render import rank_table, section_tables, seed_table
from seqlab.compare.wording import listed
from seqlab.errors import RequestError, RunError
from seqlab.report.curves import curve_plot
from seqlab.report.gradients import gate_table, gradient_plots, read_flows
from seqlab.report.outputs import confusion_plot, forecast_plot
from seqlab.report.plots import cost_plots, rank_plot, score_plot
from seqlab.report.svg import Plot, standalone
from seqlab.runs import Run
from seqlab.runs.files import write_text
from seqlab.table import Table

#: Marks a page as ours, so that writing it again replaces no one else's file.
MARK = '<meta name="generator" content="seqlab report">'


@dataclass(frozen=True)
class Part:
    """One data set's part of the page."""

    section: Section
    anchor: str
    answer: str
    tables: list[Table]
    seeds: Table
    plots: list[Plot]
    gradients: list[Plot]
    gates: Table | None
    settings: Table | None


def render(comparison: Comparison, parts: Sequence[Part], command: str) -> str:
    """Return the page.

    Args:
        comparison: what to show.
        parts: made by ``make_parts``.
        command: what makes the page again.
    """
    environment = Environment(loader=PackageLoader("seqlab.report"), autoescape=True, undefined=StrictUndefined)
    ranks = comparison.ranks
    return environment.get_template("report.html").render(
        version=__version__,
        mark=MARK,
        question=question(comparison),
        parts=parts,
        ranks=ranks and {"table": rank_table(ranks), "plot": rank_plot(ranks), "left_out": listed(ranks.left_out)},
        notes=comparison.notes,
        left_out=comparison.left_out,
        tally=tally(comparison.left_out),
        repeat=_repeat(comparison, command),
    )


def make_parts(comparison: Comparison) -> list[Part]:
    """Return each data set's part of the page."""
    return [_part(section, comparison, number) for number, section in enumerate(comparison.sections)]


def write_figures(comparison: Comparison, parts: Sequence[Part], folder: Path) -> None:
    """Write every drawing to an SVG file of its own, named by data and title.

    Raises:
        RequestError: the folder does not exist.
        RunError: a file can't be written.
    """
    if not folder.is_dir():
        raise RequestError(f"--figures expects a folder that exists; got {folder}.")
    plots = {f"{part.section.name} {p.title}": p for part in parts for p in [*part.plots, *part.gradients]}
    if comparison.ranks:
        plots["ranks"] = rank_plot(comparison.ranks)
    try:
        for title, plot in plots.items():
            write_text(folder / _file_name(title), standalone(plot) + "\n")
    except OSError as error:
        raise RunError(f"A figure can't be written to {folder}: {error.strerror or error}. See --figures.") from error


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".svg"


def write(page: str, file: Path) -> None:
    """Write the page as a whole.

    Raises:
        RequestError: the file is there and is no report, or its folder is not.
        RunError: it can't be written.
    """
    if file.is_dir() or not file.parent.is_dir():
        raise RequestError(f"--output expects a file in a folder that exists; got {file}.")
    if file.exists() and MARK not in file.read_text(encoding="utf-8", errors="replace")[:4_000]:
        raise RequestError(f"{file} exists and is no report of seqlab's; name another file with --output.")
    try:
        write_text(file, page)
    except OSError as error:
        raise RunError(f"The report can't be written to {file}: {error.strerror or error}. See --output.") from error


def _part(section: Section, comparison: Comparison, number: int) -> Part:
    name = f"data{number}"
    monitored = "val/" + section.metric.name.partition("/")[2]
    plots = [
        score_plot(section, comparison, f"{name}-scores") if any(row.finite for row in section.rows) else None,
        curve_plot(section, monitored, "Learning curves", f"{name}-curves"),
        curve_plot(section, "train/loss", "Training loss", f"{name}-loss"),
        forecast_plot(section, f"{name}-forecasts"),
        confusion_plot(section, f"{name}-confusion"),
        *cost_plots(section, f"{name}-costs"),
    ]
    settings, flows = config_differences(section.rows), read_flows(section)
    return Part(
        section=section,
        anchor=name,
        answer=answer(section, comparison),
        tables=section_tables(section, comparison),
        seeds=seed_table(section, comparison),
        plots=[plot for plot in plots if plot is not None],
        gradients=gradient_plots(flows, f"{name}-gradients"),
        gates=gate_table(flows),
        settings=Table("", ["setting", *(row.label for row in section.rows)], [[k, *v] for k, v in settings.items()])
        if settings
        else None,
    )


def _repeat(comparison: Comparison, command: str) -> dict[str, Any]:
    """Return what a person needs to do it again: commands, code, versions, hardware, data."""
    rows = [row for section in comparison.sections for row in section.rows]
    runs = [run for row in rows for run in row.group.runs]
    return {
        "commands": [str(run.record["command"]) for run in runs if run.record.get("command")],
        "report": command,
        "facts": {
            "code": listed(_distinct(code_of(run) for run in runs)),
            "packages": listed(_distinct(_packages(run) for run in runs)),
            "hardware": listed(_distinct(_hardware(run) for run in runs)),
            "data fingerprints": listed(_distinct(run.data_fingerprint[:16] for run in runs)),
        },
    }


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _packages(run: Run) -> str:
    versions = (run.record.get("environment") or {}).get("versions") or {}
    return " ".join(f"{name} {version}" for name, version in versions.items() if name != "seqlab")


def _hardware(run: Run) -> str:
    hardware = (run.record.get("environment") or {}).get("hardware") or {}
    shown = [hardware.get("processor"), f"{hardware['cores']} cores" if hardware.get("cores") else None]
    return ", ".join(str(part) for part in [*shown, *(hardware.get("gpus") or [])] if part)
