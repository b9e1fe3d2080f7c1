"""The statistics of repeated runs: pure functions on arrays of scores. SciPy does the work.

Letters: n replicates (seeds or folds), g groups, d data sets, e test examples. Randomness is always an argument.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

#: The sign-flip test tries every sign up to this many; beyond, this many random ones.
FLIPS = 2**13
RESAMPLES = 4_000


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` replicates with its interval; sd, low and high are NaN where one replicate gives none."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Differences between two groups on the same replicates.

    Attributes:
        difference: their mean, sd and interval.
        effect: mean difference in units of the differences' sd (Cohen's d of pairs); NaN without spread.
        t_p: two-sided p of the paired t test; NaN without spread or with one pair.
        flip_p: two-sided p of the sign-flip test.
        flip_least: the smallest p that the sign-flip test can reach with so few pairs, ``2 / 2**n``.
    """

    difference: Estimate
    effect: float
    t_p: float
    flip_p: float
    flip_least: float


def t_interval(scores: Array, level: float = 0.95, overlap: float = 0.0) -> Estimate:
    """Return the mean of ``scores`` (n,) with Student's t interval.

    Args:
        scores: one score a replicate. A NaN among them makes the estimate NaN.
        level: coverage.
        overlap: test size over training size where replicates are folds that share training data: the variance of
            the mean is then ``sd**2 * (1/n + overlap)`` (Nadeau and Bengio 2003, the corrected resampled t); 0 for
            independent replicates.
    """
    n = len(scores)
    mean = float(np.mean(scores))
    if n < 2:
        return Estimate(n, mean, math.nan, math.nan, math.nan)
    sd = float(np.std(scores, ddof=1))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * sd * math.sqrt(1 / n + overlap)
    return Estimate(n, mean, sd, mean - half, mean + half)


