"""Single-label classification of whole sequences, and one label a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError, did_you_mean
from seqlab.tasks._base import ModelFactory, OptimizerFactory, SchedulerFactory, SequenceTask
from seqlab.tasks.metrics import classification_metrics, labelling_metrics

IGNORED = -100  # cross_entropy's own mark for a step without a label
ClassWeights = Literal["none", "balanced"]


class _Labels(SequenceTask):
    """Cross-entropy with class weights and label smoothing, over whatever carries a label."""

    def __init__(
        self,
        spec: Spec,
        make_model: ModelFactory,
        make_optimizer: OptimizerFactory | None = None,
        make_scheduler: SchedulerFactory | None = None,
        *,
        class_weights: ClassWeights = "none",
        label_smoothing: float = 0.0,
        monitor: str = "val/accuracy",
        tbptt: int = 0,
    ) -> None:
        if class_weights not in get_args(ClassWeights):
            hint = did_you_mean(str(class_weights), get_args(ClassWeights))
            raise RequestError(f"task.class_weights={class_weights!r} is unknown.{hint}")
        if not 0 <= label_smoothing < 1:
            raise RequestError(f"task.label_smoothing must lie in [0, 1); got {label_smoothing}.")
        super().__init__(spec, make_model, make_optimizer, make_scheduler, monitor=monitor, tbptt=tbptt)
        self.label_smoothing = label_smoothing
        self.weights: Tensor | None
        self.register_buffer("weights", _balanced(spec) if class_weights == "balanced" else None, persistent=False)

    def loss(self, prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy summed over labels, and the labels' summed weight."""
        assert batch.y is not None
        labels = batch.y.reshape(-1)
        total = cross_entropy(
            prediction.reshape(-1, prediction.shape[-1]),
            labels,
            weight=self.weights,
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        real = labels != IGNORED
        count = real.sum().to(total.dtype) if self.weights is None else self.weights[labels[real]].sum()
        return total, count


def _balanced(spec: Spec) -> Tensor:
    """Return weights inverse to the training counts, with mean 1 over examples."""
    counts = torch.tensor(spec.class_counts, dtype=torch.float32)
    if counts.numel() != spec.output_size or (counts == 0).any():
        raise RequestError("task.class_weights=balanced needs at least one training example of every class.")
    return counts.sum() / (len(counts) * counts)


class Classification(_Labels):
    """One label a sequence; the prediction is logits (B, C).

    Args:
        spec: what the data decides.
        make_model: builds the model.
        make_optimizer: builds the optimiser.
        make_scheduler: builds the schedule.
        class_weights: none, or balanced (inverse to the training counts).
        label_smoothing: share of each label spread over all classes (Szegedy et al. 2016, section 7).
        monitor: the validation score that chooses the checkpoint.
        tbptt: steps after which the graph is cut; 0 never.
    """

    kind = "classification"

    def make_metrics(self) -> Mapping[str, Metric]:
        """Return the classification scores; with graded classes also those of order."""
        return classification_metrics(self.spec)


class Labelling(_Labels):
    """One label a step; the prediction is logits (B, T, C). Arguments as for Classification."""

    kind = "labelling"

    def make_metrics(self) -> Mapping[str, Metric]:
        """Return the scores over labelled steps."""
        return labelling_metrics(self.spec)
