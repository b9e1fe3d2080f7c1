"""Time `seqlab train` with everything on against a hand-written loop and neuralforecast, and its start against imports.

    python benchmarks/pipeline.py                                     # on the files of ../shared/data, if any
    python benchmarks/pipeline.py --etth1 ETTh1.csv --mr rt-polarity  # on yours; without them on co2 and docstrings
    python benchmarks/pipeline.py --peers NEURALFORECAST/bin/python   # after `pip install torch neuralforecast` there
    python benchmarks/pipeline.py --only series start --rounds 15     # a part, for longer

Everything on: all scores, the progress bar, metrics.csv, the best and the last checkpoint. All sides train one LSTM of
64 units on the same examples in batches of 64 with fused Adam and clipping, and pass over the validation split once an
epoch; seqlab and the loop (handwritten.py) begin with the same weights. Time is from the start of the first step to the
end of the last epoch, divided by the epochs; memory is the most that the process held. In each round every side runs
once, in a fresh process and in alternating order, so that ratios are of neighbours. Exit code 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from rich.progress import Progress
from rich.table import Table

from cells import console, machine, write

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data"

SEQLAB, HAND, HAND_CUT, PEER = "seqlab train", "by hand", "by hand, cut to the batch", "neuralforecast"
#: The most that our time may be of another side's.
BARS = {HAND: 1.05, PEER: 1 / 1.5}
PARTS = ("series", "text", "peer", "start")
START, IMPORTS, START_BAR = "start to first step", "import torch, lightning", 1.5
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Data to train on, and who does.

    Attributes:
        name: what --only calls it.
        title: of the table.
        data: a name of ``seqlab list data``.
        changes: ``key=value`` of its config.
        sides: beside seqlab.
    """

    name: str
    title: str
    data: str
    changes: tuple[str, ...]
    sides: tuple[str, ...]


def cases(etth1: Path | None, mr: Path | None, peers: str | None) -> list[Case]:
    """Return what can be measured with the files that are there."""
    text = (HAND, HAND_CUT)
    found = [
        Case("series", "ETTh1, 96 rows of 7 columns, 96 ahead", "etth1", (f"path={etth1}",), (HAND,))
        if etth1
        else Case("series", "co2, 104 rows, 26 ahead", "co2", (), (HAND,)),
        Case("text", "MR", "mr", (f"path={mr}",), text) if mr else Case("text", "docstrings", "docstrings", (), text),
    ]
    if peers and etth1:
        column = (f"path={etth1}", "target=OT")
        found.append(Case("peer", "ETTh1, the column OT alone", "etth1", column, (HAND, PEER)))
    return found


def run(command: Sequence[str], environment: dict[str, str], folder: Path) -> tuple[str, float, float]:
    """Run a command in ``folder``; return what it printed, its seconds and its peak memory in MB."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.time()
        process = subprocess.Popen(
            command, stdout=out, stderr=errors, env={**os.environ, **environment}, cwd=folder, text=True
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.time() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read()[-3000:]}")
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return out.read(), wall, usage.ru_maxrss / unit


def train(case: Case, side: str, *, epochs: int, peers: str | None) -> Row:
    """Let one side train in a fresh process; return its figures."""
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        folder = Path(name)
        if side == SEQLAB:
            changes = [f"data.{change}" for change in case.changes]
            command = [sys.executable, "-m", "seqlab", "train", f"data={case.data}", *changes, "cell=lstm"]
            command += [f"trainer.max_epochs={epochs}", f"output_dir={folder}"]
            _, wall, peak = run(command, {"FORCE_COLOR": "1", "TERM": "xterm"}, folder)  # a bar is drawn
            found = _recorded(folder)
        else:
            own = [sys.executable, str(HERE / "handwritten.py"), case.data, *case.changes]
            own += ["--pad", "batch"] if side == HAND_CUT else []
            if side == PEER:
                path, column = (change.partition("=")[2] for change in case.changes)
                own = [str(peers), str(HERE / "neuralforecast_lstm.py"), path, column]
            printed, wall, peak = run([*own, "--epochs", str(epochs)], {}, folder)
            found = json.loads(printed.splitlines()[-1])
    return {
        "case": case.title,
        "side": side,
        "seconds_per_epoch": found["seconds"] / epochs,
        "peak_mb": peak,
        "loss": found["loss"],
        "val_loss": found["val_loss"],
        "parameters": found["parameters"],
        "steps": found["steps"],
        "process_seconds": wall,
    }


def _recorded(folder: Path) -> Row:
    """Return what a run of seqlab's wrote down of itself."""
    (file,) = folder.rglob("run.json")
    record = json.loads(file.read_text())
    with file.with_name("metrics.csv").open(newline="") as rows:
        last = list(csv.DictReader(rows))[-1]
    return {
        "seconds": record["seconds"]["fit"],
        "loss": float(last["train/loss"]),
        "val_loss": float(last["val/loss"]),
        "parameters": record["parameters_with_embedding"],
        "steps": record["steps"],
    }


def start(side: str) -> Row:
    """Time a fresh process up to the end of the imports, or up to the first step of `seqlab train`."""
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        steps = Path(name) / "steps"
        began = time.time()
        if side == IMPORTS:
            printed, _, _ = run(
                [sys.executable, "-c", "import time, torch, lightning; print(time.time())"], {}, Path(name)
            )
            return {"case": "start", "side": side, "seconds_per_epoch": float(printed) - began}
        command = [sys.executable, "-m", "seqlab", "train", "data=co2", "cell=lstm", "trainer.max_steps=1"]
        command += [f"output_dir={name}", "optimizer._target_=counting.Adam"]  # leaves a file at its first step
        own = {"PYTHONPATH": str(HERE), "SEQLAB_TRUST": "counting", "CHAOS_STEPS": str(steps)}
        run(command, own, Path(name))
        return {"case": "start", "side": side, "seconds_per_epoch": steps.stat().st_mtime - began}


