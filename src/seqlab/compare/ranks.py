"""Groups over several data sets: average ranks and whether they differ (Demsar 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqlab.compare.scores import Metric, Row
from seqlab.compare.statistics import average_ranks, cliques, critical_difference, friedman


@dataclass(frozen=True)
class Ranks:
    """Average ranks, best first.

    Attributes:
        labels: of the groups that every data set has.
        ranks: their mean ranks over the data sets; 1 is the best.
        data_sets: names of the data sets.
        friedman_p: p of Friedman's test that all rank alike; None with fewer than three groups.
        critical_difference: Nemenyi's: groups whose ranks differ by more are told apart.
        cliques: first and last place of each stretch of groups that are not told apart.
        left_out: labels of groups that some data set lacks.
    """

    labels: tuple[str, ...]
    ranks: tuple[float, ...]
    data_sets: tuple[str, ...]
    friedman_p: float | None
    critical_difference: float
    cliques: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...]


def ranks_of(parts: Sequence[tuple[str, Metric, Sequence[Row]]], alpha: float) -> Ranks | None:
    """Rank the groups' means within each data set and average; None without two data sets that share two groups.

    Args:
        parts: name, metric and rows of each data set.
        alpha: level of the critical difference.
    """
    means = [{row.label: row.estimate.mean for row in rows if row.finite} for _, _, rows in parts]
    everywhere = sorted(set.intersection(*map(set, means)))
    if len(parts) < 2 or len(everywhere) < 2:
        return None
    scores = np.array([[of[label] for label in everywhere] for of in means])
    signs = np.array([-1.0 if metric.higher_is_better else 1.0 for _, metric, _ in parts])
    losses = scores * signs[:, None]
    ranks = average_ranks(losses)
    order = np.argsort(ranks, kind="stable")
    difference = critical_difference(len(everywhere), len(parts), alpha)
    return Ranks(
        labels=tuple(everywhere[i] for i in order),
        ranks=tuple(float(ranks[i]) for i in order),
        data_sets=tuple(name for name, _, _ in parts),
        friedman_p=friedman(losses) if len(everywhere) > 2 else None,
        critical_difference=difference,
        cliques=tuple(cliques(ranks[order], difference)),
        left_out=tuple(sorted(set().union(*means) - set(everywhere))),
    )
