"""The scores of groups: which metric, one row a group with its interval and costs, the trivial rows beneath."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from seqlab.compare.facts import frozen, shown
from seqlab.compare.groups import DataSet, Group, Unit
from seqlab.compare.mixing import check_units, metric_info
from seqlab.compare.statistics import Array, Estimate
from seqlab.errors import RequestError, did_you_mean
from seqlab.runs import Run

FOLD = "data.fold"
SPLITS = ("train", "val", "test")
#: What a choice costs: column, and where a run's record has it.
COSTS: dict[str, Callable[[Run], float | None]] = {
    "parameters": lambda run: run.parameters or None,
    "state_size": lambda run: run.record.get("state_size"),
    "seconds_per_step": lambda run: run.seconds.get("step"),
    "seconds": lambda run: run.seconds.get("total"),
    "peak_memory_mb": lambda run: run.record.get("peak_memory_mb"),
}

Estimator = Callable[[Array, float], Estimate]


@dataclass(frozen=True)
class Metric:
    """A score's full name (``test/mse``), its direction and its definition as the runs recorded it."""

    name: str
    higher_is_better: bool
    definition: str = ""
    assumed: bool = False


@dataclass(frozen=True)
class Row:
    """One group's scores.

    Attributes:
        group: its runs.
        scores: (runs,) one score a run, in their order.
        replicates: what the statistics repeat over: units of the group, or folds once seeds are averaged in each.
        values: (n,) one score a replicate.
        overlap: test size over training size where the replicates are folds, else 0.
        estimate: mean with interval; NaN where a score is not finite.
        costs: mean over runs by name of cost; None where not recorded.
    """

    group: Group
    scores: Array
    replicates: tuple[Unit, ...]
    values: Array
    overlap: float
    estimate: Estimate
    costs: dict[str, float | None]

    @property
    def label(self) -> str:
        """Return the group's label."""
        return self.group.label

    @property
    def finite(self) -> bool:
        """Return whether every run has a finite score."""
        return bool(np.isfinite(self.scores).all())


def metric_of(data_set: DataSet, asked: str | None, split: str | None) -> Metric:
    """Return the metric to compare by: the one asked for, or the test score of what the runs monitored.

    Args:
        data_set: the runs.
        asked: ``test/mse``, or ``mse`` with the split from ``split``.
        split: train, val or test; test where neither says otherwise.

    Raises:
        RequestError: runs monitored different scores, or no run has the one asked for.
    """
    runs = [run for group in data_set.groups for run in group.runs]
    known = set().union(*(run.metrics for run in runs))
    name = _metric_name(runs, asked, split)
    if name not in known:
        raise RequestError(f"No run of {data_set.name} has the metric {name!r}.{did_you_mean(name, known)}")
    for run in runs:
        if name not in run.metrics:
            raise RequestError(
                f"{run.folder} has no {name}; the others have. It offers: {', '.join(sorted(run.metrics))}."
            )
    info = metric_info(runs[0], name)
    assumed = "higher_is_better" not in info and not name.endswith("/loss")
    return Metric(name, bool(info.get("higher_is_better", False)), str(info.get("definition", "")), assumed)


def _metric_name(runs: Sequence[Run], asked: str | None, split: str | None) -> str:
    if split is not None and split not in SPLITS:
        raise RequestError(f"--split {split} is unknown.{did_you_mean(split, SPLITS)}")
    if asked is None:
        monitors = sorted({str(run.record.get("monitor") or "") for run in runs})
        if len(monitors) > 1 or not monitors[0]:
            listed = " and ".join(monitors) or "nothing"
            raise RequestError(f"The runs monitored {listed}; say which score to compare by with --metric test/...")
        asked = monitors[0].partition("/")[2]
    prefix, _, rest = asked.partition("/")
    if prefix not in SPLITS:
        return f"{split or 'test'}/{asked}"
    if split not in (None, prefix):
        raise RequestError(f"--metric {asked} and --split {split} contradict each other; leave one of them out.")
    return f"{prefix}/{rest}"


def rows_of(data_set: DataSet, metric: Metric, over: Sequence[str], estimate: Estimator) -> tuple[Row, ...]:
    """Return one row a group, best first and those without a finite mean last."""
    check_units([run for group in data_set.groups for run in group.runs], metric.name, over)
    rows = [_row(group, metric, over, estimate) for group in data_set.groups]
    sign = -1 if metric.higher_is_better else 1
    return tuple(
        sorted(rows, key=lambda row: (not row.finite, sign * row.estimate.mean if row.finite else 0, row.label))
    )


def _row(group: Group, metric: Metric, over: Sequence[str], estimate: Estimator) -> Row:
    scores = np.array([run.metrics[metric.name] for run in group.runs])
    replicates, values = collapse(group.units, scores, over)
    overlap = _overlap(group) if FOLD in over else 0.0
    found = estimate(values, overlap)
    if not np.isfinite(scores).all():
        found = Estimate(len(values), math.nan, math.nan, math.nan, math.nan)
    costs = {name: _mean(get(run) for run in group.runs) for name, get in COSTS.items()}
    return Row(group, scores, replicates, values, overlap, found, costs)


def collapse(units: Sequence[Unit], scores: Array, over: Sequence[str]) -> tuple[tuple[Unit, ...], Array]:
    """Average over the other replicates within each fold: seeds in one fold share its test set and are not independent.

    Args:
        units: values of the ``over`` keys, one tuple a score.
        scores: (runs,).
        over: the keys.
    """
    if FOLD not in over or len(over) == 1:
        return tuple(units), scores
    folds = [unit[list(over).index(FOLD)] for unit in units]
    distinct = sorted(set(folds), key=folds.index)
    return tuple((fold,) for fold in distinct), np.array(
        [np.mean([score for score, of in zip(scores, folds, strict=True) if of == fold]) for fold in distinct]
    )


def _overlap(group: Group) -> float:
    folds = group.facts.get("data.folds")
    if not isinstance(folds, int) or folds < 2:
        raise RequestError(
            f"--over data.fold needs runs with data.folds of 2 or more; {group.label} has {shown(folds)}."
        )
    return 1 / (folds - 1)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(set(known)) == 1:
        return known[0]  # a count stays a whole number
    return sum(known) / len(known) if known else None


def baselines_of(data_set: DataSet, metric: Metric) -> dict[str, float]:
    """Return the trivial predictors' scores by name, averaged over whatever the runs differ in (folds)."""
    found: dict[str, list[float]] = {}
    for group in data_set.groups:
        for run in group.runs:
            for key, score in run.baselines.items():
                name, _, of = key.partition("/")
                if of == metric.name:
                    found.setdefault(name, []).append(score)
    return {
        name: scores[0] if len({frozen(s) for s in scores}) == 1 else float(np.mean(scores))
        for name, scores in found.items()
    }
