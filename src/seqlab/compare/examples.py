"""How sure the test examples make a difference, apart from how sure the seeds make it.

Other seeds are other trainings; other test examples would be another test split. The loss of each example is averaged
over the seeds that two groups share, and the examples are resampled: in blocks where they are windows of a series,
since neighbours overlap. For right-or-wrong scores McNemar's test compares the two runs of each seed.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from seqlab.compare.differences import Pairing
from seqlab.compare.scores import FOLD, Metric, Row
from seqlab.compare.statistics import Array, block_bootstrap, mcnemar
from seqlab.errors import RunError
from seqlab.runs import Run

PREDICTIONS_FILE = "predictions.npz"


@dataclass(frozen=True)
class ExampleDifference:
    """A difference between two groups as the test examples see it.

    Attributes:
        label: the group.
        reference: what it is compared with.
        examples: how many were tested on.
        seeds: how many runs of each group went into their losses.
        block: examples a block of the bootstrap; 1 where examples are independent.
        mean: difference of the metric.
        low: lower end of its interval.
        high: upper end.
        mcnemar: McNemar's exact p of each shared seed; empty where scores are not right-or-wrong.
        reason: why there are no numbers, in words; empty where there are.
    """

    label: str
    reference: str
    examples: int = 0
    seeds: int = 0
    block: int = 1
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    mcnemar: tuple[float, ...] = ()
    reason: str = ""


class _Unavailable(Exception):
    """The saved predictions can't say anything about this metric; the message says why."""


def example_difference(a: Row, b: Row, metric: Metric, pairing: Pairing) -> ExampleDifference:
    """Return how group ``a`` differs from ``b`` over the test examples, from the predictions their runs saved."""
    try:
        return _difference(a, b, metric, pairing)
    except _Unavailable as reason:
        return ExampleDifference(a.label, b.label, reason=str(reason))


@dataclass(frozen=True)
class Saved:
    """What a run saved of its test split: index (e,), prediction and target, as its task shapes them."""

    run: Run
    index: NDArray[Any]
    prediction: NDArray[Any]
    target: NDArray[Any]


def saved(run: Run) -> Saved | None:
    """Return a run's test predictions; None where it saved none."""
    file = run.folder / PREDICTIONS_FILE
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return Saved(run, arrays["index"], arrays["prediction"], arrays["target"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{file} is corrupt ({error}). Delete it to compare without its test examples.") from error


def _difference(a: Row, b: Row, metric: Metric, pairing: Pairing) -> ExampleDifference:
    if FOLD in pairing.over:
        raise _Unavailable("folds are tested on different examples")
    if not metric.name.startswith("test/"):
        raise _Unavailable("predictions are kept of the test split only")
    units = [unit for unit in a.group.units if unit in b.group.units]
    if not units:
        raise _Unavailable("no seeds in common")
    sides = [_losses([row.group.runs[row.group.units.index(unit)] for unit in units], metric) for row in (a, b)]
    if not (np.array_equal(sides[0][1].index, sides[1][1].index) and _same(sides[0][1].target, sides[1][1].target)):
        raise _Unavailable("the runs were tested on different examples")
    left, right = sides[0][0], sides[1][0]  # (seeds, e)
    differences: Array = (left - right).mean(axis=0)
    block = _block(a.group.runs[0], len(differences))
    low, high = block_bootstrap(differences, block, pairing.rng, pairing.level)
    tests: tuple[float, ...] = ()
    if metric.name == "test/accuracy":
        tests = tuple(mcnemar(x > 0.5, y > 0.5)[2] for x, y in zip(left, right, strict=True))
    mean = float(differences.mean())
    return ExampleDifference(a.label, b.label, len(differences), len(units), block, mean, low, high, tests)


def _losses(runs: list[Run], metric: Metric) -> tuple[Array, Saved]:
    """Return each example's part of the metric by run (seeds, e), in the metric's own units, and one run's examples.

    Errors are saved in scaled space. With one scaler the metric in original units is a constant multiple of them, the
    same for all runs; where it is none the numbers would mislead, and are refused.
    """
    name = metric.name.partition("/")[2]
    all_saved = [saved(run) for run in runs]
    losses, ratios = [], []
    for run, own in zip(runs, all_saved, strict=True):
        if own is None:
            raise _Unavailable(f"{run.folder.name} saved no predictions")
        losses.append(_raw_losses(name, own.prediction, own.target))
        mean, recorded = float(losses[-1].mean()), run.metrics[metric.name]
        ratios.append(recorded / mean if mean else 1.0)
    scale = ratios[0] if name.endswith("_original") else 1.0
    if not np.allclose(ratios, scale, rtol=1e-3):
        raise _Unavailable(f"the saved predictions do not give the {name} that is recorded")
    assert all_saved[0] is not None
    return np.array(losses) * scale, all_saved[0]


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True))


def _raw_losses(name: str, prediction: NDArray[Any], target: NDArray[Any]) -> Array:
    labels = np.issubdtype(target.dtype, np.integer) and target.ndim == 1 and prediction.ndim == 2
    if name == "accuracy" and labels:
        return np.asarray(prediction.argmax(axis=1) == target, dtype=np.float64)
    if name == "nll" and labels:
        return np.asarray(-log_softmax(prediction.astype(np.float64), axis=1)[np.arange(len(target)), target])
    if name in ("mse", "mse_original", "mae", "mae_original") and prediction.shape == target.shape:
        miss = prediction.astype(np.float64) - target
        each = miss**2 if name.startswith("mse") else np.abs(miss)
        return np.asarray(each.reshape(len(each), -1).mean(axis=1))
    raise _Unavailable(f"{name} is not a mean over test examples that the saved predictions give")


def _block(run: Run, examples: int) -> int:
    """Return the examples a block: windows of a forecast overlap by their horizon, other examples are independent."""
    horizon = run.config.get("data", {}).get("horizon")
    if not isinstance(horizon, int):
        return 1
    return max(horizon, math.ceil(math.cbrt(examples)))
