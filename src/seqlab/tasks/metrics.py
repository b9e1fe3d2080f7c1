"""The scores of every kind of data, by their published definitions.

Each function returns fresh scores by name; ``METRIC_INFO`` says what a name means and which direction is better.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from seqlab.data import Batch, Spec
from seqlab.tasks.scores import IGNORED, PRECISE, Labelled, Mean, Moments, Ranking, Score, Terms, kept, once


class MetricInfo(TypedDict):
    """A metric's identity: its direction, and its definition with scaling and source."""

    higher_is_better: bool
    definition: str


_SCALED = "in scaled space, over all examples, steps and targets"
_UNITS = "in the data's own units"
_HIGHER = {
    "corr": f"Pearson correlation over windows {_UNITS}, mean over steps ahead and targets that vary (Lai et al. 2018)",
    "coverage": "share of targets between the outermost quantiles; ideal is the distance of their levels",
    "r2": "1 - squared error over squared deviation from the split's mean, mean over targets",
    "accuracy": "share of right labels; next step: TP / (TP + FP + FN) over all frames at odds of 1 (Bay et al. 2009)",
    "macro_f1": "F1 of each class, mean over the classes that occur in targets or predictions",
    "auroc": "area under the ROC curve of each class against the rest, mean over classes; of the second class if two",
    "average_precision": "area under the precision-recall steps, averaged as auroc is",
    "mcc": "Matthews correlation of labels and predictions (Gorodkin 2004)",
    "quadratic_kappa": "Cohen's kappa of grades with quadratic weights (Cohen 1968)",
    "sequence_accuracy": "share of sequences whose every label is right",
}
_LOWER = {
    "loss": "mean of what training minimises",
    "mse": f"mean squared error {_SCALED}",
    "mae": f"mean absolute error {_SCALED}",
    "mse_original": f"mean squared error {_UNITS}",
    "mae_original": f"mean absolute error {_UNITS}",
    "rmse": f"root of the mean squared error {_UNITS}",
    "mape": f"mean of 100 |y - f| / |y| {_UNITS}, targets of zero left out (Makridakis et al. 2020)",
    "smape": f"mean of 200 |y - f| / (|y| + |f|) {_UNITS}, 0 / 0 = 0 (Makridakis et al. 2020)",
    "mase": "mean of |y - f| over the series' in-sample error of seasonal-naive, left out where that is zero"
    " (Hyndman and Koehler 2006)",
    "rse": f"root of squared error over squared deviation from the split's one mean {_UNITS} (Lai et al. 2018)",
    "wql": f"mean over quantiles of 2 sum(pinball) / sum |y| {_UNITS} (Salinas et al. 2020)",
    "pinball": "mean pinball loss over quantiles in scaled space (Koenker and Bassett 1978)",
    "calibration_error": "mean distance between a quantile's level and the share of targets at or below it",
    "nll": "mean negative log-likelihood in nats: of a label, or of a frame (sum over its values)",
    "ordinal_mae": "mean absolute distance in grades between label and prediction",
}
METRIC_INFO: dict[str, MetricInfo] = {
    name: {"higher_is_better": higher, "definition": text}
    for higher, table in ((True, _HIGHER), (False, _LOWER))
    for name, text in table.items()
}


def metric_info(name: str) -> MetricInfo:
    """Return what a metric's name means; the recalls of all classes share one meaning.

    Args:
        name: without the split, such as ``mse`` or ``recall_spam``.

    Raises:
        KeyError: no such metric.
    """
    if name.startswith("recall_"):
        return {"higher_is_better": True, "definition": "share of this class's examples that were found"}
    return METRIC_INFO[name]


# --- forecasting and regression ---


def _target(prediction: Tensor, batch: Batch, median: int = 0) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return targets, point predictions (the median, of quantiles) and which targets were observed."""
    assert batch.y is not None
    point = prediction[..., median] if prediction.ndim > batch.y.ndim else prediction
    return batch.y, point, None if batch.y_mask is None else batch.y_mask.bool()


@once
def _miss(score: Score, prediction: Tensor, batch: Batch, *, original: bool, median: int) -> Tensor:
    y, f, _ = _target(prediction, batch, median)
    return score.stretch(_miss(score, prediction, batch, original=False, median=median), batch) if original else f - y


@once
def _originals(
    score: Score, prediction: Tensor, batch: Batch, *, median: int = 0
) -> tuple[Tensor, Tensor, Tensor | None]:
    y, f, observed = _target(prediction, batch, median)
    return score.original(y, batch), score.original(f, batch), observed


def _error(score: Score, prediction: Tensor, batch: Batch, *, squared: bool, original: bool, median: int = 0) -> Terms:
    miss = _miss(score, prediction, batch, original=original, median=median)
    return kept(miss.square() if squared else miss.abs(), _target(prediction, batch, median)[2])


def _percentage(score: Score, prediction: Tensor, batch: Batch, *, median: int) -> Terms:
    y, f, observed = _originals(score, prediction, batch, median=median)
    keep = y.bool() if observed is None else y.bool() & observed  # y != 0, several times as fast
    return kept(100 * (y - f).abs() / y.abs(), keep)


def _symmetric_percentage(score: Score, prediction: Tensor, batch: Batch, *, median: int) -> Terms:
    y, f, observed = _originals(score, prediction, batch, median=median)
    size = y.abs() + f.abs()
    return kept(torch.where(size.bool(), 200 * (y - f).abs() / size, 0), observed)


def _scaled_error(score: Score, prediction: Tensor, batch: Batch, *, median: int) -> Terms:
    y, f, observed = _target(prediction, batch, median)
    if batch.naive_scale is None:
        return y.new_zeros(()), y.new_zeros(())
    keep = (batch.naive_scale > 0).unsqueeze(1).expand_as(y)
    return kept((y - f).abs() / batch.naive_scale.unsqueeze(1), keep if observed is None else keep & observed)


def _quantile_terms(prediction: Tensor, y: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Return pinball terms (..., O, Q); a point forecast stands for every quantile."""
    q = torch.tensor(levels, dtype=y.dtype, device=y.device)
    miss = y.unsqueeze(-1) - (prediction if prediction.ndim > y.ndim else prediction.unsqueeze(-1))
    return torch.maximum(q * miss, (q - 1) * miss)


