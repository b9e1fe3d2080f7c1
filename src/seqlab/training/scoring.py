"""One pass over a split: the model's scores and the trivial predictors', on the very same batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from seqlab.data import Batches, Loader, SequenceData, Split
from seqlab.tasks import MeanLoss, SequenceTask
from seqlab.tasks.metrics import confusion_matrix, metric_info
from seqlab.tasks.scores import sharing

Array = NDArray[Any]


@dataclass
class Scores:
    """What one pass found.

    Attributes:
        metrics: flat, ``test/mse``.
        baselines: flat, ``naive/test/mse``.
        confusion: (C, C) counts, true class by predicted; None where there are no classes.
        predictions: arrays index, prediction, target (and lengths); None where they were not kept.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    predictions: dict[str, Array] | None = None


def plain_loader(data: SequenceData, split: Split, rank: int = 0, world: int = 1, num_workers: int = 0) -> Loader:
    """Return a loader that passes once over a split, every example exactly once over all processes."""
    examples = data.examples(split)
    batches = Batches(len(examples), data.batch_size, lengths=examples.lengths, rank=rank, world=world)
    return Loader(examples, batches, num_workers)


def score(
    task: SequenceTask,
    data: SequenceData,
    split: Split,
    *,
    baselines: bool = True,
    keep: bool = False,
    limit: int | None = None,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Scores:
    """Score the task's model on one split; under distributed training each process passes over its share.

    Args:
        task: with the weights to score.
        data: set up.
        split: train, val or test.
        baselines: whether to score the trivial predictors too.
        keep: whether to keep the predictions (gathered over processes).
        limit: batches at most; None for all.
        context: the trainer's precision, entered around the forward pass.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank, world = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
    predictors = data.baselines(split) if baselines else {}
    loss, own = MeanLoss().to(task.device), _metrics(task)
    if task.kind in ("classification", "labelling"):
        own["confusion"] = confusion_matrix(task.spec).to(task.device)
    others = {name: _metrics(task) for name in predictors}
    kept: list[dict[str, Array]] = []
    was_training = task.training
    task.eval()
    with torch.inference_mode():
        for number, batch in enumerate(plain_loader(data, split, rank, world)):
            if limit is not None and number >= limit:
                break
            if len(batch) == 0:
                continue
            here = batch.to(task.device)
            with context():
                prediction = task(here).float()
            task.count_batch(prediction, here, loss, own)
            for name, predictor in predictors.items():
                guess = predictor(batch).to(task.device)
                with sharing():
                    for metric in others[name].values():
                        metric.update(guess, here)
            if keep and here.y is not None:
                kept.append(_arrays(batch.index, prediction, here.y, here.lengths))
        result = Scores({f"{split}/loss": float(loss.compute())})
        for name, metric in own.items():
            value = metric.compute()
            if value.ndim == 2:
                result.confusion = value.long().tolist()
            else:
                result.metrics[f"{split}/{name}"] = float(value)
        for name, metrics in others.items():
            values = {m: metric.compute() for m, metric in metrics.items()}
            result.baselines |= {f"{name}/{split}/{m}": float(v) for m, v in values.items() if v.ndim == 0}
    task.train(was_training)
    if keep:
        result.predictions = _gather(kept, world)
    return result


def _metrics(task: SequenceTask) -> dict[str, Metric]:
    return {name: metric.to(task.device) for name, metric in task.make_metrics().items()}


def _arrays(index: Tensor, prediction: Tensor, target: Tensor, lengths: Tensor | None) -> dict[str, Array]:
    arrays = {"index": index, "prediction": prediction, "target": target}
    if lengths is not None:
        arrays["lengths"] = lengths
    return {k: v.cpu().numpy() for k, v in arrays.items()}


def _gather(kept: list[dict[str, Array]], world: int) -> dict[str, Array] | None:
    """Join batches (over all processes) in the order of their index; steps beyond a batch's longest are zero."""
    if world > 1:
        everyone: list[Any] = [None] * world
        torch.distributed.all_gather_object(everyone, kept)
        kept = [batch for share in everyone for batch in share]
    if not kept:
        return None
    order = np.argsort(np.concatenate([b["index"] for b in kept]), kind="stable")
    return {name: _stack([b[name] for b in kept])[order] for name in kept[0]}


def _stack(parts: list[Array]) -> Array:
    if parts[0].ndim > 1:
        longest = max(p.shape[1] for p in parts)
        parts = [np.pad(p, [(0, 0), (0, longest - p.shape[1]), *[(0, 0)] * (p.ndim - 2)]) for p in parts]
    return np.concatenate(parts)


def metric_identities(task: SequenceTask) -> Mapping[str, Any]:
    """Return direction and definition of each score, the loss among them."""
    return {name: dict(metric_info(name)) for name in ("loss", *task.val_scores)}
