"""Each statistic against a closed form, a textbook's figures, or another library."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqlab.compare import statistics as s

SCORES = np.array([1.0, 2.0, 3.0, 4.0, 5.0])

# Demsar 2006, table 6: AUC of C4.5, with m, with cf, with both, on 14 data sets (voting's tie broken as in the paper).
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_t_interval_by_hand():
    found = s.t_interval(SCORES)
    half = 2.7764451051977987 * math.sqrt(2.5) / math.sqrt(5)  # t table, 4 degrees of freedom
    assert (found.n, found.mean) == (5, 3.0)
    assert found.sd == pytest.approx(math.sqrt(2.5), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-9)


def test_one_score_has_no_interval_and_a_nan_stays():
    one = s.t_interval(np.array([0.5]))
    assert one.mean == 0.5
    assert math.isnan(one.sd)
    assert math.isnan(one.low)
    assert math.isnan(s.t_interval(np.array([0.5, np.nan, 0.7])).mean)


def test_folds_widen_the_interval_by_the_shared_training_data():
    """Nadeau and Bengio 2003: with 10 folds the variance of the mean is sd^2 (1/10 + 1/9)."""
    scores = rng().normal(size=10)
    plain, corrected = s.t_interval(scores), s.t_interval(scores, overlap=1 / 9)
    assert (corrected.high - corrected.low) / (plain.high - plain.low) == pytest.approx(
        math.sqrt((1 / 10 + 1 / 9) * 10)
    )
    test = s.paired(scores, np.zeros(10), rng(), overlap=1 / 9)
    t = scores.mean() / math.sqrt(scores.var(ddof=1) * (1 / 10 + 1 / 9))
    assert test.t_p == pytest.approx(2 * stats.t.sf(abs(t), 9), rel=1e-12)


def test_paired_equals_scipys_t_test():
    a, b = rng().normal(size=(2, 7))
    found, expected = s.paired(a, b, rng()), stats.ttest_rel(a, b)
    assert found.t_p == pytest.approx(expected.pvalue, rel=1e-12)
    interval = expected.confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.effect == pytest.approx((a - b).mean() / (a - b).std(ddof=1), rel=1e-12)


def test_no_spread_leaves_the_t_test_undefined():
    """0.3 - 0.2 and 0.2 - 0.1 differ by rounding only, which is no spread."""
    found = s.paired(np.array([0.3, 0.2, 0.4]), np.array([0.2, 0.1, 0.3]), rng())
    assert found.difference.mean == pytest.approx(0.1)
    assert math.isnan(found.t_p)
    assert math.isnan(found.effect)
    assert found.flip_p == 0.25


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_sign_flip_tries_every_sign(n):
    d = np.random.default_rng(n).normal(0.5, 1, size=n)
    means = [abs(np.mean(d * signs)) for signs in itertools.product([1, -1], repeat=n)]
    share = np.mean([m >= abs(d.mean()) - 1e-12 for m in means])
    p, least = s.sign_flip(d, rng())
    assert p == pytest.approx(share, abs=1e-12)
    assert least == 2 / 2**n
    assert s.sign_flip(np.abs(d), rng())[0] == pytest.approx(least)


def test_sign_flip_by_chance_beyond_thirteen_pairs():
    d = np.random.default_rng(1).normal(0.4, 1, size=16)
    signs = np.array(list(itertools.product([1, -1], repeat=16)))
    exact = np.mean(np.abs((signs * d).mean(axis=1)) >= abs(d.mean()) - 1e-12)
    p, least = s.sign_flip(d, rng())
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / s.FLIPS))
    assert least == pytest.approx(2 / 8193)


def test_bootstrap_is_narrow_with_few_seeds_and_repeats_by_its_generator():
    found, again = s.bootstrap_interval(SCORES, rng()), s.bootstrap_interval(SCORES, rng())
    t = s.t_interval(SCORES)
    assert (found.low, found.high) == (again.low, again.high)
    assert t.low < found.low < found.mean < found.high < t.high


def rejected_step_by_step(p: list[float], alpha: float) -> set[int]:
    """Holm's procedure as he states it: the smallest p against alpha / m, the next against alpha / (m - 1), ..."""
    rejected: set[int] = set()
    for number in sorted(range(len(p)), key=p.__getitem__):
        if p[number] > alpha / (len(p) - len(rejected)):
            break
        rejected.add(number)
    return rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_procedure_rejects(p, alpha):
    adjusted = s.holm(np.array(p))
    if np.abs(adjusted - alpha).min() > 1e-12:
        assert set(np.flatnonzero(adjusted <= alpha)) == rejected_step_by_step(p, alpha)


