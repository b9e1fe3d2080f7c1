"""A probe's dL/dh_t is the true one, for every cell, and its gates are those that the cell formed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from seqlab import options
from seqlab.cells import make_cell, wrap
from seqlab.cells.lstm import LSTM
from seqlab.cells.rnn import Elman
from seqlab.nn import RNN
from seqlab.nn.probe import Noted, Probe, put_probes

STEPS, UNITS = 5, 4


def gradients(loss: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, states, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(s) if g is None else g for s, g in zip(states, found, strict=True)]


def run(cell: Probe, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Noted]:
    y, _ = cell.unroll(x, None, lengths)
    return y, cell.take()


def test_a_linear_network_multiplies_by_its_matrix_once_a_step() -> None:
    """dL/dh_t = (U^T)^(T-t) dL/dh_T."""
    cell = Elman(2, UNITS, nonlinearity="linear", init="uniform")
    y, noted = run(Probe(cell), torch.randn(3, STEPS, 2))
    found = gradients(y[:, -1].square().sum(), noted.hidden)
    for back, gradient in enumerate(reversed(found)):
        expected = 2 * y[:, -1] @ torch.linalg.matrix_power(cell.weight_hh, back)
        torch.testing.assert_close(gradient, expected)


def test_an_lstm_without_recurrent_weights_carries_the_gradient_by_its_forget_gate_alone() -> None:
    cell = LSTM(2, UNITS)
    torch.nn.init.zeros_(cell.weight_hh)
    x = torch.randn(3, STEPS, 2)
    y, noted = run(Probe(cell), x)
    hidden, memory = (gradients(y[:, -1].sum(), states) for states in (noted.hidden, noted.memory))
    _, forget, _, output = (x @ cell.weight_ih.T + cell.bias).chunk(4, 2)
    torch.testing.assert_close(hidden[-1], torch.ones(3, UNITS))
    assert all(not gradient.any() for gradient in hidden[:-1])
    expected = torch.sigmoid(output[:, -1]) * (1 - torch.tanh(noted.memory[-1]) ** 2)
    for t in reversed(range(STEPS)):
        torch.testing.assert_close(memory[t], expected)
        expected = expected * torch.sigmoid(forget[:, t])


@pytest.mark.parametrize("name", options("cell"))
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    """The sequence is cut after each step, its first state shifted a little either way, and run to its end."""
    inner = make_cell(name, 3, UNITS).double()
    x, shift = torch.randn(2, STEPS, 3), 1e-6
    y, noted = run(Probe(inner), x)
    found = gradients(y[:, -1].square().sum(), noted.hidden)
    for t in range(STEPS - 1):
        _, (h, *rest) = inner.unroll(x[:, : t + 1])
        direction = torch.randn_like(h)

        def loss(moved: Tensor, rest: list[Tensor] = rest, t: int = t) -> Tensor:
            return inner.unroll(x[:, t + 1 :], (moved, *rest))[0][:, -1].square().sum()

        with torch.no_grad():
            slope = (loss(h + shift * direction) - loss(h - shift * direction)) / (2 * shift)
        torch.testing.assert_close((found[t].conj() * direction).sum().real, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", options("cell"))
def test_outputs_stay_and_padding_has_no_gradient_and_no_gates(name: str) -> None:
    inner, lengths = make_cell(name, 3, UNITS).double(), torch.tensor([STEPS, 2])
    x = torch.randn(2, STEPS, 3)
    x[1, 2:] = 0
    y, noted = run(Probe(inner), x, lengths)
    torch.testing.assert_close(y, inner.unroll(x, None, lengths)[0])
    found = gradients(y.square().sum(), noted.hidden)
    assert [bool(g[1].abs().sum() > 0) for g in found] == [True, True, False, False, False]
    alone, of_one = run(Probe(inner), x[1:, :2])
    for g, expected in zip(found, gradients(alone.square().sum(), of_one.hidden), strict=False):
        torch.testing.assert_close(g[1:], expected)
    assert set(noted.gates) == set(inner.gate_names)
    for gate, counts in noted.gates.items():
        whole, cut = run(Probe(inner), x[:1])[1].gates[gate], of_one.gates[gate]
        assert counts.tolist() == (whole + cut).tolist()
        assert counts[0] in (7 * UNITS, 7 * getattr(inner, "num_heads", UNITS))


def test_gates_are_counted_where_they_are_shut_and_open() -> None:
    cell = LSTM(1, UNITS)
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    i, f, _, o = cell.bias.detach().chunk(4)
    i.fill_(-3.0)
    f[:3] = 3.0
    o[:] = torch.tensor([-3.0, 0.0, 0.0, 3.0])
    noted = run(Probe(cell), torch.randn(2, STEPS, 1))[1]
    assert {gate: counts.tolist() for gate, counts in noted.gates.items()} == {
        "i": [40, 40, 0],
        "f": [40, 0, 30],
        "o": [40, 10, 10],
    }


def test_wrappers_keep_their_cells_gates_and_a_mogrifiers_own_are_not_taken_for_them() -> None:
    x = torch.randn(2, STEPS, 3)
    zoned = wrap(make_cell("gru", 3, UNITS), zoneout=0.2, variational_dropout=0.1).eval()
    y, noted = run(Probe(zoned), x)
    torch.testing.assert_close(y, zoned.unroll(x)[0])
    assert set(noted.gates) == {"r", "z"}
    assert run(Probe(wrap(make_cell("gru", 3, UNITS), mogrifier=2)), x)[1].gates == {}


def test_every_layer_and_direction_has_a_name() -> None:
    rnn = RNN("gru", 3, UNITS, num_layers=2, bidirectional=True)
    x = torch.randn(2, STEPS, 3)
    before, _ = rnn(x)
    probes = put_probes(rnn)
    assert list(probes) == ["layer 1", "layer 1, backward", "layer 2", "layer 2, backward"]
    after, _ = rnn(x)
    torch.testing.assert_close(after, before)
    backward = gradients(after[:, 0, UNITS:].sum(), probes["layer 2, backward"].take().hidden)
    assert backward[-1].eq(1).all(), "its last step is the sequence's first"
