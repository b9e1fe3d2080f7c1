"""Scalers against scikit-learn, and gaps against a loop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from seqlab.data.gaps import Gaps
from seqlab.data.scaling import Kind, Scaler

NAN = np.nan


@pytest.mark.parametrize(
    ("kind", "reference"), [("standard", StandardScaler()), ("minmax", MinMaxScaler()), ("robust", RobustScaler())]
)
def test_a_scaler_equals_scikit_learn_and_undoes_itself(kind: Kind, reference: StandardScaler) -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=(50, 3)) * [1, 1e6, 1e-6]
    values[:, 1] = 7e5  # constant
    scaler = Scaler.fit(kind, values[:30])
    reference.fit(values[:30])
    np.testing.assert_allclose(scaler.apply(values), reference.transform(values), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(scaler.apply(values) * scaler.scale + scaler.center, values, rtol=1e-12)
    assert scaler.constant.tolist() == [False, True, False]


def test_no_scaler_leaves_values_alone() -> None:
    values = np.array([[1.0, -3.0], [2.0, 0.0]])
    np.testing.assert_array_equal(Scaler.fit("none", values).apply(values), values)


@pytest.mark.parametrize("kind", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("constant", [0.0, 0.1, -1e-30, 1e9])
def test_a_constant_column_becomes_zeros(kind: Kind, constant: float) -> None:
    scaler = Scaler.fit(kind, np.full((1000, 1), constant))
    assert scaler.constant.all()
    np.testing.assert_allclose(scaler.apply(np.full((3, 1), constant)), 0, atol=1e-6)
    np.testing.assert_allclose(scaler.apply(np.full((3, 1), constant + 2)), 2)


def test_a_tiny_spread_about_zero_is_no_constant() -> None:
    values = np.array([[-1e-20], [1e-20]])
    assert not Scaler.fit("standard", values).constant.any()
    np.testing.assert_allclose(Scaler.fit("standard", values).apply(values), [[-1], [1]])


VALUES = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [NAN, 4.0], [6.0, NAN], [NAN, 9.0], [3.0, NAN]])
BOUNDS = np.array([0, 5, 7])
START = np.full((7, 2), -1.0)


def test_gaps_are_filled_within_a_series_only() -> None:
    gaps = Gaps.of(VALUES, BOUNDS)
    np.testing.assert_array_equal(gaps.carry(VALUES, START), [[-1, 1], [2, 1], [2, 1], [2, 4], [6, 4], [-1, 9], [3, 9]])
    np.testing.assert_allclose(
        gaps.interpolate(VALUES, START), [[-1, 1], [2, 2], [10 / 3, 3], [14 / 3, 4], [6, 4], [-1, 9], [3, 9]]
    )


def test_time_since_observed_follows_the_published_recursion() -> None:
    # Che et al. 2018, section 3: delta grows by the time step while the row before was missing.
    time = np.array([0, 1, 3, 3.5, 7, 0, 2.0])
    expected = np.zeros_like(VALUES)
    for first, past in ((0, 5), (5, 7)):
        for row in range(first + 1, past):
            grown = np.where(np.isnan(VALUES[row - 1]), expected[row - 1], 0)
            expected[row] = time[row] - time[row - 1] + grown
    np.testing.assert_allclose(Gaps.of(VALUES, BOUNDS).since_observed(time), expected)


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.sampled_from([NAN, 0.0, 1.0, 5.0])
    ),
    st.data(),
)
def test_carrying_forward_equals_a_loop(values: np.ndarray, data: st.DataObject) -> None:
    inner = data.draw(st.lists(st.integers(0, len(values)), max_size=2).map(sorted))
    bounds = np.array([0, *inner, len(values)])
    start = np.full(values.shape, -1.0)
    expected = np.empty_like(values)
    for low, high in pairwise(bounds):
        last = np.full(values.shape[1], -1.0)
        for row in range(low, high):
            last = np.where(np.isnan(values[row]), last, values[row])
            expected[row] = last
    np.testing.assert_array_equal(Gaps.of(values, bounds).carry(values, start), expected)
