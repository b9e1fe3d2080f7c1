"""Forecasting: K steps ahead of O series, scored in scaled and in original units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError, did_you_mean
from seqlab.tasks._base import ModelFactory, OptimizerFactory, SchedulerFactory, SequenceTask
from seqlab.tasks.metrics import forecasting_metrics

Loss = Literal["mse", "mae", "huber", "pinball"]


class Forecasting(SequenceTask):
    """Forecast ``horizon`` steps; the prediction is (B, K, O), or (B, K, O, Q) with quantiles.

    Args:
        spec: what the data decides.
        make_model: builds the model.
        make_optimizer: builds the optimiser.
        make_scheduler: builds the schedule.
        loss: mse, mae, huber (threshold 1), or pinball (Koenker and Bassett 1978), which needs ``quantiles``.
        quantiles: levels in (0, 1) to forecast instead of one value; the median must be among them.
        monitor: the validation score that chooses the checkpoint.
        tbptt: steps after which the graph is cut; 0 never.
    """

    kind = "forecasting"

    def __init__(
        self,
        spec: Spec,
        make_model: ModelFactory,
        make_optimizer: OptimizerFactory | None = None,
        make_scheduler: SchedulerFactory | None = None,
        *,
        loss: Loss = "mse",
        quantiles: Sequence[float] = (),
        monitor: str = "val/mse",
        tbptt: int = 0,
    ) -> None:
        if loss not in get_args(Loss):
            raise RequestError(f"task.loss={loss!r} is unknown.{did_you_mean(str(loss), get_args(Loss))}")
        if (loss == "pinball") != bool(quantiles):
            raise RequestError(
                f"task.loss=pinball and task.quantiles go together; got loss={loss}, quantiles={list(quantiles)}."
            )
        if quantiles and (
            0.5 not in quantiles
            or list(quantiles) != sorted(set(quantiles))
            or not 0 < quantiles[0] <= quantiles[-1] < 1
        ):
            raise RequestError(f"task.quantiles must rise within (0, 1) and hold 0.5; got {list(quantiles)}.")
        self.loss_name, self.quantiles, self.outputs = loss, tuple(quantiles), max(1, len(quantiles))
        super().__init__(spec, make_model, make_optimizer, make_scheduler, monitor=monitor, tbptt=tbptt)
        self.levels: Tensor
        self.register_buffer("levels", torch.tensor(self.quantiles), persistent=False)

    def make_metrics(self) -> Mapping[str, Metric]:
        """Return the forecasting scores by their published definitions."""
        return forecasting_metrics(self.spec, self.quantiles)

    def loss(self, prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss summed over (B, K, O) and the number of observed targets."""
        assert batch.y is not None
        if self.quantiles:
            miss = batch.y.unsqueeze(-1) - prediction
            terms = torch.maximum(self.levels * miss, (self.levels - 1) * miss).mean(-1)
        else:
            miss = batch.y - prediction
            terms = _LOSSES[self.loss_name](miss)
        if batch.y_mask is None:
            return terms.sum(), torch.tensor(float(terms.numel()), device=terms.device)
        return (terms * batch.y_mask).sum(), batch.y_mask.sum()


def _huber(miss: Tensor) -> Tensor:
    return torch.nn.functional.huber_loss(miss, torch.zeros_like(miss), reduction="none")


_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"mse": torch.square, "mae": torch.abs, "huber": _huber}
