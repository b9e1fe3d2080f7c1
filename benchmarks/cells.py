"""Time every cell against torch.nn and its peers, forward and backward of mean(output), one layer, on this machine.

    python benchmarks/cells.py                                   # the table, a csv and a plot
    python benchmarks/cells.py --peer-python ~/keras/bin/python  # peers that live in another environment
    python benchmarks/cells.py --scaling                         # time and peak memory from T = 128 to 4,096
    python benchmarks/cells.py --chunked                         # matrix cells: chunks against single steps
    python benchmarks/cells.py --vanishing                       # numbers below float32's normal range: kept, or 0

Every library runs in a worker process of its own interpreter; in each round every cell of every library takes one turn,
so that a busy moment of the machine falls on all alike; of the two passes of a turn the second counts. Figures are
medians over rounds. All keep the memory that a pass gives back for the next one, as runs of seqlab do; with --returned
the C library may give it back to the system.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import peers
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from seqlab import config

SHAPES = ((64, 96, 7, 64), (64, 128, 128, 256), (32, 400, 64, 128))  # B, T, I, H
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
CHUNKED: dict[str, dict[str, Any]] = {  # heads of 32 features each
    "mlstm": {"hidden": 64, "num_heads": 4},
    "gated_deltanet": {"hidden": 128, "num_heads": 4, "expand_v": 1},
}
VANISHING = {"rnn": 262, "lstm": 130, "gru": 150, "indrnn": 262, "mingru": 150}  # about 70,000 parameters each
#: glibc's words for what seqlab.training.surroundings.memory_kept sets.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
console = Console(width=160)


class Worker:
    """A process of one interpreter that times passes on request; with ``kept`` it keeps freed memory."""

    def __init__(self, python: str, kept: bool) -> None:
        command = [python, str(Path(peers.__file__))]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **quiet, **(KEPT if kept else {})},
        )

    def ask(self, op: str, **request: Any) -> Any:
        """Send one request and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"op": op, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"The worker stopped at {op} {request}; run its interpreter on {peers.__file__} by hand.")
        return json.loads(line)

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def machine(threads: int) -> str:
    """Return what the figures were measured on, without importing torch."""
    names = [line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {metadata.version('torch')}"
    return f"{processor}, {threads} threads, {versions}, {datetime.date.today().isoformat()}"


def _read(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def measure(
    shape: Sequence[int], cells: Sequence[str], workers: dict[str, Worker], rounds: int, threads: int
) -> dict[tuple[str, str], list[float]]:
    """Return the milliseconds of every round by (library, cell)."""
    entries = [("seqlab", cell) for cell in cells]
    entries += [
        (library, cell)
        for library, names in peers.CELLS.items()
        for cell in names
        if library in workers and (cell in cells or (library, cell) == ("torch.nn", "lstm"))
    ]
    times: dict[tuple[str, str], list[float]] = {entry: [] for entry in entries}
    keys = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{tuple(shape)}", total=len(entries) * (rounds + 1))
        for library, cell in entries:
            keys[library, cell] = workers[library].ask(
                "build", library=library, cell=cell, shape=list(shape), threads=threads
            )
            progress.advance(task)
        for _ in range(rounds):
            for library, cell in entries:
                times[library, cell].append(workers[library].ask("time", key=keys[library, cell]))
                progress.advance(task)
    return times


def as_rows(shape: Sequence[int], times: dict[tuple[str, str], list[float]]) -> list[dict[str, Any]]:
    """Return one row for each library's cell, with its ratios to nn.LSTM and to the cell's twin in torch.nn."""
    median = {key: statistics.median(values) for key, values in times.items()}
    rows = []
    for (library, cell), values in times.items():
        twin = median.get(("torch.nn", cell))
        rows.append(
            {
                **dict(zip("BTIH", shape, strict=True)),
                "cell": cell,
                "library": library,
                "median_ms": median[library, cell],
                "min_ms": min(values),
                "to_lstm": median[library, cell] / median["torch.nn", "lstm"],
                "to_twin": None if twin is None else median[library, cell] / twin,
            }
        )
    return rows


def show(shape: Sequence[int], rows: Iterable[dict[str, Any]], libraries: Sequence[str]) -> None:
    """Print one shape's table."""
    found = {(row["library"], row["cell"]): row for row in rows}
    table = Table(title="B, T, I, H = {}, {}, {}, {}; milliseconds".format(*shape))
    for heading in ("cell", "seqlab", "/ nn.LSTM", "/ twin", *libraries):
        table.add_column(heading, justify="left" if heading == "cell" else "right")
    ours = sorted((row for row in found.values() if row["library"] == "seqlab"), key=lambda row: row["to_lstm"])
    for row in ours:
        others = [found.get((library, row["cell"])) for library in libraries]
        table.add_row(
            row["cell"],
            f"{row['median_ms']:.1f}",
            f"{row['to_lstm']:.2f}",
            "" if row["to_twin"] is None else f"{row['to_twin']:.2f}",
            *("" if other is None else f"{other['median_ms']:.1f}" for other in others),
        )
    console.print(table)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw each cell's time in units of nn.LSTM, one panel a shape."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shapes = list(dict.fromkeys(tuple(row[k] for k in "BTIH") for row in rows))
    cells = len({row["cell"] for row in rows})
    figure, axes = pyplot.subplots(1, len(shapes), figsize=(5 * len(shapes), 1 + 0.25 * cells), squeeze=False)
    for axis, shape in zip(axes[0], shapes, strict=True):
        here = [row for row in rows if tuple(row[k] for k in "BTIH") == shape]
        order = [row["cell"] for row in sorted(here, key=lambda row: -row["to_lstm"]) if row["library"] == "seqlab"]
        for library in dict.fromkeys(row["library"] for row in here):
            points = [row for row in here if row["library"] == library and row["cell"] in order]
            marker, size = ("o", 30) if library == "seqlab" else ("x", 20)
            ratios = [row["to_lstm"] for row in points]
            axis.scatter(ratios, [order.index(row["cell"]) for row in points], s=size, marker=marker, label=library)
        axis.axvline(1, color="grey", linewidth=0.8)
        axis.set(xscale="log", yticks=range(len(order)), title="B, T, I, H = {}, {}, {}, {}".format(*shape))
        axis.set_yticklabels(order)
        axis.set_xlabel("time / torch.nn.LSTM")
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows as csv."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def compare(arguments: argparse.Namespace) -> None:
    """The table of every cell and library."""
    interpreters = dict.fromkeys([sys.executable, *arguments.peer_python])
    workers: dict[str, Worker] = {}
    started = [Worker(python, not arguments.returned) for python in interpreters]
    for worker in started:
        for library in worker.ask("libraries", names=["seqlab", *peers.CELLS]):
            workers.setdefault(library, worker)
    libraries = [library for library in peers.CELLS if library in workers]
    rows: list[dict[str, Any]] = []
    for shape in arguments.shape or SHAPES:
        here = as_rows(shape, measure(shape, arguments.cells, workers, arguments.rounds, arguments.threads))
        show(shape, here, libraries)
        rows += here
        write(rows, arguments.output / "cells.csv")  # after each shape, for a run that is cut short
    for worker in started:
        worker.close()
    plot(rows, arguments.output / "cells.png")


def one_length(cell: str, steps: int, threads: int, repeats: int) -> tuple[float, float]:
    """Return the shortest time (ms) of a pass and its peak memory beyond the start (MB); for a fresh process."""
    import torch

    torch.set_num_threads(threads)
    run = peers.build_torch("seqlab", cell, [8, steps, 16, 32])
    start = _resident()
    fastest = min(peers.milliseconds(run) for _ in range(repeats))
    return fastest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - start


def _resident() -> float:
    (line,) = (line for line in _read("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def scaling(arguments: argparse.Namespace) -> None:
    """How time and memory grow when T doubles; each pass in a fresh process, B = 8, I = 16, H = 32."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["seqlab.nn"])
    rows = []
    table = Table(title="milliseconds (MB) at T, and the largest growth over a doubling")
    for heading in ("cell", *map(str, LENGTHS), "time", "memory"):
        table.add_column(heading, justify="left" if heading == "cell" else "right")
    with Progress(console=console, transient=True) as progress:
        for cell in progress.track(arguments.cells, description="scaling"):
            found = []
            for steps in LENGTHS:
                with context.Pool(1) as pool:
                    found.append(pool.apply(one_length, (cell, steps, arguments.threads, arguments.rounds)))
            growth = [[later[k] / max(sooner[k], 1e-9) for sooner, later in pairwise(found)] for k in (0, 1)]
            rows += [
                {"cell": cell, "T": steps, "min_ms": ms, "peak_mb": mb}
                for steps, (ms, mb) in zip(LENGTHS, found, strict=True)
            ]
            table.add_row(cell, *(f"{ms:.0f} ({mb:.0f})" for ms, mb in found), *(f"{max(g):.2f}" for g in growth))
            write(rows, arguments.output / "scaling.csv")
    console.print(table)


def chunked(arguments: argparse.Namespace) -> None:
    """Chunks of matrix products against single steps, B = 16, T = 256, 4 heads of 32 features."""
    import torch

    from seqlab.cells import RecurrentCell

    torch.set_num_threads(arguments.threads)
    rows = []
    for name, options in CHUNKED.items():
        hidden = options["hidden"]
        node = {**config.load("cell", name), **{k: v for k, v in options.items() if k != "hidden"}}
        cell = config.build(node, RecurrentCell, name, input_size=hidden, hidden_size=hidden)
        run = partial(_backward, cell, torch.randn(16, 256, hidden))
        times: dict[str, list[float]] = {"chunk": [], "steps": []}
        for _ in range(arguments.rounds + 1):
            for backend, values in times.items():
                cell.use_backend(backend)
                values.append(peers.milliseconds(run))
        medians = {backend: statistics.median(values[1:]) for backend, values in times.items()}
        rows.append({"cell": name, **medians, "faster": medians["steps"] / medians["chunk"]})
        console.print(
            "{cell}: chunks {chunk:.1f} ms, steps {steps:.1f} ms, {faster:.1f} times faster".format(**rows[-1])
        )
    write(rows, arguments.output / "chunked.csv")


def vanishing(arguments: argparse.Namespace) -> None:
    """A loss at the last of 600 steps, at the sizes of experiment=adding_600: denormal numbers kept, or taken for 0."""
    import torch

    from seqlab.cells import RecurrentCell

    torch.set_num_threads(arguments.threads)
    rows = []
    for name, hidden in VANISHING.items():
        cell = config.build(config.load("cell", name), RecurrentCell, name, input_size=2, hidden_size=hidden)
        run = partial(_last_step_backward, cell, torch.randn(32, 600, 2))
        times: dict[str, list[float]] = {"kept": [], "zero": []}
        for _ in range(arguments.rounds + 1):
            for way, values in times.items():
                torch.set_flush_denormal(way == "zero")
                values.append(peers.milliseconds(run))
        medians = {way: statistics.median(values[1:]) for way, values in times.items()}
        rows.append({"cell": name, **medians, "faster": medians["kept"] / medians["zero"]})
        console.print("{cell}: kept {kept:.0f} ms, as zero {zero:.0f} ms, {faster:.1f} times faster".format(**rows[-1]))
    write(rows, arguments.output / "vanishing.csv")


def _last_step_backward(cell: Any, x: Any) -> None:
    cell.unroll(x)[0][:, -1].square().mean().backward()


def _backward(cell: Any, x: Any) -> None:
    cell.unroll(x)[0].mean().backward()


def parse() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=config.options("cell"), help="which cells; all by default")
    parser.add_argument("--shape", nargs=4, type=int, action="append", metavar=tuple("BTIH"), help="repeatable")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every cell (9)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="as many as cores")
    parser.add_argument("--peer-python", action="append", default=[], metavar="PATH", help="another interpreter")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of csv and plot")
    parser.add_argument("--scaling", action="store_true", help="time and memory over T instead")
    parser.add_argument("--chunked", action="store_true", help="chunks against steps instead")
    parser.add_argument("--vanishing", action="store_true", help="denormal numbers kept or taken for zero instead")
    parser.add_argument("--returned", action="store_true", help="let freed memory go back to the system")
    arguments = parser.parse_args()
    for cell in arguments.cells:
        config.config_file("cell", cell)
    for python in arguments.peer_python:
        if shutil.which(python) is None:
            parser.error(f"--peer-python must be a Python interpreter; {python} can't be run")
    return arguments


def main() -> None:
    """Measure and print."""
    arguments = parse()
    arguments.output.mkdir(parents=True, exist_ok=True)
    console.print(f"{machine(arguments.threads)}; {' '.join(['benchmarks/cells.py', *sys.argv[1:]])}")
    chosen = [way for way in (scaling, chunked, vanishing) if getattr(arguments, way.__name__)]
    (chosen[0] if chosen else compare)(arguments)


if __name__ == "__main__":
    main()
