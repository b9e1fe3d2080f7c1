"""What scores are made of: torchmetrics Metrics that take a prediction and the batch it was made for.

Every score has one interface: ``update(prediction, batch)``, then ``compute()``, which returns a scalar. Sums are kept
in float64 and nothing is read back from the device before ``compute``. States are replaced, never changed in place, so
that a score may be counted in inference mode and outside it.
"""

from __future__ import annotations

import functools
from abc import ABC
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.wrappers.abstract import WrapperMetric

from seqlab.data import Batch, Spec
from seqlab.tasks.plain import PlainlySet

#: The mark of a step without a label.
IGNORED = -100
#: What sums are kept in: Apple's GPUs have no float64.
PRECISE = torch.float32 if torch.backends.mps.is_available() else torch.float64

#: Values and the weights to divide their sum by (None: one each). What doesn't count is zero in both.
Terms: TypeAlias = tuple[Tensor, Tensor | None]
#: Maps a score, a prediction and its batch to terms.
Derivation: TypeAlias = Callable[["Score", Tensor, Batch], Terms]
T = TypeVar("T")


#: What scores have derived so far, within ``sharing``.
_derived: ContextVar[dict[Any, Any] | None] = ContextVar("derived", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Let the scores of one task work out together what they derive from the same predictions: see ``once``."""
    token = _derived.set({})
    try:
        yield
    finally:
        _derived.reset(token)


def once(derive: Callable[..., T]) -> Callable[..., T]:
    """Return a function of (score, prediction, batch, **options) that within ``sharing`` works its value out once.

    The value may depend on the score through the task's data alone.
    """

    @functools.wraps(derive)
    def remembered(score: Score, prediction: Tensor, batch: Batch, **options: Any) -> T:
        known = _derived.get()
        if known is None:
            return derive(score, prediction, batch, **options)
        key = (derive, id(prediction), id(batch), *options.values())  # both live as long as the block
        if key not in known:
            known[key] = derive(score, prediction, batch, **options)
        found: T = known[key]
        return found

    return remembered


class Score(PlainlySet, Metric, ABC):
    """A score that knows the scaler, and so the data's own units.

    Args:
        spec: what the data decides.
    """

    full_state_update = False
    center: Tensor
    scale: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(spec.center or (0.0,)), persistent=False)
        self.register_buffer("scale", torch.tensor(spec.scale or (1.0,)), persistent=False)

    def original(self, values: Tensor, batch: Batch) -> Tensor:
        """Return scaled values (B, ..., O) in the data's own units."""
        center, scale = self._scaler(values, batch)
        return values * scale + center

    def stretch(self, differences: Tensor, batch: Batch) -> Tensor:
        """Return differences (B, ..., O) of scaled values in the data's own units."""
        return differences * self._scaler(differences, batch)[1]

    def _scaler(self, values: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return center and scale, (..., O) for all examples or, where each has its own, (B, 1, ..., O)."""
        if batch.center is None or batch.scale is None:
            one = values.shape[1:]  # written out: a product with few numbers in its last dimension is slow
            return self.center.expand(one).contiguous(), self.scale.expand(one).contiguous()
        shape = (len(batch), *[1] * (values.ndim - 2), -1)
        return batch.center.view(shape), batch.scale.view(shape)

    def add_sum(self, name: str, *shape: int) -> None:
        """Add a state that is summed over batches and processes."""
        self.add_state(name, torch.zeros(shape, dtype=PRECISE), dist_reduce_fx="sum")


class Mean(Score):
    """A weighted mean of terms over all batches; NaN when nothing counted.

    Args:
        spec: what the data decides.
        terms: maps (score, prediction, batch) to values and weights.
        finish: what becomes of the mean at the end, such as a root.
    """

    total: Tensor
    count: Tensor

    def __init__(
        self,
        spec: Spec,
        terms: Derivation,
        finish: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(spec)
        self.terms, self.finish = terms, finish
        self.add_sum("total")
        self.add_sum("count")

    def update(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch's terms."""
        total, count = _summed(self, prediction, batch, terms=self.terms)
        self.total, self.count = self.total + total, self.count + count

    def compute(self) -> Tensor:
        """Return the mean."""
        mean = self.total / self.count
        return mean if self.finish is None else self.finish(mean)


@once
def _summed(score: Mean, prediction: Tensor, batch: Batch, *, terms: Derivation) -> tuple[Tensor, Tensor | int]:
    values, weights = terms(score, prediction, batch)
    total = values.sum(dtype=PRECISE)
    if weights is None:
        return total, values.numel()
    return total, torch.count_nonzero(weights) if weights.dtype == torch.bool else weights.sum(dtype=PRECISE)


def kept(values: Tensor, keep: Tensor | None) -> Terms:
    """Return terms of which only those count where ``keep`` (same shape; None: everywhere) is true."""
    return (values, None) if keep is None else (torch.where(keep, values, 0), keep)


class Moments(Score):
    """Sums of y, f, their products and their squared distance, from which RSE, R2 and CORR follow.

    Args:
        spec: what the data decides.
        pair: maps (score, prediction, batch) to targets y and predictions f (B, ..., O) and which of them count.
        shape: the places (..., O) that are summed apart.
        finish: maps the seven sums n, y, f, y^2, f^2, y f, (y - f)^2, each of that shape, to the score.
    """

    sums: Tensor

    def __init__(
        self,
        spec: Spec,
        pair: Callable[[Score, Tensor, Batch], tuple[Tensor, Tensor, Tensor | None]],
        shape: tuple[int, ...],
        finish: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__(spec)
        self.pair, self.finish = pair, finish
        self.add_sum("sums", 7, *shape)

    def update(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch's sums."""
        self.sums = self.sums + _moments(self, prediction, batch, pair=self.pair)

    def compute(self) -> Tensor:
        """Return the score."""
        return self.finish(self.sums)


@once
def _moments(
    score: Moments,
    prediction: Tensor,
    batch: Batch,
    *,
    pair: Callable[[Score, Tensor, Batch], tuple[Tensor, Tensor, Tensor | None]],
) -> Tensor:
    y, f, keep = pair(score, prediction, batch)
    y, f = y.to(PRECISE), f.to(PRECISE)
    n = torch.full_like(score.sums[0], len(batch)) if keep is None else keep.sum(0, dtype=PRECISE)
    if keep is not None:
        y, f = torch.where(keep, y, 0), torch.where(keep, f, 0)
    products = ((y * y).sum(0), (f * f).sum(0), (y * f).sum(0), (y - f).square().sum(0))
    return torch.stack([n, y.sum(0), f.sum(0), *products])


class Labelled(WrapperMetric):
    """A torchmetrics score of class scores (N, C) against labels (N,), fed from a batch.

    Args:
        metric: the score; it leaves out labels of -100 where steps are labelled.
        finish: what becomes of its value; None leaves it.
    """

    def __init__(self, metric: Metric, finish: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.metric, self.finish = metric, finish

    def update(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch: logits or log-probabilities (B, ..., C) against labels (B, ...)."""
        assert batch.y is not None
        if batch.y.numel():  # a process may get nothing of the last batch
            self.metric.update(prediction.flatten(0, -2), batch.y.flatten())

    def compute(self) -> Tensor:
        """Return the score."""
        value: Tensor = self.metric.compute()
        return value if self.finish is None else self.finish(value)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.metric.reset()

    def persistent(self, mode: bool = False) -> None:
        """Say whether the state dict holds the counts."""
        self.metric.persistent(mode)


class Ranking(Score):
    """The area under a curve of one class against the rest, averaged over the classes that occur; NaN without two.

    With two classes it is the second one's. Holds all probabilities of a pass.

    Args:
        spec: what the data decides.
        area: the area for scores (N,) and labels (N,) of 0 and 1.
    """

    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, spec: Spec, area: Callable[..., Tensor | None]) -> None:
        super().__init__(spec)
        self.area = area
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, batch: Batch) -> None:
        """Keep a batch's probabilities."""
        assert batch.y is not None
        self.scores.append(prediction.to(PRECISE).softmax(-1))
        self.labels.append(batch.y)

    def compute(self) -> Tensor:
        """Return the average area."""
        scores, labels = dim_zero_cat(self.scores), dim_zero_cat(self.labels)
        classes = scores.shape[-1]
        areas = []
        for c in range(1, 2) if classes == 2 else range(classes):
            positive = labels == c
            if positive.any() and not positive.all():
                area = self.area(scores[:, c], positive.long(), validate_args=False)
                assert area is not None
                areas.append(area)
        return torch.stack(areas).mean() if areas else scores.new_tensor(torch.nan)