def _pinball(score: Score, prediction: Tensor, batch: Batch, *, levels: tuple[float, ...]) -> Terms:
    y, _, observed = _target(prediction, batch)
    return kept(_quantile_terms(prediction, y, levels).mean(-1), observed)


def _weighted_quantile_loss(score: Score, prediction: Tensor, batch: Batch, *, levels: tuple[float, ...]) -> Terms:
    y, _, observed = _originals(score, prediction, batch)
    scaled, _, _ = _target(prediction, batch)
    above = 2 * score.stretch(_quantile_terms(prediction, scaled, levels).mean(-1), batch)
    return (
        (above, y.abs()) if observed is None else (torch.where(observed, above, 0), torch.where(observed, y.abs(), 0))
    )


def _within(score: Score, prediction: Tensor, batch: Batch) -> Terms:
    y, _, observed = _target(prediction, batch)
    f = prediction if prediction.ndim > y.ndim else prediction.unsqueeze(-1)
    return kept(((f[..., 0] <= y) & (y <= f[..., -1])).to(y.dtype), observed)


def _rse(sums: Tensor) -> Tensor:
    n, y, _, yy, _, _, errors = sums.flatten(1).sum(1).unbind()
    return torch.sqrt(errors / (yy - y * y / n))


def _r2(sums: Tensor) -> Tensor:
    n, y, _, yy, _, _, errors = sums.unbind()
    return torch.mean(1 - errors / (yy - y * y / n))


def _corr(sums: Tensor) -> Tensor:
    n, y, f, yy, ff, yf, _ = sums.unbind()
    # Rounding leaves some 1e-16 of the squares where nothing varies.
    vary_y, vary_f = ((s2 - s * s / n).where(s2 - s * s / n > 1e-12 * s2, 0) for s, s2 in ((y, yy), (f, ff)))
    corr = torch.where(vary_f > 0, (yf - y * f / n) / (vary_y * vary_f).sqrt(), 0)
    return torch.where(vary_y > 0, corr, torch.nan).nanmean()


def forecasting_metrics(spec: Spec, quantiles: Sequence[float] = ()) -> dict[str, Metric]:
    """Return scores of forecasts (B, K, O), or (B, K, O, Q) with quantiles, whose median is the point forecast.

    Args:
        spec: what the data decides.
        quantiles: the Q levels, rising, 0.5 among them.
    """
    levels = tuple(quantiles)
    median = levels.index(0.5) if levels else 0
    pair = partial(_originals, median=median)
    shape = (spec.horizon or 1, spec.output_size)
    scores: dict[str, Metric] = {
        **_errors(spec, median),
        "mape": Mean(spec, partial(_percentage, median=median)),
        "smape": Mean(spec, partial(_symmetric_percentage, median=median)),
        "mase": Mean(spec, partial(_scaled_error, median=median)),
        "rse": Moments(spec, pair, shape, _rse),
        "corr": Moments(spec, pair, shape, _corr),
    }
    if levels:
        scores["wql"] = Mean(spec, partial(_weighted_quantile_loss, levels=levels))
        scores["pinball"] = Mean(spec, partial(_pinball, levels=levels))
        scores["coverage"] = Mean(spec, _within)
    return scores


def regression_metrics(spec: Spec) -> dict[str, Metric]:
    """Return scores of predictions (B, O)."""
    return {**_errors(spec), "r2": Moments(spec, _originals, (spec.output_size,), _r2)}


def _errors(spec: Spec, median: int = 0) -> dict[str, Metric]:
    error = partial(_error, median=median)
    square = partial(error, squared=True, original=True)
    return {
        "mse": Mean(spec, partial(error, squared=True, original=False)),
        "mae": Mean(spec, partial(error, squared=False, original=False)),
        "mse_original": Mean(spec, square),
        "mae_original": Mean(spec, partial(error, squared=False, original=True)),
        "rmse": Mean(spec, square, torch.sqrt),
    }


