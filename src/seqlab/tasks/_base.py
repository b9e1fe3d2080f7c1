"""What every task shares: the step, the scores of each split, the optimiser and its schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import Metric

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError, did_you_mean
from seqlab.nn import SequenceModel
from seqlab.tasks.metrics import metric_info
from seqlab.tasks.optim import parameter_groups, scale_rates
from seqlab.tasks.plain import PlainlySet
from seqlab.tasks.scores import sharing

ModelFactory = Callable[..., SequenceModel]
OptimizerFactory = Callable[..., Optimizer]
SchedulerFactory = Callable[..., LRScheduler]


class MeanLoss(PlainlySet, Metric):
    """Mean of summed losses, kept in the state dict so that a resumed epoch goes on counting."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum", persistent=True)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum", persistent=True)

    def update(self, total: Tensor, count: Tensor) -> None:
        """Add a batch's summed loss and the number of its terms."""
        self.total += total
        self.count += count

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.count


class SequenceTask(PlainlySet, LightningModule, ABC):
    """A LightningModule over a SequenceModel: loss, scores and optimiser for one kind of data.

    Args:
        spec: what the data decides.
        make_model: builds the model from ``spec`` and ``outputs`` (values per target).
        make_optimizer: builds the optimiser from parameter groups; None when only predicting.
        make_scheduler: builds the schedule, given the optimiser, ``total_steps`` and the monitor's ``mode``; None for a
            constant rate.
        monitor: the validation score that chooses the best checkpoint, ``val/...``.
        tbptt: steps after which the graph is cut while the state is carried on; 0 never cuts.
    """

    kind: ClassVar[str]
    #: Values per target that the model returns.
    outputs: int = 1

    def __init__(
        self,
        spec: Spec,
        make_model: ModelFactory,
        make_optimizer: OptimizerFactory | None = None,
        make_scheduler: SchedulerFactory | None = None,
        *,
        monitor: str,
        tbptt: int = 0,
    ) -> None:
        super().__init__()
        if spec.kind != self.kind:
            raise RequestError(
                f"task: {type(self).__name__} needs data of the kind {self.kind!r};"
                f" this data is of the kind {spec.kind!r}. Leave `task=` out, and the data brings its own."
            )
        if tbptt < 0:
            raise RequestError(f"task.tbptt must be 0 (off) or a number of steps; got {tbptt}.")
        self.spec, self.tbptt, self.monitor = spec, tbptt, monitor
        self.make_optimizer, self.make_scheduler = make_optimizer, make_scheduler
        #: Optimiser steps of the whole run, for schedules. Lightning's own estimate would start the training loader
        #: before a resumed run has put it in its place.
        self.total_steps = 1
        self.model = make_model(spec=spec, outputs=self.outputs)
        self.train_loss = MeanLoss()
        self.val_loss = MeanLoss()
        self.val_scores = nn.ModuleDict(self.make_metrics())
        _check_monitor(monitor, {"loss", *self.val_scores})

    @abstractmethod
    def make_metrics(self) -> Mapping[str, Metric]:
        """Return fresh scores by name; each takes ``update(prediction, batch)``."""

    @abstractmethod
    def loss(self, prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the summed loss and the number of its terms, both scalars."""

    @property
    def higher_is_better(self) -> bool:
        """Return the direction of the monitored score."""
        return metric_info(self.monitor.partition("/")[2])["higher_is_better"]

    def forward(self, batch: Batch) -> Tensor:
        """Return the model's prediction for a batch; its shape is the kind's."""
        prediction: Tensor = self.model(batch)
        return prediction

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the mean loss over the global batch, so that two processes equal one."""
        total, count = self.loss(self.model(batch, tbptt=self.tbptt), batch)
        self.train_loss.update(total.detach(), count)
        if self.trainer.world_size == 1:
            return total / count.clamp(min=1)
        everywhere = self.trainer.strategy.reduce(count.clone(), reduce_op="sum")
        assert isinstance(everywhere, Tensor)
        return total * self.trainer.world_size / everywhere.clamp(min=1)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean training loss."""
        self.log("train/loss", self.train_loss.compute())
        self.train_loss.reset()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Count one validation batch."""
        self.count_batch(self(batch), batch, self.val_loss, dict(self.val_scores.items()))

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores, reduced over processes."""
        self.log("val/loss", self.val_loss.compute())
        for name, metric in self.val_scores.items():
            assert isinstance(metric, Metric)
            value = metric.compute()
            self.log(f"val/{name}", value if value.is_floating_point() else value.double())
            metric.reset()
        self.val_loss.reset()

    def count_batch(self, prediction: Tensor, batch: Batch, loss: MeanLoss, scores: Mapping[str, Any]) -> None:
        """Add a batch to a loss and to scores; a process with nothing of the batch adds nothing."""
        if len(batch) == 0:
            return
        loss.update(*self.loss(prediction, batch))
        with sharing():
            for metric in scores.values():
                metric.update(prediction, batch)

    def configure_optimizers(self) -> Any:
        """Return the optimiser over the model's parameter groups, and its schedule."""
        assert self.make_optimizer is not None
        optimizer = scale_rates(self.make_optimizer(params=parameter_groups(self.model)))
        if self.make_scheduler is None:
            return optimizer
        schedule = self.make_scheduler(
            optimizer,
            total_steps=self.total_steps,
            mode="max" if self.higher_is_better else "min",
        )
        if isinstance(schedule, ReduceLROnPlateau):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": self.monitor}}
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": getattr(schedule, "interval", "epoch")},
        }


def _check_monitor(monitor: str, names: set[str]) -> None:
    split, _, name = monitor.partition("/")
    if split == "test":
        raise RequestError(
            f"task.monitor={monitor}: the test split is touched once, after the choice."
            f" Monitor val/{name or 'loss'} instead."
        )
    if split != "val" or name not in names:
        known = {f"val/{n}" for n in names}
        raise RequestError(f"task.monitor={monitor} is not a validation score.{did_you_mean(monitor, known)}")
