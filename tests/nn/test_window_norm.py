from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab.data import Spec
from seqlab.errors import RequestError
from seqlab.nn.window_norm import EPSILON, WindowNorm, make_window_norm

COLUMNS = (2, 0)


def test_none_leaves_everything_as_it_is():
    x, y = torch.randn(2, 5, 3), torch.randn(2, 4, 2)
    norm = WindowNorm("none")
    same, statistics = norm(x)
    assert same is x
    assert norm.restore(y, statistics) is y


def test_last_subtracts_each_rows_last_real_value_from_its_target_columns():
    x = torch.randn(2, 5, 3)
    normalised, statistics = WindowNorm("last", COLUMNS)(x, torch.tensor([5, 3]))
    for b, n in enumerate((5, 3)):
        expected = x[b].clone()
        for column in COLUMNS:
            expected[:, column] -= x[b, n - 1, column]
        torch.testing.assert_close(normalised[b], expected, rtol=0, atol=0)
    forecast = WindowNorm("last", COLUMNS).restore(torch.zeros(2, 4, 2), statistics)
    assert (forecast[0] == x[0, 4, list(COLUMNS)]).all()
    assert (forecast[1] == x[1, 2, list(COLUMNS)]).all()


def test_revin_equals_numpy_and_is_undone_to_the_last_digit():
    norm = WindowNorm("revin", COLUMNS)
    with torch.no_grad():
        norm.gain.copy_(torch.tensor([1.5, -0.5]))
        norm.offset.copy_(torch.tensor([0.3, 2.0]))
    x = torch.randn(2, 6, 3) * 4 + 10
    normalised, statistics = norm(x, torch.tensor([6, 4]))
    assert (normalised[..., 1] == x[..., 1]).all()
    for b, n in enumerate((6, 4)):
        for place, column in enumerate(COLUMNS):
            r = x[b, :n, column].numpy()
            expected = (r - r.mean()) / np.sqrt(r.var() + EPSILON)
            expected = expected * norm.gain[place].item() + norm.offset[place].item()
            np.testing.assert_allclose(normalised[b, :n, column].detach().numpy(), expected, atol=1e-13)
    back = norm.restore(normalised[..., list(COLUMNS)], statistics)
    # The guard against a gain of zero costs 1e-10 of a unit, no more.
    torch.testing.assert_close(back, x[..., list(COLUMNS)], rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["last", "revin"])
def test_quantiles_are_restored_as_single_values_are(kind):
    norm = WindowNorm(kind, COLUMNS)
    _, statistics = norm(torch.randn(2, 5, 3))
    y = torch.randn(2, 4, 2, 3)
    together = norm.restore(y, statistics)
    for q in range(3):
        torch.testing.assert_close(together[..., q], norm.restore(y[..., q], statistics), rtol=0, atol=0)


def test_a_constant_window_stays_finite():
    norm = WindowNorm("revin", (0,))
    normalised, statistics = norm(torch.full((1, 5, 1), 3.0))
    assert (normalised == 0).all()
    torch.testing.assert_close(norm.restore(torch.zeros(1, 2, 1), statistics), torch.full((1, 2, 1), 3.0))


def test_bad_requests_are_refused():
    with pytest.raises(RequestError, match=r"one of none, last, revin; got 'lst'\. Did you mean 'last'\?"):
        WindowNorm("lst", (0,))
    with pytest.raises(RequestError, match="needs the targets among the inputs"):
        WindowNorm("last", ())
    with pytest.raises(RequestError, match="is for forecasting; this data is of the kind 'classification'"):
        make_window_norm(Spec("classification", output_size=2, input_size=1, window_norm="last"))
