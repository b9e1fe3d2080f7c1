"""``seqlab rerun RUN``: repeat a run from its folder alone, and say whether it came out the same."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from seqlab.config import trust
from seqlab.errors import RequestError, RunError
from seqlab.restore import data_config, finished_run
from seqlab.runs import METRICS_FILE, Run
from seqlab.runs.identity import PLACE_KEYS
from seqlab.training.checkpoints import weights_digest
from seqlab.training.complaints import in_house_style
from seqlab.training.pipeline import PREDICTIONS_FILE, run_request
from seqlab.training.request import recorded_request
from seqlab.training.trainer import process_rank

#: Parts of the record that follow from the training and must come out the same to the last bit.
RESULTS = ("metrics", "baselines", "steps", "epochs", "best_epoch", "found_lr", "parameters")
ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """One entry that is not the same in both runs.

    Attributes:
        what: its place, such as ``versions/torch`` or ``metrics/test/mse``.
        first: its value in the run that was repeated.
        second: its value in the repetition.
    """

    what: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Repetition:
    """A run and its repetition.

    Attributes:
        run: the repetition.
        around: differences of versions, code, hardware and variables.
        results: differences of weights, scores, epochs and predictions; none where it is identical.
    """

    run: Run
    around: tuple[Difference, ...]
    results: tuple[Difference, ...]

    @property
    def identical(self) -> bool:
        """Return whether everything that training made is the same to the last bit."""
        return not self.results


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab rerun``: 0 identical, 1 not."""
    parser = argparse.ArgumentParser("seqlab rerun", description=__doc__)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("overrides", nargs="*", metavar="data.path=...", help="where the data lies now")
    parser.add_argument("--output-dir", help="where the repetition goes; default: the runs' folder with -rerun added")
    parser.add_argument("--trust", action="append", default=[], help="let configs name classes of this package")
    chosen = parser.parse_args(list(arguments))
    for package in chosen.trust:
        trust(package)
    with in_house_style():
        found = rerun(chosen.run, chosen.overrides, chosen.output_dir)
    if process_rank() == 0:
        _show(found)
    return 0 if found.identical or process_rank() else 1


def rerun(folder: str, overrides: Sequence[str] = (), output_dir: str | None = None) -> Repetition:
    """Repeat a completed run with its recorded config and seed, and compare the two.

    Args:
        folder: the run's.
        overrides: ``data.path=...`` (or another key that says where data lies), if it has moved.
        output_dir: where the repetition goes.

    Raises:
        RequestError: there is no completed run, its record asks for what is not allowed, or its data is missing.
        RunError: the data is another than the run's; nothing was trained. Or the training failed.
    """
    first = finished_run(folder)
    for override in overrides:
        if override.partition("=")[0].removeprefix("data.") not in PLACE_KEYS:
            raise RequestError(
                f"{override}: a repetition takes only where the data lies ({', '.join(sorted(PLACE_KEYS))})."
            )
    target = Path(output_dir) if output_dir else _beside(first)
    command = shlex.join(["seqlab", "rerun", folder, *overrides, "--output-dir", str(target)])
    request = recorded_request(first.record, target, data_config(first, list(overrides)), command)
    if request.fingerprint != first.data_fingerprint:
        raise RunError(
            f"The data is not what {folder} was trained on: fingerprint {first.data_fingerprint} is recorded,"
            f" {request.fingerprint} was found. Nothing was trained. If the data has moved, give data.path=."
        )
    if request.folder.resolve() == first.folder.resolve():
        raise RequestError(f"--output-dir {target} is where the run itself lies; give another.")
    if request.folder.is_dir() and _completed(request.folder):
        request.config["overwrite"] = True  # an earlier repetition is moved aside
    second = run_request(request)
    if process_rank():
        return Repetition(second, (), ())
    return Repetition(second, tuple(around(first, second)), tuple(results(first, second)))


def _beside(run: Run) -> Path:
    """Return the folder of runs with -rerun added, found by where the run lies, not by what its record says."""
    folder = run.folder.resolve()
    runs = folder.parents[2] if len(folder.parents) > 3 else folder.parent
    return runs.with_name(f"{runs.name}-rerun")


def _completed(folder: Path) -> bool:
    try:
        return Run.load(folder).status == "completed"
    except (RequestError, RunError):
        return False


def around(first: Run, second: Run) -> Iterator[Difference]:
    """Yield how versions, commit, uncommitted diff, hardware and variables differ."""
    before, after = (dict(run.record.get("environment") or {}) for run in (first, second))
    for part in ("versions", "seqlab_git", "git", "hardware", "variables"):
        yield from _differences(part, before.get(part) or {}, after.get(part) or {})
    yield from _differences("config", {"hash": first.record.get("hash")}, {"hash": second.record.get("hash")})


def results(first: Run, second: Run) -> Iterator[Difference]:
    """Yield what training made and is not the same: weights, scores, epochs, predictions."""
    yield from _differences(
        "weights", {"sha256": weights_digest(first.folder)}, {"sha256": weights_digest(second.folder)}
    )
    for part in RESULTS:
        values = [run.record.get(part) for run in (first, second)]
        before, after = (v if isinstance(v, Mapping) else {"": v} for v in values)
        yield from _differences(part, before, after)
    if (first.folder / METRICS_FILE).exists():
        texts = [_text(run.folder / METRICS_FILE) for run in (first, second)]
        if texts[0] != texts[1]:
            yield Difference(METRICS_FILE, *(f"{text.count(chr(10))} lines" for text in texts))
    yield from _predictions(first, second)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _predictions(first: Run, second: Run) -> Iterator[Difference]:
    files = [run.folder / PREDICTIONS_FILE for run in (first, second)]
    if not all(file.exists() for file in files):
        return
    with np.load(files[0], allow_pickle=False) as before, np.load(files[1], allow_pickle=False) as after:
        for name in sorted({*before.files, *after.files}):
            if name not in before.files or name not in after.files:
                yield Difference(f"predictions/{name}", name in before.files, name in after.files)
            elif not np.array_equal(before[name], after[name], equal_nan=before[name].dtype.kind == "f"):
                count = int((before[name] != after[name]).sum()) if before[name].shape == after[name].shape else "all"
                yield Difference(f"predictions/{name}", before[name].shape, f"{count} values differ")


def _differences(part: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one != other:
            yield Difference(f"{part}/{name}".rstrip("/"), one, other)


def _show(found: Repetition) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if found.identical:
        console.print("[bold green]identical[/]: weights, scores, epochs and predictions, to the last bit")
    else:
        console.print(f"[bold red]not identical[/]: {len(found.results)} results differ")
    listed = [*found.results, *found.around]
    if listed:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title in ("differs", "run", "repetition"):
            table.add_column(title, overflow="fold")
        for difference in listed:
            table.add_row(difference.what, _short(difference.first), _short(difference.second))
        console.print(table)
    console.print(f"Repetition: {found.run.folder}", markup=False)


def _short(value: Any) -> str:
    """Return a value on one line; of a long one (an uncommitted diff) the length."""
    if value is None:
        return ABSENT
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    text = str(value)
    return text if len(text) <= 80 and "\n" not in text else f"{len(text)} characters"