# --- classes and frames ---


def classification_metrics(spec: Spec) -> dict[str, Metric]:
    """Return scores of logits or log-probabilities (B, C); graded classes add those of order."""
    c = spec.output_size
    scores: dict[str, Metric] = {
        **_label_scores(spec),
        "auroc": Ranking(spec, binary_auroc),
        "average_precision": Ranking(spec, binary_average_precision),
        "mcc": Labelled(MulticlassConfusionMatrix(c, validate_args=False), _matthews),
    }
    if spec.ordinal:
        scores["ordinal_mae"] = Mean(spec, _grades_apart)
        scores["quadratic_kappa"] = Labelled(MulticlassCohenKappa(c, weights="quadratic", validate_args=False))
    for number, name in enumerate(recall_names(spec)):
        scores[name] = Mean(spec, partial(_found, number=number))
    return scores


def recall_names(spec: Spec) -> list[str]:
    """Return the flat name of each class's recall, ``recall_<class>`` with _ for what is no word character."""
    slugs = [re.sub(r"[^\w-]+", "_", name) for name in spec.class_names]
    return [f"recall_{slug}" if slugs.count(slug) == 1 else f"recall_{i}_{slug}" for i, slug in enumerate(slugs)]


def _matthews(matrix: Tensor) -> Tensor:
    """Return Gorodkin's correlation from counts (C, C); 0 where labels or predictions never vary.

    torchmetrics' own gives other values there, .41 for a constant guess on three examples, which no baseline deserves.
    """
    counts = matrix.to(PRECISE)
    total, truth, guess = counts.sum(), counts.sum(1), counts.sum(0)
    covariance = counts.trace() * total - truth @ guess
    spread = (total**2 - truth @ truth) * (total**2 - guess @ guess)
    return torch.where(spread > 0, covariance / spread.sqrt(), 0)


def labelling_metrics(spec: Spec) -> dict[str, Metric]:
    """Return scores of logits or log-probabilities (B, T, C) over the labelled steps."""
    return {**_label_scores(spec), "sequence_accuracy": Mean(spec, _all_right)}


def confusion_matrix(spec: Spec) -> Metric:
    """Return the confusion matrix of (labelled) examples or steps; computes (C, C) counts, rows the truth."""
    return Labelled(MulticlassConfusionMatrix(spec.output_size, ignore_index=IGNORED, validate_args=False))


def _label_scores(spec: Spec) -> dict[str, Metric]:
    c = spec.output_size
    accuracy = MulticlassAccuracy(c, average="micro", ignore_index=IGNORED, validate_args=False)
    macro_f1 = MulticlassF1Score(c, average="macro", ignore_index=IGNORED, validate_args=False)
    return {"accuracy": Labelled(accuracy), "macro_f1": Labelled(macro_f1), "nll": Mean(spec, _label_nll)}


def _labels(batch: Batch) -> Tensor:
    assert batch.y is not None
    return batch.y


def _label_nll(score: Score, prediction: Tensor, batch: Batch) -> Terms:
    y = _labels(batch)
    return cross_entropy(prediction.movedim(-1, 1), y, reduction="none", ignore_index=IGNORED), y != IGNORED


def _grades_apart(score: Score, prediction: Tensor, batch: Batch) -> Terms:
    return (prediction.argmax(-1) - _labels(batch)).abs(), None


def _found(score: Score, prediction: Tensor, batch: Batch, *, number: int) -> Terms:
    here = _labels(batch) == number
    return (prediction.argmax(-1) == number) & here, here


def _all_right(score: Score, prediction: Tensor, batch: Batch) -> Terms:
    y = _labels(batch)
    return ((prediction.argmax(-1) == y) | (y == IGNORED)).all(1), None


def next_step_metrics(spec: Spec) -> dict[str, Metric]:
    """Return scores of logits (B, T, O) of the next frame's on/off values."""
    return {"nll": Mean(spec, _frame_nll), "accuracy": Mean(spec, _frame_accuracy)}


def _real(batch: Batch, steps: Tensor) -> Tensor | None:
    """Return (B, T), true at real steps of ``steps`` (B, T, ...); None when all are."""
    if batch.lengths is None:
        return None
    return torch.lt(torch.arange(steps.shape[1], device=steps.device), batch.lengths.unsqueeze(1))


def _frame_nll(score: Score, prediction: Tensor, batch: Batch) -> Terms:
    assert batch.y is not None
    nll = binary_cross_entropy_with_logits(prediction, batch.y, reduction="none").sum(-1)
    return kept(nll, _real(batch, nll))


def _frame_accuracy(score: Score, prediction: Tensor, batch: Batch) -> Terms:
    assert batch.y is not None
    on, truth = prediction > 0, batch.y > 0.5
    right, either = (on & truth).sum(-1), (on | truth).sum(-1)
    real = _real(batch, either)
    return (right, either) if real is None else (right * real, either * real)
