"""Tiny runs for tests: seconds in all, every part real."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import torch

from seqlab.runs import Run

#: A forecasting run of 12 batches an epoch that takes a tenth of a second an epoch.
TINY = [
    "data=sunspots",
    "data.lookback=11",
    "data.horizon=3",
    "data.batch_size=16",
    "model.hidden_size=4",
    "trainer.max_epochs=3",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
    "trainer.checkpoint.min_seconds=0",
]


def tiny(folder: Path, *overrides: str) -> list[str]:
    """The overrides of a tiny run below ``folder``."""
    return [*TINY, f"output_dir={folder}", *overrides]


def fingerprint(run: Run) -> dict[str, Any]:
    """All that must be equal between a run and its repetition."""
    checkpoints = run.folder / "checkpoints"
    best = torch.load(checkpoints / "best.ckpt", weights_only=True)
    digest = hashlib.sha256()
    for name, value in sorted(best["state_dict"].items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return {
        "weights": digest.hexdigest(),
        "best_epoch": best["epoch"],
        "metrics": run.record["metrics"],
        "baselines": run.record["baselines"],
        "rows": (run.folder / "metrics.csv").read_text() if (run.folder / "metrics.csv").exists() else None,
        "steps": run.record["steps"],
        "epochs": run.record["epochs"],
    }


def rows(run: Run) -> list[dict[str, str]]:
    """The rows of metrics.csv."""
    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))
