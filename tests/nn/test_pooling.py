from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab.errors import RequestError
from seqlab.nn.pooling import AttentionPooling, EndsPooling, LastPooling, make_pooling

LENGTHS = [5, 1, 3]


def rows() -> tuple[torch.Tensor, torch.Tensor, list[np.ndarray]]:
    """A padded batch with NaN at padded steps, its lengths, and each row's real steps in NumPy."""
    y = torch.randn(3, 5, 4)
    real = [y[b, :n].numpy().copy() for b, n in enumerate(LENGTHS)]
    for b, n in enumerate(LENGTHS):
        y[b, n:] = torch.nan
    return y, torch.tensor(LENGTHS), real


@pytest.mark.parametrize(
    ("name", "reference"),
    [("last", lambda r: r[-1]), ("mean", lambda r: r.mean(0)), ("max", lambda r: r.max(0))],
)
def test_poolings_equal_numpy_over_real_steps(name, reference):
    y, lengths, real = rows()
    got = make_pooling(name, 4)(y, lengths).numpy()
    np.testing.assert_allclose(got, [reference(r) for r in real], rtol=0, atol=1e-15)
    whole = y[:1]
    np.testing.assert_allclose(make_pooling(name, 4)(whole).numpy(), [reference(real[0])], rtol=0, atol=1e-15)


def test_attention_equals_numpy_over_real_steps():
    y, lengths, real = rows()
    pooling = make_pooling("attention", 4)
    assert isinstance(pooling, AttentionPooling)
    w, b = (p.detach().numpy() for p in pooling.key.parameters())
    v = pooling.query.weight.detach().numpy()[0]
    expected = []
    for r in real:
        score = np.exp(np.tanh(r @ w.T + b) @ v)
        expected.append(score / score.sum() @ r)
    np.testing.assert_allclose(pooling(y, lengths).detach().numpy(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["last", "mean", "max", "attention"])
def test_no_gradient_reaches_padding(name):
    y, lengths, _ = rows()
    y = y.nan_to_num(7.0).requires_grad_()
    make_pooling(name, 4)(y, lengths).square().sum().backward()
    for b, n in enumerate(LENGTHS):
        assert (y.grad[b, n:] == 0).all()
    assert y.grad[0].abs().sum() > 0


def test_last_takes_each_direction_where_it_ends():
    # Two layers of two directions of one feature: [forward, backward, forward, backward].
    y = torch.arange(2 * 3 * 4, dtype=torch.float64).reshape(2, 3, 4)
    got = LastPooling(4, layers=2, directions=2)(y, torch.tensor([3, 2]))
    assert got.tolist() == [[8.0, 1.0, 10.0, 3.0], [16.0, 13.0, 18.0, 15.0]]


def test_ends_hold_the_last_and_the_first_step():
    y = torch.arange(6, dtype=torch.float64).reshape(1, 3, 2)
    pooling = make_pooling("last", 2, directions=2, mixed=True)
    assert isinstance(pooling, EndsPooling)
    assert pooling.output_size == 4
    assert pooling(y, torch.tensor([2])).tolist() == [[2.0, 3.0, 0.0, 1.0]]


def test_an_unknown_pooling_names_the_nearest():
    with pytest.raises(RequestError, match=r"model\.pooling must be one of .*; got 'maen'\. Did you mean 'mean'\?"):
        make_pooling("maen", 4)