def in_turn(sides: Sequence[str], rounds: int, measure: Callable[[str], Row], title: str) -> list[Row]:
    """Measure every side once a round, in alternating order."""
    rows = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title, total=rounds * len(sides))
        for number in range(rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                rows.append({**measure(side), "round": number})
                progress.advance(task)
    return rows


def ratios(rows: Sequence[Row], other: str, ours: str = SEQLAB, key: str = "seconds_per_epoch") -> list[float]:
    """Return ours / theirs of every round."""
    values = {(row["side"], row["round"]): row[key] for row in rows}
    return [values[ours, number] / values[other, number] for number in sorted({row["round"] for row in rows})]


def spread(values: Sequence[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def show(case: Case, rows: Sequence[Row]) -> bool:
    """Print one case's table; return whether its bars were met."""
    table = Table(title=case.title)
    for heading in (
        "",
        "s an epoch",
        "seqlab / it",
        "bar",
        "peak MB",
        "seqlab / it",
        "loss",
        "validation",
        "parameters",
    ):
        table.add_column(heading, justify="left" if not heading else "right")
    well = True
    for side in (SEQLAB, *case.sides):
        here = [row for row in rows if row["side"] == side]
        median = {key: statistics.median(row[key] for row in here) for key in here[0] if key not in ("case", "side")}
        seconds, memory = ratios(rows, side), ratios(rows, side, key="peak_mb")
        bar = BARS.get(side)
        well &= bar is None or statistics.median(seconds) <= bar
        table.add_row(
            side,
            spread([row["seconds_per_epoch"] for row in here]),
            "" if side == SEQLAB else spread(seconds),
            "" if bar is None else f"{bar:.2f}",
            f"{median['peak_mb']:.0f}",
            "" if side == SEQLAB else spread(memory),
            f"{median['loss']:.4f}",
            f"{median['val_loss']:.4f}",
            f"{median['parameters']:,.0f}",
        )
    console.print(table)
    return well


def show_start(rows: Sequence[Row]) -> bool:
    """Print how long a start takes; return whether its bar was met."""
    for side in (START, IMPORTS):
        console.print(f"{side}: {spread([row['seconds_per_epoch'] for row in rows if row['side'] == side])} s")
    found = ratios(rows, IMPORTS, START)
    console.print(f"ratio: {spread(found)}, bar {START_BAR}")
    return statistics.median(found) <= START_BAR


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the ratio of every round, a line for each comparison."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    pairs = [p for p in dict.fromkeys((row["case"], row["side"]) for row in rows) if p[1] not in (SEQLAB, START)]
    figure, axis = pyplot.subplots(figsize=(8, 1 + 0.4 * len(pairs)))
    for height, (case, side) in enumerate(reversed(pairs)):
        here = [row for row in rows if row["case"] == case]
        values = ratios(here, side, START if side == IMPORTS else SEQLAB)
        axis.scatter(values, [height] * len(values), s=20, alpha=0.5, color="C0")
        axis.scatter([statistics.median(values)], [height], s=60, marker="|", color="black")
        bar = START_BAR if side == IMPORTS else BARS.get(side)
        if bar is not None:
            axis.scatter([bar], [height], s=200, marker="|", color="C3")
    axis.axvline(1, color="grey", linewidth=0.8)
    axis.set(yticks=range(len(pairs)), xlabel="seconds, seqlab / the other (red: the bar)")
    axis.set_yticklabels([f"{case}: {side}" for case, side in reversed(pairs)])
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def parse() -> argparse.Namespace:
    """Return the command line's arguments."""
    there = {name: file if (file := SHARED / place).exists() else None for name, place in _PLACES.items()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--etth1", type=Path, default=there["etth1"], help="ETTh1.csv")
    parser.add_argument("--mr", type=Path, default=there["mr"], help="the folder with rt-polarity.neg and .pos")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has neuralforecast (needs --etth1)")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="series, text, peer, start; all of them"
    )
    parser.add_argument("--rounds", type=int, default=7, help="runs of every side (7)")
    parser.add_argument("--epochs", type=int, default=3, help="of a run (3)")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of csv and plot")
    asked = parser.parse_args()
    if asked.only == ["peer"] and not (asked.peers and asked.etth1):
        parser.error("--only peer needs --peers and --etth1")
    if asked.peers and shutil.which(asked.peers) is None:
        parser.error(f"--peers must be a Python interpreter; {asked.peers} can't be run")
    return asked


_PLACES = {"etth1": "ett/ETTh1.csv", "mr": "mr"}


def main() -> int:
    """Measure and print."""
    asked = parse()
    asked.output.mkdir(parents=True, exist_ok=True)
    threads = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
    console.print(f"{machine(threads)}; {' '.join(['benchmarks/pipeline.py', *sys.argv[1:]])}")
    rows: list[Row] = []
    well = True
    for case in cases(*(path and path.resolve() for path in (asked.etth1, asked.mr)), asked.peers):
        if case.name in asked.only:
            measure = partial(train, case, epochs=asked.epochs, peers=asked.peers)
            rows += (here := in_turn((SEQLAB, *case.sides), asked.rounds, measure, case.title))
            well &= show(case, here)
            write(rows, asked.output / "pipeline.csv")  # after each, for a run that is cut short
    if "start" in asked.only:
        rows += (here := in_turn((START, IMPORTS), asked.rounds, start, "start"))
        well &= show_start(here)
        write(rows, asked.output / "pipeline.csv")
    plot(rows, asked.output / "pipeline.png")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
