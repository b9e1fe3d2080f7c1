"""Sweeps in this very process: real planning and Hydra's basic launcher, with training stood in for where asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig

from seqlab.__main__ import main
from seqlab.runs import Run
from seqlab.training import pipeline
from seqlab.training.request import Request

#: What makes a real run take half a second.
QUICK = ("trainer=debug", "data=co2", "data.lookback=12", "data.horizon=4", "model.hidden_size=4")
Sweep = Callable[..., int]


class Trainer:
    """Stands in for training: writes a completed record at once, or does as the test says.

    Attributes:
        trained: cell and seed of every run that was begun, in order.
        fails: cells whose runs raise.
        when: called with the request of each run before it completes.
    """

    def __init__(self) -> None:
        self.trained: list[tuple[str, int]] = []
        self.fails: set[str] = set()
        self.when: Callable[[Request], None] = lambda request: None

    def __call__(self, request: Request) -> Run:
        cell, seed = request.choices["cell"], request.config["seed"]
        self.trained.append((cell, seed))
        if cell in self.fails:
            raise RuntimeError(f"{cell} is not in the mood\nand says more")
        self.when(request)
        run = completed(request, seed + len(cell) / 10)
        run.save()
        return run


def completed(asked: Request, score: float, **entries: Any) -> Run:
    """A finished record for a request; not written."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    return pipeline._asked(asked).updated(
        status="completed",
        metrics={"val/mse": score, "test/mse": score + 1},
        metric_info={"mse": {"higher_is_better": False, "definition": "x"}},
        parameters=1,
        state_size=1,
        seconds={"total": 2.0, "fit": 1.0, "step": 0.1},
        **entries,
    )


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, remembered: None) -> Trainer:
    """Training stood in for."""
    stand_in = Trainer()
    monkeypatch.setattr(pipeline, "run_request", stand_in)
    monkeypatch.setattr(pipeline, "environment", dict)
    monkeypatch.setattr("seqlab.sweep.summary.environment", dict)
    monkeypatch.setattr("seqlab.sweep.sweeper.WAIT_SECONDS", 0.05)
    return stand_in


_composed: dict[str, DictConfig] = {}


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs that are composed once: composing takes most of the time of a sweep that trains nothing."""
    compose = ConfigLoaderImpl.load_configuration

    def once(self: ConfigLoaderImpl, config_name: str, overrides: list[str], *rest: Any, **named: Any) -> DictConfig:
        key = repr((config_name, list(overrides), rest, sorted(named.items())))
        if key not in _composed:
            _composed[key] = compose(self, config_name, overrides, *rest, **named)
        return _composed[key].copy()

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", once)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """``seqlab train -m`` in this process, one job after the other; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seqlab.sweep.processes.warm_up", lambda: None)

    def run(*overrides: str) -> int:
        return main(["train", "-m", *QUICK, "hydra/launcher=basic", *overrides])

    return run
