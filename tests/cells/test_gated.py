"""The gated family itself: cells without a derivative of their own, number types, and what a second derivative says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlab.cells import State, make_cell, wrap
from seqlab.cells._base import Pre
from seqlab.cells._gated import GatedCell, Kept, Weights, masked
from seqlab.cells.mgu import MGU
from seqlab.errors import RequestError


class Plain(GatedCell):
    """h' = h + tanh(W x + U h + b) / 2, with no word on its derivative."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.reset_parameters()

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        (h,) = state
        return (h + torch.tanh(torch.addmm(pre[0], masked(h, mask), weights[0].t())) / 2,), ()


def test_a_cell_without_a_derivative_runs_under_autograd():
    torch.manual_seed(0)
    cell = Plain(2, 3)
    assert cell.available_backends() == ("auto", "steps")
    with pytest.raises(RequestError, match="Plain with these arguments has no backend 'loop'; it has auto, steps"):
        cell.use_backend("loop")
    x = torch.randn(2, 5, 2)
    y, _ = cell.unroll(x)
    h = torch.zeros(2, 3)
    for t in range(5):
        h = h + torch.tanh(x[:, t] @ cell.weight_ih.T + h @ cell.weight_hh.T + cell.bias) / 2
        torch.testing.assert_close(y[:, t], h)
    y.sum().backward()
    assert cell.weight_hh.grad is not None


def test_variational_dropout_works_in_mixed_precision():
    torch.manual_seed(0)
    cell = wrap(make_cell("mgu", 2, 3), variational_dropout=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = cell.unroll(torch.randn(2, 5, 2))
        y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert cell.innermost.weight_hh.grad.dtype == torch.float32


def test_a_second_derivative_needs_the_plain_steps():
    torch.manual_seed(0)
    cell = MGU(2, 3).double()
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RequestError, match="no second derivative; run the cell with backend='steps'"):
        torch.autograd.grad(cell.unroll(x)[0].sum(), x, create_graph=True)
    cell.use_backend("steps")
    assert torch.autograd.gradgradcheck(lambda x: cell.unroll(x)[0], (x,), fast_mode=True)


@pytest.mark.parametrize("name", ["gru", "layernorm_lstm"])
def test_the_graph_may_be_used_twice(name):
    torch.manual_seed(0)
    cell = make_cell(name, 2, 3).double()
    loss = cell.unroll(torch.randn(2, 4, 2, dtype=torch.float64))[0].square().sum()
    once = torch.autograd.grad(loss, list(cell.parameters()), retain_graph=True)
    twice = torch.autograd.grad(loss, list(cell.parameters()))
    torch.testing.assert_close(once, twice, rtol=0, atol=0)
