"""Backpropagation through time as textbooks write it, by hand in NumPy, against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab.cells.rnn import Elman


def textbook(w_xh, w_hh, b_h, x, h, targets):
    """Gradients of sum_t |h_t - target_t|^2 / 2 for h_t = tanh(W_xh x_t + W_hh h_{t-1} + b_h), one sequence."""
    states = [h]
    for x_t in x:
        states.append(np.tanh(w_xh @ x_t + w_hh @ states[-1] + b_h))
    d_w_xh, d_w_hh, d_b_h = np.zeros_like(w_xh), np.zeros_like(w_hh), np.zeros_like(b_h)
    from_later = np.zeros_like(h)
    for t in reversed(range(len(x))):
        d_h = states[t + 1] - targets[t] + from_later
        d_sum = (1 - states[t + 1] ** 2) * d_h
        d_w_xh += np.outer(d_sum, x[t])
        d_w_hh += np.outer(d_sum, states[t])
        d_b_h += d_sum
        from_later = w_hh.T @ d_sum
    return d_w_xh, d_w_hh, d_b_h, from_later


@pytest.mark.parametrize("backend", ["native", "loop", "steps"])
def test_gradients_equal_the_textbook_s(backend):
    torch.manual_seed(0)
    cell = Elman(3, 4, init="uniform").double()
    cell.use_backend(backend)
    x, targets = torch.randn(2, 9, 3).double(), torch.randn(2, 9, 4).double()
    start = torch.randn(2, 4).double().requires_grad_()
    y, _ = cell.unroll(x, (start,))
    ((y - targets) ** 2 / 2).sum().backward()
    weights = [p.detach().numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias)]
    rows = [textbook(*weights, *(t[b].detach().numpy() for t in (x, start, targets))) for b in range(2)]
    for parameter, parts in zip((cell.weight_ih, cell.weight_hh, cell.bias), zip(*rows, strict=True), strict=False):
        np.testing.assert_allclose(parameter.grad, sum(parts), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(start.grad, np.stack([row[3] for row in rows]), rtol=1e-11, atol=1e-13)
