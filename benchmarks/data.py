"""What data costs: padding, speed of the loader, first and second start, peak memory. Prints a table; see --help.

python benchmarks/data.py                 # with the files in ../shared/data, or what of them is there
python benchmarks/data.py --data FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from seqlab.config import build, load
from seqlab.data import Batches, Loader, SequenceData
from seqlab.data.forecasting import ForecastingData

HERE = Path(__file__).resolve()
SHARED = HERE.parents[1].parent / "shared" / "data"
ETTH1 = "ett/ETTh1.csv"


def prepared(name: str, **changes: Any) -> SequenceData:
    data = build({**load("data", name), **changes}, SequenceData)
    data.setup()
    return data


def loader(data: SequenceData) -> Loader:
    examples = data.examples("train")
    batches = Batches(len(examples), data.batch_size, shuffle=True, lengths=examples.lengths)
    return Loader(examples, batches, data.num_workers)


# --- padding ---


def padding(shared: Path, table: Table) -> None:
    for name in ("mr", "ag_news"):
        if not (shared / name).is_dir():
            table.add_row(f"padding, {name}", "no file", "")
            continue
        tokens = slots = 0
        data = prepared(name, path=str(shared / name), batch_size=64)
        for batch in loader(data):
            slots += batch.x.numel()
            tokens += batch.x.numel() if batch.lengths is None else int(batch.lengths.sum())
        table.add_row(f"padding, {name}, batch 64", f"{1 - tokens / slots:.2%}", "at most 5 %")


# --- samples a second ---


class Sliced(Dataset[tuple[Tensor, ...]]):
    """The dataset people write: one window an index, for the DataLoader to collate; the same tensors as ours."""

    def __init__(self, data: ForecastingData) -> None:
        windows, back, ahead = data.examples("train"), (-data.lookback, 0), (0, data.horizon)
        rows, batch = windows.rows, windows.__getitems__([0])
        parts = [(rows.inputs, back), (rows.targets, ahead)]
        parts += [(rows.mask, back), (rows.delta, back)] if batch.mask is not None else []
        parts += [(rows.mask, ahead)] if batch.y_mask is not None else []
        self.parts = [(torch.from_numpy(array), *span) for array, span in parts if array is not None]
        self.ends = windows.ends.tolist()

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        end = self.ends[index]
        return tuple(part[end + low : end + high] for part, low, high in self.parts)


def rate(batches: Iterable[Any], count: int) -> float:
    start = time.perf_counter()
    seen = sum(len(batch[0]) if isinstance(batch, list) else len(batch) for batch in batches)
    assert seen == count
    return seen / (time.perf_counter() - start)


def speed(shared: Path, table: Table, repeats: int) -> None:
    cases = [("co2, T 104", prepared("co2"))]
    if (shared / ETTH1).is_file():
        for lookback in (96, 720):
            data = prepared("etth1", path=str(shared / ETTH1), lookback=lookback)
            cases.append((f"etth1, T {lookback}", data))
    for name, data in cases:
        assert isinstance(data, ForecastingData)
        ours, count = loader(data), len(data.examples("train"))
        plain = DataLoader(Sliced(data), batch_size=data.batch_size, shuffle=True)
        found: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(repeats):
            found["ours"].append(rate(ours, count))
            found["plain"].append(rate(plain, count))
        ratios = [a / b for a, b in zip(found["ours"], found["plain"], strict=True)]
        own, other, ratio = (statistics.median(v) for v in (found["ours"], found["plain"], ratios))
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        table.add_row(f"windows a second, {name}, batch 64", f"{own:,.0f} against {other:,.0f}", "")
        table.add_row("  times a DataLoader that collates samples", f"{ratio:.1f} ({spread})", "at least 5")
        if data.lookback == 720:
            table.add_row("  (1.3 MB a batch: copying it once, which both must, is most of our time)", "", "")


# --- starts and memory, each in a process of its own ---


def child(call: str, *arguments: str, **environment: str) -> dict[str, float]:
    command = [sys.executable, str(HERE), "--child", call, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return found


def starts(shared: Path, table: Table) -> None:
    sources = {"ag_news": shared / "ag_news", "etth1": shared / ETTH1, "docstrings": None}
    for name, path in sources.items():
        if path is not None and not path.exists():
            continue
        with tempfile.TemporaryDirectory() as cache:
            arguments = [name, *([] if path is None else [str(path)])]
            first, second = (child("start", *arguments, SEQLAB_CACHE=cache)["seconds"] for _ in range(2))
        bar = "second under 1 s" if name == "ag_news" else ""
        table.add_row(f"seconds on data, {name}, first and second start", f"{first:.2f}, {second:.2f}", bar)


def memory(shared: Path, table: Table) -> None:
    if not (shared / ETTH1).is_file():
        return
    steps = child("memory", str(shared / ETTH1))
    table.add_row("MB held, torch imported", f"{steps.pop('torch'):.0f}", "")
    for what, above in steps.items():
        table.add_row(f"  above it: {what}", f"{above:.0f}", "at most 200" if "epoch" in what else "")


def in_megabytes(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def start_child(name: str, path: str | None = None) -> dict[str, float]:
    data = build({**load("data", name), **({} if path is None else {"path": path})}, SequenceData)  # imports apart
    start = time.perf_counter()
    data.fingerprint()
    data.setup()
    return {"seconds": time.perf_counter() - start}


def memory_child(path: str) -> dict[str, float]:
    bare = "import torch, pathlib; print(pathlib.Path('/proc/self/status').read_text())"
    status = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, check=True).stdout
    torch_alone = float(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
    found = {"torch": torch_alone, "pandas and seqlab.data imported": in_megabytes("VmRSS") - torch_alone}
    data = prepared("etth1", path=path, lookback=720)
    for _ in loader(data):
        pass
    found["etth1, T 720, an epoch of the loader, peak"] = in_megabytes("VmHWM") - torch_alone
    torch.set_num_threads(1)  # memory is asked for, not speed
    lstm, head = torch.nn.LSTM(7, 64, batch_first=True), torch.nn.Linear(64, 96 * 7)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
    for batch in islice(loader(data), 5):
        loss = (head(lstm(batch.x)[0][:, -1]).view_as(batch.y) - batch.y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found["5 steps of Adam on an LSTM of 64 units, held"] = in_megabytes("VmRSS") - torch_alone
    found["  its peak, most of it the LSTM's own"] = in_megabytes("VmHWM") - torch_alone
    return found


CHILDREN: dict[str, Callable[..., dict[str, float]]] = {"start": start_child, "memory": memory_child}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the public files")
    parser.add_argument("--repeats", type=int, default=7, help="of the speed measurement")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        call, *arguments = chosen.child
        sys.stdout.write(json.dumps(CHILDREN[call](*arguments)) + "\n")
        return
    table = Table(
        "what", "measured", "bar", title=f"Data, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    padding(chosen.data, table)
    speed(chosen.data, table, chosen.repeats)
    starts(chosen.data, table)
    memory(chosen.data, table)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