def bootstrap_interval(scores: Array, rng: np.random.Generator, level: float = 0.95) -> Estimate:
    """Return the mean of ``scores`` (n,) with a percentile bootstrap interval.

    It covers too rarely with few replicates (about 72 % at n=3 and 84 % at n=5 where 95 % is asked for).
    """
    plain = t_interval(scores, level)
    if plain.n < 2 or not plain.sd > 0:
        return plain
    found = stats.bootstrap(
        (scores,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="percentile", vectorized=True, rng=rng
    ).confidence_interval
    return Estimate(plain.n, plain.mean, plain.sd, float(found.low), float(found.high))


def paired(
    a: Array, b: Array, rng: np.random.Generator, level: float = 0.95, overlap: float = 0.0, bootstrap: bool = False
) -> Paired:
    """Return how ``a`` (n,) differs from ``b`` (n,), replicate by replicate.

    Args:
        a: scores of one group.
        b: scores of the other on the same replicates, in the same order.
        rng: for the bootstrap, and for the sign-flip test where there are too many signs to try them all.
        level: coverage of the interval.
        overlap: as in ``t_interval``; it also corrects the t test. The sign-flip test has no such correction.
        bootstrap: whether the interval comes from the bootstrap.
    """
    differences = a - b
    estimate = bootstrap_interval(differences, rng, level) if bootstrap else t_interval(differences, level, overlap)
    flip_p, flip_least = sign_flip(differences, rng)
    # Two scores that differ by rounding alone have no spread that a t test could use.
    if not estimate.sd > 1e-12 * float(np.max(np.abs([a, b]))):
        return Paired(estimate, math.nan, math.nan, flip_p, flip_least)
    t = estimate.mean / (estimate.sd * math.sqrt(1 / estimate.n + overlap))
    t_p = 2 * float(stats.t.sf(abs(t), estimate.n - 1))
    return Paired(estimate, estimate.mean / estimate.sd, t_p, flip_p, flip_least)


def sign_flip(differences: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Return the two-sided p of the sign-flip (permutation) test of ``differences`` (n,), and the least it can be.

    Exact up to 13 differences; beyond that over ``FLIPS`` random sign vectors.
    """
    n = len(differences)
    if n < 2 or not np.isfinite(differences).all():
        return math.nan, 1.0
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=FLIPS, vectorized=True, rng=rng
    )
    least = 2 / 2**n if 2**n <= FLIPS else 2 / (FLIPS + 1)
    return min(1.0, float(found.pvalue)), least


def holm(p: Array) -> Array:
    """Return the p values (m,) adjusted over their family (Holm 1979); a NaN (no test was possible) counts as 1."""
    known = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(known, kind="stable")
    stepped = np.maximum.accumulate(known[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(stepped, 1.0)
    return np.where(np.isnan(p), np.nan, adjusted)


def replicates_needed(effect: float, alpha: float = 0.05, power: float = 0.8, most: int = 1_000) -> int | None:
    """Return the number of pairs at which a paired t test finds ``effect`` with the given power; None beyond ``most``.

    Args:
        effect: mean difference in units of the differences' sd, taken as the true one.
        alpha: two-sided level of the test.
        power: probability of finding it.
        most: where to stop looking.
    """
    if not np.isfinite(effect) or effect == 0:
        return None

    def reached(n: int) -> float:
        critical, centre = float(stats.t.ppf(1 - alpha / 2, n - 1)), abs(effect) * math.sqrt(n)
        far = float(stats.nct.cdf(-critical, n - 1, centre))  # NaN where it underflows: the near tail is all of it
        return float(stats.nct.sf(critical, n - 1, centre)) + (0.0 if math.isnan(far) else far)

    sizes = range(2, most + 1)
    place = bisect.bisect_left(sizes, power, key=reached)
    return sizes[place] if place < len(sizes) else None


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Return how many examples only ``a`` got right, how many only ``b``, and McNemar's exact p.

    Args:
        right_a: (e,) whether a run classified each test example correctly.
        right_b: the same of the other run.
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if only_a + only_b == 0:
        return 0, 0, 1.0
    return only_a, only_b, float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def block_bootstrap(values: Array, block: int, rng: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean of ``values`` (e,), resampled in circular blocks (Politis and Romano 1992).

    Args:
        values: one value a test example, in their order.
        block: examples a block; 1 resamples single examples, for those that are independent.
        rng: draws the blocks.
        level: coverage.
    """
    e = len(values)
    block = max(1, min(block, e))
    blocks = -(-e // block)
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[: block - 1]]))])
    sums = around[block:] - around[:-block]  # (e,) sum of the block that starts at each example
    # One resample at a time: all at once would take e * RESAMPLES numbers of memory.
    means = [sums[rng.integers(e, size=blocks)].sum() / (blocks * block) for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def average_ranks(losses: Array) -> Array:
    """Return the mean rank (g,) of each group over data sets; 1 is the lowest loss, ties share their ranks.

    Args:
        losses: (d, g), signed so that lower is better in every data set.
    """
    return np.asarray(stats.rankdata(losses, axis=1).mean(axis=0), dtype=np.float64)


def friedman(losses: Array) -> float:
    """Return the p of Friedman's test that all groups rank alike, for losses (d, g) with g of 3 or more."""
    if (np.ptp(losses, axis=1) == 0).all():
        return 1.0
    return float(stats.friedmanchisquare(*losses.T).pvalue)


def critical_difference(groups: int, data_sets: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical difference of average ranks (Demsar 2006, section 3.2.2)."""
    q = float(stats.studentized_range.ppf(1 - alpha, groups, np.inf)) / math.sqrt(2)
    return q * math.sqrt(groups * (groups + 1) / (6 * data_sets))


def cliques(ranks: Array, difference: float) -> list[tuple[int, int]]:
    """Return the widest stretches (first, last) of sorted ``ranks`` (g,) that lie within the critical difference."""
    last = [int(np.searchsorted(ranks, rank + difference, side="right")) - 1 for rank in ranks]
    spans = [(i, j) for i, j in enumerate(last) if j > i]
    return [(i, j) for i, j in spans if not any(a < i and j <= b for a, b in spans)]
