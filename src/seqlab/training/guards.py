"""What stops a run early and says why: a loss that is not finite, memory that is not there, a full disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from seqlab.data import Batch
from seqlab.errors import RunError, SeqlabError, refusal_of
from seqlab.runs.files import replacing

BAD_BATCH_FILE = "bad_batch.pt"


class Guard(Callback):
    """Stops at a loss that is not finite and keeps the batch, or leaves a bounded number of such steps out.

    The check costs one comparison a step on a CPU. Steps are left out by zeroing their gradients before the optimiser
    sees them.

    Args:
        folder: the run's; the batch is saved there.
        skip: steps that may be left out before the run stops.
    """

    def __init__(self, folder: Path, skip: int) -> None:
        self.folder, self.skip = folder, skip
        self.skipped = 0
        self.batch: tuple[Batch, int] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps were left out, for the checkpoint."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Remember the batch."""
        self.batch = (batch, batch_idx)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at the loss before it spoils the weights."""
        if math.isfinite(loss.item()):
            return
        if self.skipped >= self.skip:
            raise self._stop(trainer, float(loss.detach()))
        self.skipped += 1
        self.drop = True

    drop = False

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the gradients of a step that is left out."""
        if self.drop:
            for parameter in pl_module.parameters():
                parameter.grad = None
            self.drop = False

    def _stop(self, trainer: Trainer, loss: float) -> RunError:
        assert self.batch is not None
        batch, number = self.batch
        with replacing(self.folder / BAD_BATCH_FILE) as file:
            torch.save({k: v for k, v in vars(batch).items() if v is not None}, file)
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        finite = bool(torch.isfinite(batch.x.double()).all())
        cause = (
            "Its input is finite: lower optimizer.lr or trainer.gradient_clip_val"
            if finite
            else "Its input is not finite"
        )
        return RunError(
            f"The loss became {loss} at step {trainer.global_step}, epoch {trainer.current_epoch}, batch {number}"
            f" (learning rate {rate:g}). {cause}; the batch is in {BAD_BATCH_FILE}."
            " trainer.on_nan=skip_10 leaves out up to ten such steps."
        )


@contextmanager
def house_errors() -> Iterator[None]:
    """Raise the house's error for what the machine ran out of; anything else passes as it is."""
    try:
        yield
    except Exception as error:
        told = explained(error)
        if told is error:
            raise
        raise told from error


def explained(error: BaseException) -> BaseException:
    """Return the house's error for what the machine ran out of; anything else as it is."""
    if isinstance(error, SeqlabError):
        return error
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return RunError(
            f"Out of memory: {text.splitlines()[0] if text else 'no more could be had'}."
            " Lower data.batch_size (trainer.accumulate_grad_batches makes up for it), model.hidden_size or"
            " data.lookback, or set task.tbptt."
        )
    refused = _refusal(error)
    if refused is None:
        return error
    return refusal_of(refused) or error


def _refusal(error: BaseException) -> OSError | None:
    """Return the system's error: torch, halfway through a checkpoint, hides it behind one of its own."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, RuntimeError) and ("inline_container" in str(error) or "PytorchStreamWriter" in str(error)):
        cause = error.__cause__ or error.__context__
        return _refusal(cause) if cause is not None else None
    return None