def test_holm_by_hand_and_a_missing_test_still_counts():
    assert s.holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = s.holm(np.array([0.02, np.nan]))
    assert found[0] == pytest.approx(0.04)
    assert math.isnan(found[1])


# Rounded up from statsmodels 0.14, TTestPower().solve_power(effect, alpha=alpha, power=0.8).
@pytest.mark.parametrize(
    ("effect", "alpha", "n"), [(0.3, 0.05, 90), (0.5, 0.05, 34), (1.0, 0.05, 10), (1.5, 0.05 / 6, 9), (3.0, 0.05, 4)]
)
def test_replicates_needed_equals_statsmodels(effect, alpha, n):
    assert s.replicates_needed(effect, alpha) == n


def test_replicates_needed_gives_up_on_nothing():
    assert s.replicates_needed(0.01) is None
    assert s.replicates_needed(0.0) is None
    assert s.replicates_needed(math.nan) is None
    assert s.replicates_needed(1e3) == 2


def test_mcnemar_counts_where_one_alone_is_right():
    """12 examples right by one alone, 3 by the other: 2 * P(at most 3 heads in 15 tosses) = 2 * 576 / 2^15."""
    a = np.repeat([True, True, False, False], [40, 12, 3, 5])
    b = np.repeat([True, False, True, False], [40, 12, 3, 5])
    assert s.mcnemar(a, b) == (12, 3, pytest.approx(2 * 576 / 2**15, rel=1e-12))
    assert s.mcnemar(a, a) == (0, 0, 1.0)


def test_block_bootstrap_of_single_examples_is_the_normal_interval():
    values = rng().normal(size=400)
    low, high = s.block_bootstrap(values, 1, rng())
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.06 * half * 2)


def test_block_bootstrap_sees_that_neighbours_are_alike():
    """An AR(1) series with coefficient .9 has sqrt(19) times the standard error of independent values."""
    noise = rng().normal(size=8_000)
    values = np.zeros_like(noise)
    for t in range(1, len(noise)):
        values[t] = 0.9 * values[t - 1] + noise[t]
    single, blocks = (np.subtract(*s.block_bootstrap(values, block, rng())[::-1]) for block in (1, 150))
    assert blocks / single == pytest.approx(math.sqrt(19), rel=0.15)


def test_block_bootstrap_around_the_whole_circle_is_the_mean():
    values = rng().normal(size=50)
    assert s.block_bootstrap(values, 50, rng()) == pytest.approx((values.mean(), values.mean()))
    assert s.block_bootstrap(values, 99, rng()) == pytest.approx((values.mean(), values.mean()))


def test_ranks_and_friedman_as_published():
    assert s.average_ranks(-DEMSAR) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # The paper's 9.28 leaves the correction for ties out, which divides by 1 - sum(t^3 - t) / (d g (g^2 - 1)).
    ties = 1 - (3 * 6 + 60) / (14 * 4 * 15)
    assert s.friedman(-DEMSAR) == pytest.approx(stats.chi2.sf(9.28 / ties, 3), rel=5e-3)
    assert s.friedman(np.ones((4, 3))) == 1.0


def test_critical_difference_as_published():
    """Demsar 2006: 1.25 at .05 and 1.12 at .10 for 4 classifiers on 14 data sets."""
    assert s.critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert s.critical_difference(4, 14, alpha=0.10) == pytest.approx(1.12, abs=5e-3)


def test_cliques_are_the_widest_stretches():
    assert s.cliques(np.array([1.0, 1.5, 2.2, 3.5]), 1.25) == [(0, 2)]
    assert s.cliques(np.array([1.0, 1.5, 2.2, 3.4]), 1.25) == [(0, 2), (2, 3)]
    assert s.cliques(np.array([1.0, 3.0]), 1.0) == []
