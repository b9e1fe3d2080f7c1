"""Saving and taking up a run so that nobody can tell it was interrupted.

Lightning saves weights, optimiser, schedules and callbacks. What it loses is kept here: random states, the metrics that
callbacks look at, running sums and log rows. This is the one file that leans on Lightning's private names
(``_should_accumulate``, ``_should_check_val_fx``, ``_num_ready_batches_reached``, ``_logger_connector``).
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from seqlab.tasks import SequenceTask
from seqlab.training.checkpoints import FOLDER, LAST
from seqlab.training.loggers import MetricsFile

KEY = "seqlab"


def random_states() -> dict[str, Any]:
    """Return Python's, NumPy's and torch's random states as plain values that a safe load accepts."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": (version, tuple(numbers), gauss),
        "numpy": (
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Put the random states back."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def _between_steps(trainer: Trainer) -> bool:
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return not (loop._should_accumulate() or loop._num_ready_batches_reached() or loop._should_check_val_fx(fetcher))


class Resume(Checkpoint):
    """Writes last.ckpt between optimiser steps, and restores on start what Lightning leaves out.

    A step that accumulates, ends the epoch or sets off validation is no place to save; the next one is. So each
    epoch's checkpoint is written after the first step of the next.

    Args:
        folder: the run's.
        log: the file of metrics whose rows are part of the state; None without one.
        every_n_steps: optimiser steps between checkpoints, besides the epochs'; None for the epochs' alone.
        every_n_minutes: minutes between checkpoints, besides the epochs'.
        min_seconds: epochs shorter than this share a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        log: MetricsFile | None,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
        min_seconds: float = 1.0,
    ) -> None:
        self.file, self.rows = folder / FOLDER / LAST, log
        self.every_n_steps, self.every_n_minutes, self.min_seconds = every_n_steps, every_n_minutes, min_seconds
        self.saved_at, self.saved_step, self.saved_epoch = time.monotonic(), 0, 0
        self.elapsed_before, self.began = 0.0, time.monotonic()
        self.restored: dict[str, Any] | None = None

    @property
    def elapsed(self) -> float:
        """Return seconds of training, those before an interruption counted in."""
        return self.elapsed_before + time.monotonic() - self.began

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time and the place is right; on SIGTERM save and leave."""
        if trainer.fit_loop.restarting:
            trainer.fit_loop.restarting = False  # else a plateau schedule skips its update at a resumed epoch's end
        stop = trainer.received_sigterm
        if (stop or self._due(trainer)) and _between_steps(trainer):
            trainer.save_checkpoint(self.file)
            self.saved_at, self.saved_step, self.saved_epoch = (
                time.monotonic(),
                trainer.global_step,
                trainer.current_epoch,
            )
        if stop:
            raise SIGTERMException

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Leave on SIGTERM; the last checkpoint stands."""
        if trainer.received_sigterm:
            raise SIGTERMException

    def _due(self, trainer: Trainer) -> bool:
        """Every process must answer alike; the clock is read by the first and told to the others."""
        if self.every_n_steps and trainer.global_step - self.saved_step >= self.every_n_steps:
            return True
        quiet = time.monotonic() - self.saved_at
        timely = trainer.current_epoch > self.saved_epoch and quiet >= self.min_seconds
        timely = timely or (self.every_n_minutes is not None and quiet >= 60 * self.every_n_minutes)
        return bool(trainer.strategy.broadcast(timely)) if trainer.world_size > 1 else timely

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning leaves out, for every process."""
        if "loops" not in checkpoint:  # weights alone, for best.ckpt
            return
        assert isinstance(pl_module, SequenceTask)
        own = {
            "random": random_states(),
            "train_loss": (pl_module.train_loss.total.cpu(), pl_module.train_loss.count.cpu()),
        }
        everyone = [own]
        if trainer.world_size > 1:
            everyone = [{} for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(everyone, own)
        checkpoint[KEY] = {
            "processes": everyone,
            "callback_metrics": {k: v.detach().cpu() for k, v in trainer.callback_metrics.items()},
            "log": self.rows.state_dict() if self.rows else None,
            "elapsed": self.elapsed,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the saved part until training starts."""
        self.restored = checkpoint[KEY]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back what was saved, as the last thing before the first step."""
        self.began = self.saved_at = time.monotonic()
        self.saved_step, self.saved_epoch = trainer.global_step, trainer.current_epoch
        if self.restored is None:
            return
        saved, self.restored = self.restored, None
        if len(saved["processes"]) != trainer.world_size:
            trainer.print(
                f"The run was interrupted with {len(saved['processes'])} processes and goes on with"
                f" {trainer.world_size}: it won't equal an uninterrupted one bit for bit."
            )
        own = saved["processes"][trainer.global_rank % len(saved["processes"])]
        assert isinstance(pl_module, SequenceTask)
        pl_module.train_loss.total.copy_(own["train_loss"][0])
        pl_module.train_loss.count.copy_(own["train_loss"][1])
        trainer._logger_connector._callback_metrics.update(
            {k: v.to(pl_module.device) for k, v in saved["callback_metrics"].items()}
        )
        self.elapsed_before = saved["elapsed"]
        if self.rows and saved["log"] is not None:
            self.rows.load_state_dict(saved["log"])
        set_random_states(own["random"])
