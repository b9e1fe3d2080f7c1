"""Initialisation: the schemes hold exactly where they are exact, and statistically where they are drawn."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.cells import make_cell
from seqlab.cells._init import chrono
from seqlab.cells.janet import JANET
from seqlab.cells.lstm import LSTM
from seqlab.cells.rnn import Elman
from seqlab.errors import RequestError

UNITS, INPUTS = 128, 64
# name, the gate whose bias starts at one
FORGET = dict.fromkeys(("lstm", "lstm_relu", "lstmp", "peephole_lstm", "layernorm_lstm", "uncoupled_gru"), 1)
FORGET |= {"cifg_lstm": 0, "mgu": 0}
OTHERS = ("rnn", "gru", "gru_reset_before", "grud")


@pytest.mark.parametrize("name", [*FORGET, *OTHERS])
def test_recurrent_blocks_are_orthogonal_input_blocks_glorot_and_biases_zero_but_the_forget_gate_s(name):
    torch.manual_seed(0)
    cell = make_cell(name, INPUTS, UNITS)
    for block in cell.weight_hh.detach().split(UNITS):
        if block.shape[0] == block.shape[1]:
            torch.testing.assert_close(block @ block.T, torch.eye(UNITS), atol=1e-5, rtol=0)
        else:
            torch.testing.assert_close(block.T @ block, torch.eye(block.shape[1]), atol=1e-5, rtol=0)
    bound = math.sqrt(6 / (cell.weight_ih.shape[1] + UNITS))
    for block in cell.weight_ih.detach().split(UNITS):
        assert block.abs().max() <= bound
        assert block.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    expected = torch.zeros(cell.bias.shape)
    if name in FORGET:
        expected[FORGET[name] * UNITS : (FORGET[name] + 1) * UNITS] = 1
    assert torch.equal(cell.bias.detach(), expected)


def test_uniform_is_torch_s():
    torch.manual_seed(0)
    cell = LSTM(INPUTS, UNITS, forget_bias=0.0, init="uniform")
    bound = 1 / math.sqrt(UNITS)
    for parameter in (cell.weight_ih, cell.weight_hh):
        assert parameter.abs().max() <= bound
        assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_irnn_starts_as_the_identity():
    torch.manual_seed(0)
    cell = make_cell("irnn", INPUTS, UNITS)
    assert torch.equal(cell.weight_hh.detach(), torch.eye(UNITS))
    assert cell.weight_ih.std().item() == pytest.approx(1e-3, rel=0.03)
    assert not cell.bias.any()
    x = torch.zeros(2, 100, INPUTS)
    start = torch.rand(2, UNITS)
    assert torch.equal(cell.unroll(x, (start,))[0][:, -1], start)  # without input it remembers for ever


def test_chrono_spreads_memories_over_the_sequence():
    torch.manual_seed(0)
    cell = LSTM(2, 4096, chrono=100, init="uniform")
    b_i, b_f, _, _ = cell.bias.detach().chunk(4)
    assert torch.equal(b_i, -b_f)
    scales = b_f.exp()
    assert scales.min() >= 1
    assert scales.max() <= 99
    assert scales.mean().item() == pytest.approx(50, rel=0.03)
    assert scales.std().item() == pytest.approx(98 / math.sqrt(12), rel=0.03)


def test_janet_starts_chrono():
    torch.manual_seed(0)
    forget, candidate = JANET(2, 4096, chrono=784, init="uniform").bias.detach().chunk(2)
    assert forget.exp().mean().item() == pytest.approx(392, rel=0.03)
    assert not candidate.any()


def test_a_longest_dependency_of_two_steps_is_refused():
    with pytest.raises(RequestError, match="at least 3; got 2"):
        chrono(torch.empty(3), 2)
    with pytest.raises(RequestError, match="at least 3; got 2"):
        JANET(2, 3, chrono=2)


def test_lstmp_projection_is_orthogonal():
    torch.manual_seed(0)
    cell = make_cell("lstmp", 3, 16)
    torch.testing.assert_close(cell.weight_hr @ cell.weight_hr.T, torch.eye(8), atol=1e-5, rtol=0)


def test_decays_of_missing_values_can_learn():
    torch.manual_seed(0)
    cell = make_cell("grud", INPUTS, UNITS)
    for weight in (cell.decay_x, cell.decay_h):
        assert weight.min() >= 0
        assert weight.max() <= UNITS**-0.5
        assert weight.mean().item() == pytest.approx(UNITS**-0.5 / 2, rel=0.2)


def test_an_unknown_scheme_or_choice_names_the_nearest():
    with pytest.raises(RequestError, match="orthogonal"):
        Elman(2, 3, init="ortogonal")
    with pytest.raises(RequestError, match="Did you mean 'leaky_relu'"):
        Elman(2, 3, nonlinearity="leakyrelu")
    with pytest.raises(RequestError, match="one of tanh, relu"):
        LSTM(2, 3, activation="gelu")
