"""Run folders with made-up scores, for tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

INFO = {
    "mse": {"higher_is_better": False, "definition": "mean squared error in scaled space"},
    "mse_original": {"higher_is_better": False, "definition": "mean squared error in the data's own units"},
    "accuracy": {"higher_is_better": True, "definition": "share of right labels"},
    "loss": {"higher_is_better": False, "definition": "mean of what training minimises"},
}
SIZES = {"rnn": 4_352, "lstm": 17_408, "gru": 13_056}


def config(data: str, cell: str, seed: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved config; ``changes`` are dotted keys."""
    found: dict[str, Any] = {
        "seed": seed,
        "output_dir": "outputs",
        "name": data,
        "data": {"_target_": "seqlab.data.X", "path": f"{data}.csv", "horizon": 2, "split_seed": 0, "num_workers": 0},
        "cell": {"_target_": f"seqlab.cells.{cell}.Cell", "bias": True},
        "model": {"_target_": "seqlab.nn.SequenceModel", "hidden_size": 64, "num_layers": 1, "dropout": 0.0},
        "task": {"_target_": "seqlab.tasks.Forecasting", "loss": "mse"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
        "scheduler": None,
        "trainer": {"max_epochs": 20, "enable_progress_bar": True},
        "logger": {"csv": True},
    }
    for key, value in changes.items():
        *groups, last = key.split(".")
        node = found
        for group in groups:
            node = node[group]
        node[last] = value
    return found


def record(
    cell: str = "gru",
    seed: int = 0,
    score: float | None = 0.1,
    *,
    data: str = "co2",
    metric: str = "mse",
    changes: Mapping[str, Any] | None = None,
    **entries: Any,
) -> dict[str, Any]:
    """Return the record of a completed run; ``entries`` replace its own."""
    naive = {"naive": 0.5, "seasonal_naive": 0.3} if metric == "mse" else {"majority": 0.4}
    return {
        "format": 1,
        "status": "completed",
        "error": None,
        "name": data,
        "label": cell,
        "seed": seed,
        "choices": {"data": data, "cell": cell, "model": "stack", "task": "forecasting", "optimizer": "adam"},
        "config": config(data, cell, seed, changes or {}),
        "overrides": [f"cell={cell}", f"seed={seed}"],
        "metrics": {
            f"test/{metric}": score,
            f"val/{metric}": None if score is None else score - 0.01,
            "test/loss": score,
        },
        "metric_info": INFO,
        "baselines": {f"{name}/test/{metric}": value for name, value in naive.items()},
        "monitor": f"val/{metric}",
        "parameters": SIZES.get(cell, 1_000),
        "state_size": 128 if cell == "lstm" else 64,
        "seconds": {"total": 12.5, "fit": 11.0, "step": 0.0031},
        "peak_memory_mb": 512.4,
        "environment": {
            "versions": {"seqlab": "0.1.0", "torch": "2.13.0"},
            "hardware": {"processor": "A", "cores": 2},
            "seqlab_git": {"commit": "0123456789abcdef", "dirty": False},
        },
        "data_fingerprint": f"fingerprint of {data}",
        "command": f"seqlab train data={data} cell={cell} seed={seed}",
        **entries,
    }


def write_run(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write one run folder."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_runs(root: Path, scores: Mapping[str, Sequence[float | None]], **entries: Any) -> Path:
    """Write one run a score, seeds counting from 0: ``{"gru": [0.1, 0.2]}``. Returns ``root``."""
    for cell, values in scores.items():
        for seed, score in enumerate(values):
            write_run(
                root / f"{cell}-{entries.get('data', 'co2')}" / f"seed-{seed}", record(cell, seed, score, **entries)
            )
    return root


def write_predictions(folder: Path, prediction: np.ndarray, target: np.ndarray) -> None:
    """Write the test predictions beside a run's record."""
    np.savez_compressed(folder / "predictions.npz", index=np.arange(len(target)), prediction=prediction, target=target)


def write_full_runs(root: Path, cells: Mapping[str, float], seeds: int = 3, data: str = "co2", steps: int = 24) -> Path:
    """Write forecasting runs with everything a report can show: learning curves, predictions, gradient flow, a failure.

    Args:
        root: where to write.
        cells: spread of each cell's forecast errors by name.
        seeds: runs a cell.
        data: name of the data.
        steps: time steps of the gradient flow.
    """
    rng = np.random.default_rng(0)
    windows = np.arange(60)[:, None] + np.arange(4)
    target = (np.sin(windows / 4) + 0.02 * windows)[..., None]
    for cell, spread in cells.items():
        for seed in range(seeds):
            prediction = target + spread * rng.normal(size=target.shape)
            score = float(((prediction - target) ** 2).mean())
            seconds = {"total": 100 * spread + rng.random(), "fit": 9.0, "step": 0.003}
            folder = write_run(
                root / f"{cell}-{data}" / f"seed-{seed}", record(cell, seed, score, data=data, seconds=seconds)
            )
            write_predictions(folder, prediction, target)
            write_curves(folder, [score * (1 + 3 * 0.7**epoch) + 0.01 * rng.random() for epoch in range(15)])
            norms = np.stack([np.exp(-spread * np.arange(steps)[::-1] * rate)[None] for rate in (2.0, 1.0)])
            flow = {
                "sequences": 128,
                "epochs": [0, 14],
                "layers": ["layer 1"],
                "gradient_norm": norms.tolist(),
                "memory_norm": [[(norms[epoch, 0] ** 0.5).tolist() if cell == "lstm" else None] for epoch in (0, 1)],
                "gates": [
                    [{"z": [0.0, 0.01]} if cell == "gru" else {}],
                    [{"z": [0.125, 0.5]} if cell == "gru" else {}],
                ],
            }
            (folder / "gradient_flow.json").write_text(json.dumps(flow), encoding="utf-8")
    failed = record("elman", 0, None, data=data, status="failed", error="RunError: the loss is nan at step 3")
    write_run(root / "elman" / "seed-0", failed)
    return root


def write_curves(folder: Path, scores: Sequence[float]) -> None:
    """Write metrics.csv: one row an epoch."""
    lines = [f"{epoch},{10 * (epoch + 1)},{score},{score * 0.9}" for epoch, score in enumerate(scores)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,step,val/mse,train/loss", *lines]) + "\n", encoding="utf-8")
