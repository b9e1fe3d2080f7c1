"""``seqlab evaluate RUN``: score a finished run again, on its own data or on other files of the same form."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console

from seqlab.data import SPLITS
from seqlab.restore import data_config, finished_run, restored_data, restored_task
from seqlab.runs import Run
from seqlab.training.complaints import in_house_style
from seqlab.training.scoring import score
from seqlab.training.screen import result_table
from seqlab.training.surroundings import quiet


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab evaluate``."""
    parser = argparse.ArgumentParser("seqlab evaluate", description=__doc__)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("overrides", nargs="*", metavar="data.KEY=VALUE", help="such as data.path=other.csv")
    parser.add_argument("--split", action="append", choices=SPLITS, help="default: val and test")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    chosen = parser.parse_args(list(arguments))
    with in_house_style():
        run = evaluate(chosen.run, chosen.overrides, chosen.split or ["val", "test"])
    if chosen.format == "json":
        sys.stdout.write(json.dumps({"metrics": run.metrics, "baselines": run.baselines}, indent=2) + "\n")
    else:
        Console(highlight=False).print(result_table(run))
    return 0


def evaluate(folder: str, overrides: Sequence[str] = (), splits: Sequence[str] = ("val", "test")) -> Run:
    """Return the run with freshly computed scores in place of the recorded ones; nothing is written.

    Args:
        folder: a completed run's.
        overrides: ``data.KEY=VALUE``.
        splits: which to score.

    Raises:
        RequestError: the run, an override or the data is wrong.
        RunError: the weights can't be used.
    """
    run = finished_run(folder)
    with quiet():
        data = restored_data(data_config(run, list(overrides)), run)
        data.setup()
        task = restored_task(run, data.spec)
        found = [score(task, data, split) for split in SPLITS if split in splits]
    return run.updated(
        metrics={k: v for s in found for k, v in s.metrics.items()},
        baselines={k: v for s in found for k, v in s.baselines.items()},
    )
