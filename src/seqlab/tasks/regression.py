"""Regression of whole sequences, and the next step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss
from torchmetrics import Metric

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError, did_you_mean
from seqlab.tasks._base import ModelFactory, OptimizerFactory, SchedulerFactory, SequenceTask
from seqlab.tasks.metrics import next_step_metrics, regression_metrics

NextStepLoss = Literal["bernoulli", "mse"]


class Regression(SequenceTask):
    """O values a sequence; the prediction is (B, O).

    Args:
        spec: what the data decides.
        make_model: builds the model.
        make_optimizer: builds the optimiser.
        make_scheduler: builds the schedule.
        monitor: the validation score that chooses the checkpoint.
        tbptt: steps after which the graph is cut; 0 never.
    """

    kind = "regression"

    def __init__(
        self,
        spec: Spec,
        make_model: ModelFactory,
        make_optimizer: OptimizerFactory | None = None,
        make_scheduler: SchedulerFactory | None = None,
        *,
        monitor: str = "val/mse",
        tbptt: int = 0,
    ) -> None:
        super().__init__(spec, make_model, make_optimizer, make_scheduler, monitor=monitor, tbptt=tbptt)

    def make_metrics(self) -> Mapping[str, Metric]:
        """Return the regression scores."""
        return regression_metrics(self.spec)

    def loss(self, prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the squared error summed over (B, O), and the number of values."""
        assert batch.y is not None
        total = mse_loss(prediction, batch.y, reduction="sum")
        return total, torch.tensor(float(prediction.numel()), device=total.device)


class NextStep(SequenceTask):
    """The next step's O values at every step; the prediction is (B, T, O).

    Args:
        spec: what the data decides.
        make_model: builds the model.
        make_optimizer: builds the optimiser.
        make_scheduler: builds the schedule.
        loss: bernoulli (logits of on/off values, summed over O as in Boulanger-Lewandowski et al. 2012) or mse.
        monitor: the validation score that chooses the checkpoint.
        tbptt: steps after which the graph is cut; 0 never.
    """

    kind = "next_step"

    def __init__(
        self,
        spec: Spec,
        make_model: ModelFactory,
        make_optimizer: OptimizerFactory | None = None,
        make_scheduler: SchedulerFactory | None = None,
        *,
        loss: NextStepLoss = "bernoulli",
        monitor: str = "val/nll",
        tbptt: int = 0,
    ) -> None:
        if loss not in get_args(NextStepLoss):
            raise RequestError(f"task.loss={loss!r} is unknown.{did_you_mean(str(loss), get_args(NextStepLoss))}")
        self.loss_name = loss
        super().__init__(spec, make_model, make_optimizer, make_scheduler, monitor=monitor, tbptt=tbptt)

    def make_metrics(self) -> Mapping[str, Metric]:
        """Return the scores over real frames."""
        return next_step_metrics(self.spec)

    def loss(self, prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss summed over real frames, and the number of frames."""
        assert batch.y is not None
        function = binary_cross_entropy_with_logits if self.loss_name == "bernoulli" else mse_loss
        frames = function(prediction, batch.y, reduction="none").sum(-1)
        if batch.lengths is None:
            return frames.sum(), torch.tensor(float(frames.numel()), device=frames.device)
        real = torch.arange(frames.shape[1], device=frames.device) < batch.lengths.unsqueeze(1)
        return torch.where(real, frames, 0.0).sum(), real.sum().to(frames.dtype)
