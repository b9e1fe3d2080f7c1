"""Every score against scikit-learn or its formula in NumPy, whatever the batches."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor, nn
from torchmetrics import Metric

from seqlab.data import Batch, Spec
from seqlab.tasks.metrics import (
    METRIC_INFO,
    classification_metrics,
    confusion_matrix,
    forecasting_metrics,
    labelling_metrics,
    metric_info,
    next_step_metrics,
    regression_metrics,
)


def batch(y: Tensor, **fields: Tensor) -> Batch:
    return Batch(x=torch.zeros(len(y), 1, 1), index=torch.arange(len(y)), y=y, **fields)


def score(metrics: Mapping[str, Metric], *parts: tuple[Tensor, Batch]) -> dict[str, float]:
    """Count the parts in inference mode and return every score."""
    with torch.inference_mode():
        for prediction, part in parts:
            for metric in metrics.values():
                metric.update(prediction, part)
        return {name: metric.compute().item() for name, metric in metrics.items()}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


FORECAST = Spec("forecasting", output_size=2, horizon=3, center=(5.0, -1.0), scale=(2.0, 0.5))


def test_forecasting_scores_equal_their_formulas(rng: np.random.Generator) -> None:
    y, f = normal(rng, 9, 3, 2), normal(rng, 9, 3, 2)
    got = score(forecasting_metrics(FORECAST), (f[:4], batch(y[:4])), (f[4:], batch(y[4:])))
    a, b = y.double().numpy(), f.double().numpy()
    u, v = a * [2.0, 0.5] + [5.0, -1.0], b * [2.0, 0.5] + [5.0, -1.0]
    want = {
        "mse": sk.mean_squared_error(a.ravel(), b.ravel()),
        "mae": sk.mean_absolute_error(a.ravel(), b.ravel()),
        "mse_original": sk.mean_squared_error(u.ravel(), v.ravel()),
        "mae_original": sk.mean_absolute_error(u.ravel(), v.ravel()),
        "rmse": sk.root_mean_squared_error(u.ravel(), v.ravel()),
        "mape": 100 * sk.mean_absolute_percentage_error(u.ravel(), v.ravel()),
        "smape": np.mean(200 * np.abs(u - v) / (np.abs(u) + np.abs(v))),
        "mase": np.nan,
        "rse": np.sqrt(((u - v) ** 2).sum() / ((u - u.mean()) ** 2).sum()),
        "corr": np.mean([np.corrcoef(u[:, k, o], v[:, k, o])[0, 1] for k in range(3) for o in range(2)]),
    }
    assert got == pytest.approx(want, rel=2e-5, nan_ok=True)


def test_unobserved_targets_count_nowhere(rng: np.random.Generator) -> None:
    y, f = normal(rng, 6, 3, 2), normal(rng, 6, 3, 2)
    y_mask = torch.ones_like(y)
    y_mask[4:] = 0
    hidden = torch.where(y_mask.bool(), y, torch.nan)
    got = score(forecasting_metrics(FORECAST), (f, batch(hidden, y_mask=y_mask)))
    assert got == pytest.approx(score(forecasting_metrics(FORECAST), (f[:4], batch(y[:4]))), rel=1e-6, nan_ok=True)


def test_series_with_scalers_of_their_own_are_scored_in_their_own_units(rng: np.random.Generator) -> None:
    spec = Spec("forecasting", output_size=1, horizon=4)
    y, f = normal(rng, 5, 4, 1), normal(rng, 5, 4, 1)
    center, scale = 10 * normal(rng, 5, 1), 1 + normal(rng, 5, 1).abs()
    naive = torch.tensor([[0.5], [2.0], [0.0], [1.0], [4.0]])
    got = score(forecasting_metrics(spec), (f, batch(y, center=center, scale=scale, naive_scale=naive)))
    u, v = ((t * scale.unsqueeze(1) + center.unsqueeze(1)).double().numpy() for t in (y, f))
    assert got["mae_original"] == pytest.approx(np.abs(u - v).mean(), rel=1e-5)
    assert got["smape"] == pytest.approx(np.mean(200 * np.abs(u - v) / (np.abs(u) + np.abs(v))), rel=1e-5)
    ratios = (y - f).abs().mean(1)[[0, 1, 3, 4]] / naive[[0, 1, 3, 4]]
    assert got["mase"] == pytest.approx(ratios.mean().item(), rel=1e-5)


def test_targets_of_zero_are_left_out_of_mape_and_cost_nothing_in_smape_when_met() -> None:
    spec = Spec("forecasting", output_size=1, horizon=2)
    got = score(forecasting_metrics(spec), (torch.tensor([[[0.0], [3.0]]]), batch(torch.tensor([[[0.0], [2.0]]]))))
    assert got["mape"] == pytest.approx(50)
    assert got["smape"] == pytest.approx((0 + 200 * 1 / 5) / 2)


def test_corr_leaves_out_targets_that_never_vary_and_counts_constant_forecasts_as_zero(
    rng: np.random.Generator,
) -> None:
    spec = Spec("forecasting", output_size=3, horizon=1)
    y = normal(rng, 8, 1, 3)
    y[..., 2] = 7.3
    f = 2 * y + 1
    f[..., 1] = 0.1
    assert score(forecasting_metrics(spec), (f, batch(y)))["corr"] == pytest.approx((1 + 0) / 2, abs=1e-6)


def test_quantile_scores_equal_their_formulas(rng: np.random.Generator) -> None:
    levels = (0.1, 0.5, 0.9)
    y, f = normal(rng, 5, 3, 2), normal(rng, 5, 3, 2, 3).sort(-1).values
    got = score(forecasting_metrics(FORECAST, levels), (f[:2], batch(y[:2])), (f[2:], batch(y[2:])))
    a, b = y.double().numpy(), f.double().numpy()
    u = a * [2.0, 0.5] + [5.0, -1.0]
    losses = [sk.mean_pinball_loss(a.ravel(), b[..., i].ravel(), alpha=q) for i, q in enumerate(levels)]
    weights = np.broadcast_to([2.0, 0.5], a.shape)
    sums = [
        sk.mean_pinball_loss(a.ravel(), b[..., i].ravel(), alpha=q, sample_weight=weights.ravel()) * weights.sum()
        for i, q in enumerate(levels)
    ]
    assert got["pinball"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert got["wql"] == pytest.approx(2 * np.mean(sums) / np.abs(u).sum(), rel=1e-5)
    assert got["coverage"] == pytest.approx(np.mean((b[..., 0] <= a) & (a <= b[..., 2])))
    assert got["mae"] == pytest.approx(np.abs(a - b[..., 1]).mean(), rel=1e-5)
    point = score(forecasting_metrics(FORECAST, levels), (f[..., 1], batch(y)))
    assert point["pinball"] == pytest.approx(np.abs(a - b[..., 1]).mean() / 2, rel=1e-5)


def test_regression_scores_equal_sklearn(rng: np.random.Generator) -> None:
    spec = Spec("regression", output_size=2, center=(1.0, 2.0), scale=(3.0, 4.0))
    y, f = normal(rng, 7, 2), normal(rng, 7, 2)
    got = score(regression_metrics(spec), (f[:3], batch(y[:3])), (f[3:], batch(y[3:])))
    assert got["r2"] == pytest.approx(sk.r2_score(y.numpy(), f.numpy()), rel=1e-4)
    assert got["mse"] == pytest.approx(sk.mean_squared_error(y.numpy(), f.numpy()), rel=1e-5)
    assert got["rmse"] == pytest.approx(got["mse_original"] ** 0.5, rel=1e-6)


CLASSES = Spec("classification", output_size=3, class_names=("low", "mid", "high!"), ordinal=True)


def test_classification_scores_equal_sklearn(rng: np.random.Generator) -> None:
    logits, y = normal(rng, 60, 3), torch.from_numpy(rng.integers(0, 3, 60))
    got = score(classification_metrics(CLASSES), (logits[:25], batch(y[:25])), (logits[25:], batch(y[25:])))
    p, label = logits.double().softmax(-1).numpy(), y.numpy()
    guess = p.argmax(-1)
    recall = sk.recall_score(label, guess, average=None)
    want = {
        "accuracy": sk.accuracy_score(label, guess),
        "macro_f1": sk.f1_score(label, guess, average="macro"),
        "nll": sk.log_loss(label, p),
        "auroc": sk.roc_auc_score(label, p, multi_class="ovr"),
        "average_precision": np.mean([sk.average_precision_score(label == c, p[:, c]) for c in range(3)]),
        "mcc": sk.matthews_corrcoef(label, guess),
        "ordinal_mae": np.abs(label - guess).mean(),
        "quadratic_kappa": sk.cohen_kappa_score(label, guess, weights="quadratic"),
        "recall_low": recall[0],
        "recall_mid": recall[1],
        "recall_high_": recall[2],
    }
    assert got == pytest.approx(want, rel=1e-5)
    matrix = confusion_matrix(CLASSES)
    matrix.update(logits, batch(y))
    assert np.array_equal(matrix.compute().numpy(), sk.confusion_matrix(label, guess))


def test_two_classes_are_ranked_by_the_second(rng: np.random.Generator) -> None:
    spec = Spec("classification", output_size=2, class_names=("no", "yes"))
    logits, y = normal(rng, 50, 2), torch.from_numpy((rng.random(50) < 0.2).astype(np.int64))
    got = score(classification_metrics(spec), (logits, batch(y)))
    gap = (logits[:, 1] - logits[:, 0]).numpy()
    assert got["auroc"] == pytest.approx(sk.roc_auc_score(y.numpy(), gap), rel=1e-6)
    assert got["average_precision"] == pytest.approx(sk.average_precision_score(y.numpy(), gap), rel=1e-6)


def test_a_class_that_does_not_occur_is_left_out_of_the_ranking_and_has_no_recall(rng: np.random.Generator) -> None:
    logits, y = normal(rng, 20, 3), torch.from_numpy(rng.integers(0, 2, 20))
    got = score(classification_metrics(CLASSES), (logits, batch(y)))
    p = logits.double().softmax(-1).numpy()
    assert got["auroc"] == pytest.approx(
        np.mean([sk.roc_auc_score(y.numpy() == c, p[:, c]) for c in range(2)]), rel=1e-6
    )
    assert np.isnan(got["recall_high_"])


def test_a_constant_guess_correlates_with_nothing() -> None:
    spec = Spec("classification", output_size=2, class_names=("ham", "spam"))
    got = score(classification_metrics(spec), (torch.tensor([[0.9, 0.1]] * 10), batch(torch.arange(10) // 8)))
    assert got["accuracy"] == pytest.approx(0.8)
    assert got["mcc"] == 0
    assert got["auroc"] == 0.5
    assert got["macro_f1"] == pytest.approx(sk.f1_score([0] * 8 + [1] * 2, [0] * 10, average="macro"))


def test_names_of_classes_become_names_that_a_module_dict_takes() -> None:
    spec = Spec("classification", output_size=3, class_names=("sp.am", "sp/am", "ham"))
    names = list(nn.ModuleDict(classification_metrics(spec)))
    assert names[-3:] == ["recall_0_sp_am", "recall_1_sp_am", "recall_ham"]


def test_labelling_scores_leave_padding_out(rng: np.random.Generator) -> None:
    spec = Spec("labelling", output_size=4, class_names=tuple("abcd"))
    logits, y = normal(rng, 6, 5, 4), torch.from_numpy(rng.integers(0, 4, (6, 5)))
    logits[:2] = 9 * torch.nn.functional.one_hot(y[:2], 4)
    for row, length in enumerate((1, 5, 2, 3, 4, 5)):
        y[row, length:] = -100
    got = score(labelling_metrics(spec), (logits[:3], batch(y[:3])), (logits[3:], batch(y[3:])))
    real = y.numpy() != -100
    p, label = logits.double().softmax(-1).numpy()[real], y.numpy()[real]
    right = (logits.argmax(-1).numpy() == y.numpy()) | ~real
    want = {
        "accuracy": sk.accuracy_score(label, p.argmax(-1)),
        "macro_f1": sk.f1_score(label, p.argmax(-1), average="macro"),
        "nll": sk.log_loss(label, p, labels=range(4)),
        "sequence_accuracy": right.all(1).mean(),
    }
    assert got == pytest.approx(want, rel=1e-5)
    assert right.all(1)[:2].all()


def test_next_step_scores_average_over_real_frames(rng: np.random.Generator) -> None:
    spec = Spec("next_step", input_size=3, output_size=3)
    logits, y = normal(rng, 2, 4, 3), torch.from_numpy(rng.integers(0, 2, (2, 4, 3)).astype(np.float32))
    got = score(next_step_metrics(spec), (logits, batch(y, lengths=torch.tensor([4, 2]))))
    frames = [(b, t) for b, n in ((0, 4), (1, 2)) for t in range(n)]
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    nll = [sum(-np.log(p[b, t, o] if y[b, t, o] else 1 - p[b, t, o]) for o in range(3)) for b, t in frames]
    guess = np.array([p[b, t] > 0.5 for b, t in frames]).ravel()
    truth = np.array([y[b, t].numpy() > 0.5 for b, t in frames]).ravel()
    assert got["nll"] == pytest.approx(np.mean(nll), rel=1e-5)
    assert got["accuracy"] == pytest.approx(sk.jaccard_score(truth, guess))


KINDS = {
    "forecasting": (lambda: forecasting_metrics(FORECAST, (0.1, 0.5, 0.9)), (3, 2, 3), (3, 2)),
    "regression": (lambda: regression_metrics(Spec("regression", output_size=2)), (2,), (2,)),
    "classification": (lambda: classification_metrics(CLASSES), (3,), None),
    "labelling": (lambda: labelling_metrics(Spec("labelling", output_size=3)), (4, 3), None),
    "next_step": (lambda: next_step_metrics(Spec("next_step", output_size=2)), (4, 2), (4, 2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_counts_survive_reset_copy_and_a_state_dict(kind: str, rng: np.random.Generator) -> None:
    make, shape, target = KINDS[kind]
    prediction = normal(rng, 8, *shape)
    y = normal(rng, 8, *target) if target else torch.from_numpy(rng.integers(0, 3, (8, *shape[:-1])))
    y = (y > 0).float() if kind == "next_step" else y
    parts = [(prediction[:3], batch(y[:3])), (prediction[3:], batch(y[3:])), (prediction[:0], batch(y[:0]))]
    metrics = nn.ModuleDict(make())
    want = score(metrics, *parts)
    for metric in metrics.values():
        metric.reset()
        metric.persistent(True)
    assert score(metrics, *parts) == pytest.approx(want, nan_ok=True)
    for metric in metrics.values():
        metric.reset()
    score_of_first = score(metrics, parts[0])
    other = nn.ModuleDict(make())
    for metric in other.values():
        metric.persistent(True)
    other.load_state_dict(copy.deepcopy(metrics.state_dict()))
    for name, metric in other.items():
        for part in parts[1:]:
            metric.update(*part)
        assert metric.compute().item() == pytest.approx(want[name], nan_ok=True)
    assert score_of_first != want


@pytest.mark.parametrize("kind", KINDS)
def test_every_score_is_explained(kind: str) -> None:
    for name in KINDS[kind][0]():
        assert metric_info(name)["definition"]
    assert not METRIC_INFO["mse"]["higher_is_better"]
    assert metric_info("recall_spam")["higher_is_better"]


def test_sums_of_a_long_split_keep_their_precision() -> None:
    spec = Spec("regression", output_size=1)
    metrics = {"mae": regression_metrics(spec)["mae"]}
    part = batch(torch.zeros(100_000, 1))
    got = score(metrics, (torch.full((100_000, 1), 1e4), part), *[(torch.full((100_000, 1), 1e-2), part)] * 9)
    assert got["mae"] == pytest.approx((1e4 + 9 * np.float32(1e-2)) / 10, rel=1e-12)
