"""``trainer.find_lr=true``: a learning rate from a short sweep before training (Smith 2017, arXiv:1506.01186).

The rate grows geometrically from step to step until the loss blows up; the one at which the smoothed loss fell fastest
is taken. Weights, random states and the order of the data are afterwards as if nothing had happened.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.optim import Optimizer

from seqlab.config import factory
from seqlab.data import Loader
from seqlab.errors import RequestError, RunError
from seqlab.runs.files import replacing, write_text
from seqlab.tasks import SequenceTask
from seqlab.training.resume import random_states, set_random_states
from seqlab.training.trainer import make_trainer

log = logging.getLogger("seqlab")
NUMBERS_FILE, PLOT_FILE = "find_lr.json", "find_lr.png"
LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 100
#: Weight of the past in the running mean of the loss, and how far it may rise above its least before the sweep ends.
SMOOTHING, BLOW_UP = 0.9, 4.0
#: Steps at either end that are no answer: the mean is still settling, or the loss already rising.
FIRST, LAST = 10, 5


class RateSweep(Checkpoint):
    """Sets the rate before each step and notes the smoothed loss after it; stops where that blows up.

    Groups of parameters whose cell asks for a smaller rate keep their share of it. It is a Checkpoint so that Lightning
    adds none of its own.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.mean = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate of the step to come."""
        groups = trainer.optimizers[0].param_groups
        if trainer.global_step == 0 and not self.rates:
            largest = max(group["lr"] for group in groups)
            self.shares = [group["lr"] / largest for group in groups]
        rate = LOWEST * (HIGHEST / LOWEST) ** (trainer.global_step / (STEPS - 1))
        for group, share in zip(groups, self.shares, strict=True):
            group["lr"] = rate * share
        self.rate = rate

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss."""
        loss = float(outputs["loss"])
        self.mean = SMOOTHING * self.mean + (1 - SMOOTHING) * loss
        smooth = self.mean / (1 - SMOOTHING ** (len(self.losses) + 1))
        if not math.isfinite(loss) or (self.losses and smooth > BLOW_UP * min(self.losses)):
            trainer.should_stop = True
            return
        self.rates.append(self.rate)
        self.losses.append(smooth)


def use_found_rate(task: SequenceTask, config: Mapping[str, Any], folder: Path, loader: Loader) -> float:
    """Give ``task`` the found learning rate and return it; one found before an interruption is used again.

    Args:
        task: with its first weights.
        config: the run's.
        folder: the run's; numbers and plot go there.
        loader: of the training batches, for the sweep alone.

    Raises:
        RequestError: the run has several processes, or an optimiser without a learning rate.
        RunError: no rate made the loss fall.
    """
    optimizer = config["optimizer"]
    if "lr" not in optimizer:
        raise RequestError("trainer.find_lr=true needs an optimizer with the key lr.")
    file = folder / NUMBERS_FILE
    if file.exists():
        found = float(json.loads(file.read_text(encoding="utf-8"))["found"])
    else:
        found = _sweep(task, config, folder, loader)
    log.info("Learning rate %.6g, found by a sweep; optimizer.lr=%s is not used.", found, optimizer["lr"])
    task.make_optimizer = factory({**optimizer, "lr": found}, Optimizer, "optimizer")
    return found


def _sweep(task: SequenceTask, config: Mapping[str, Any], folder: Path, loader: Loader) -> float:
    trial, sweep = copy.deepcopy(task), RateSweep()
    trial.make_scheduler = None
    node = {
        **config["trainer"],
        **{"max_epochs": -1, "max_steps": STEPS, "max_time": None, "limit_val_batches": 0, "val_check_interval": None},
        **{"early_stopping": {}, "checkpoint": {"best": False}, "on_nan": "stop", "find_lr": False},
    }
    states = random_states()
    try:
        trainer = make_trainer(node, trial, folder, [], [sweep])
        if trainer.world_size > 1:
            raise RequestError(
                "trainer.find_lr=true works in one process. Find the rate with trainer=cpu or trainer=gpu, then give it"
                " as optimizer.lr."
            )
        trainer.fit(trial, loader, loader)  # none of the second is used; Lightning warns without it
    finally:
        set_random_states(states)
    found = suggestion(sweep.rates, sweep.losses)
    table = [{"lr": rate, "loss": loss} for rate, loss in zip(sweep.rates, sweep.losses, strict=True)]
    _plot(folder / PLOT_FILE, sweep, found)
    write_text(folder / NUMBERS_FILE, json.dumps({"found": found, "sweep": table}, indent=1) + "\n")
    return found


def suggestion(rates: list[float], losses: list[float]) -> float:
    """Return the rate at which the smoothed loss falls fastest over the logarithm of the rate.

    Raises:
        RunError: there are too few steps, or the loss never falls.
    """
    inner = slice(FIRST, len(rates) - LAST)
    if len(rates[inner]) < 2:
        raise RunError(
            f"trainer.find_lr: the loss blew up after {len(rates)} steps, at a learning rate of"
            f" {rates[-1] if rates else LOWEST:g}. Give optimizer.lr yourself, and look at the scale of the data."
        )
    slopes = np.gradient(np.array(losses), np.log(rates))[inner]
    best = int(slopes.argmin())
    if slopes[best] >= 0:
        raise RunError(
            f"trainer.find_lr: no learning rate from {LOWEST:g} to {rates[-1]:g} made the loss fall within"
            f" {STEPS} steps. Give optimizer.lr yourself."
        )
    return float(f"{rates[inner][best]:.3g}")  # a rate that can be typed


def _plot(file: Path, sweep: RateSweep, found: float) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(sweep.rates, sweep.losses)
    axes.axvline(found, linestyle="--", color="tab:red", label=f"found: {found:g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss (running mean)")
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    with replacing(file) as stream:
        stream.write(picture.getvalue())
