"""What training shows: a few lines before, the result beside the trivial predictors after."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from seqlab.data import SequenceData
from seqlab.runs import Run
from seqlab.tasks import SequenceTask
from seqlab.training.trainer import process_rank

console = Console(highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Show one line, from the first process alone."""
    if process_rank() == 0:
        console.print(message, markup=False)


def show_start(
    run: Run, task: SequenceTask, data: SequenceData, trainer: Mapping[str, Any], resumed: Mapping[str, Any] | None
) -> None:
    """Say what is trained, on what, and where it goes."""
    if process_rank() != 0:
        return
    choices = run.choices
    console.print(
        f"[bold]{choices.get('cell')}[/] on [bold]{choices.get('data')}[/], seed {run.seed}:"
        f" {run.parameters:,} parameters, state of {run.record['state_size']:,} numbers"
    )
    for key, value in data.notes().items():
        if isinstance(value, str):
            console.print(f"  {key}: {value}", markup=False, style="dim")
    if resumed is not None:
        console.print(f"  continues from step {resumed['global_step']} (epoch {resumed['epoch']})")
    if trainer.get("enable_model_summary", True):
        console.print(_summary(task), markup=False, style="dim")


def _summary(task: SequenceTask) -> str:
    """Return one line a part of the model: name, kind, parameters."""
    parts = [(name, part) for name, part in task.model.named_children()]
    return "\n".join(
        f"  {name:<12} {type(part).__name__:<16} {sum(p.numel() for p in part.parameters()):>10,}"
        for name, part in parts
    )


def show_run(run: Run, fresh: bool) -> None:
    """Show the result beside the trivial predictors, where the run lies, and what to type next."""
    if process_rank() != 0:
        return
    if not fresh:
        console.print("This run is complete; nothing was touched. [dim]overwrite=true starts over.[/]")
    console.print(result_table(run))
    console.print(f"Run: {run.folder}", markup=False)
    console.print(f"Next: seqlab compare {run.folder.parent.parent}", markup=False, style="dim")


def result_table(run: Run) -> Table:
    """Return the scores of validation and test: the model's row, then the trivial predictors'."""
    names = _columns(run)
    table = Table(box=None, header_style="bold", title_justify="left", pad_edge=False)
    table.add_column("")
    for split in ("val", "test"):
        for name in names:
            table.add_column(f"{split}/{name}", justify="right")
    rows = {run.choices.get("cell", "model"): run.metrics}
    for key, value in run.baselines.items():
        baseline, _, metric = key.partition("/")
        rows.setdefault(baseline.replace("_", " "), {})[metric] = value
    for row, values in rows.items():
        table.add_row(row, *(_number(values.get(f"{s}/{n}")) for s in ("val", "test") for n in names))
    return table


def _columns(run: Run) -> list[str]:
    """Return at most three scores that the screen has room for: the monitored one, then the usual ones."""
    monitored = run.record["monitor"].partition("/")[2]
    usual = [monitored, "mse", "mae", "mase", "accuracy", "sequence_accuracy", "macro_f1", "nll"]
    present = [n for n in dict.fromkeys(usual) if f"test/{n}" in run.metrics][:3] or ["loss"]
    while len(present) > 1 and 16 + sum(2 * (len("test/") + len(n) + 2) for n in present) > console.width:
        present.pop()
    return present


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"
