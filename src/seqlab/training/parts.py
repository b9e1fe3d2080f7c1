"""From a config to the parts of a run: data, task (with its model), optimiser and schedule."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from seqlab.cells import RecurrentCell
from seqlab.config import build, factory, resolve_class
from seqlab.data import SequenceData, Spec
from seqlab.nn import SequenceModel
from seqlab.tasks import SequenceTask

#: A number of parameters from which the model's width was solved; no constructor's business.
BUDGET_KEY = "parameter_budget"


def make_data(config: Mapping[str, Any]) -> SequenceData:
    """Build the data module and prepare it."""
    data = build(config["data"], SequenceData, "data")
    data.setup()
    return data


def make_task(config: Mapping[str, Any], spec: Spec) -> SequenceTask:
    """Build the task and its model on what the data decides.

    Args:
        config: the resolved config.
        spec: of the data, after ``setup``.
    """
    cell = factory(config["cell"], RecurrentCell, "cell")
    model = factory({k: v for k, v in config["model"].items() if k != BUDGET_KEY}, SequenceModel, "model")
    return build(
        config["task"],
        SequenceTask,
        "task",
        spec=spec,
        make_model=lambda **given: model(cell=cell, **given),
        make_optimizer=factory(config["optimizer"], Optimizer, "optimizer"),
        make_scheduler=_scheduler(config.get("scheduler")),
    )


def _scheduler(node: Mapping[str, Any] | None) -> Any:
    """Return what a task calls as ``make(optimizer, total_steps=..., mode=...)``; None for a constant rate."""
    if not node:
        return None
    make = factory(node, LRScheduler, "scheduler")
    cls = resolve_class(node["_target_"], LRScheduler)
    wanted = (
        {"mode"} if issubclass(cls, ReduceLROnPlateau) else set(inspect.signature(cls).parameters) & {"total_steps"}
    )
    return lambda optimizer, **run: make(optimizer=optimizer, **{k: run[k] for k in wanted if k not in node})
