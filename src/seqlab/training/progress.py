"""A progress bar refreshed by the clock, and the time of a step; neither costs anything that can be measured."""

from __future__ import annotations

import statistics
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from seqlab.tasks import SequenceTask

REFRESH_SECONDS = 1.0
#: Step times kept for the median: enough for it to stand still, few enough to forget.
KEPT = 4096


class StepTimer(Callback):
    """Keeps the wall time of optimiser steps."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.began = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Note when the step began."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep how long it took."""
        if len(self.times) < KEPT:
            self.times.append(time.perf_counter() - self.began)

    @property
    def median(self) -> float | None:
        """Return the median seconds of a step, the first left out; None before the second."""
        return statistics.median(self.times[1:]) if len(self.times) > 1 else None


class Bar(Callback):
    """One line: epoch, steps, time, and the monitored score.

    Args:
        title: what is trained.
        monitor: the score to show.
        console: where to draw.
    """

    def __init__(self, title: str, monitor: str, console: Console) -> None:
        self.monitor = monitor
        self.drawn = 0.0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self.line = self.progress.add_task(title, score="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start drawing."""
        if trainer.is_global_zero and isinstance(pl_module, SequenceTask):
            self.progress.update(self.line, total=pl_module.total_steps)
            self.progress.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Redraw if a second has passed."""
        now = time.monotonic()
        if now - self.drawn >= REFRESH_SECONDS and trainer.is_global_zero:
            self.drawn = now
            self.progress.update(self.line, completed=trainer.global_step, refresh=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the newest score at the next redraw."""
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and trainer.is_global_zero:
            self.progress.update(
                self.line, score=f"epoch {trainer.current_epoch + 1}  {self.monitor} {float(score):.4g}"
            )

    def on_train_end(self, *_: Any) -> None:
        """Take the line away."""
        self.progress.stop()

    def on_exception(self, *_: Any) -> None:
        """Take the line away."""
        self.progress.stop()
