"""The same experiment has one folder; another never shares it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from seqlab.runs.identity import identity

CONFIG: dict[str, Any] = {
    "seed": 0,
    "output_dir": "outputs",
    "name": "x",
    "data": {"_target_": "collections.OrderedDict", "path": "a.csv", "lookback": 8},
    "cell": {},
    "model": {"hidden_size": 4},
    "task": {},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "scheduler": {},
    "trainer": {"max_epochs": 3, "enable_progress_bar": True, "checkpoint": {"best": True}, "max_time": None},
    "logger": {"csv": True},
}
CONFIG["data"].pop("_target_")


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    node = config
    *parents, last = path.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 1),
        ("output_dir", "elsewhere"),
        ("name", "y"),
        ("logger", {}),
        ("data.path", "/moved/a.csv"),
        ("data.num_workers", 2),
        ("trainer.enable_progress_bar", False),
        ("trainer.checkpoint", {"every_n_steps": 5}),
        ("trainer.max_time", {}),
        ("optimizer.betas", [0.9, 0.999]),
        ("optimizer.eps", 1e-8),
    ],
)
def test_what_does_not_count(path: str, value: Any) -> None:
    assert identity(changed(path, value), "f") == identity(CONFIG, "f")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.lookback", 9),
        ("model.hidden_size", 5),
        ("optimizer.lr", 0.02),
        ("optimizer.betas", [0.8, 0.999]),
        ("trainer.max_epochs", 4),
        ("trainer.precision", "bf16-mixed"),
    ],
)
def test_what_counts(path: str, value: Any) -> None:
    assert identity(changed(path, value), "f") != identity(CONFIG, "f")


def test_other_data_is_another_experiment() -> None:
    assert identity(CONFIG, "f") != identity(CONFIG, "g")


def test_one_and_one_point_zero_are_the_same_value() -> None:
    assert identity(changed("optimizer.lr", 1), "f") == identity(changed("optimizer.lr", 1.0), "f")
