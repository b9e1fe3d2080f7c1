"""The gated cells against NumPy oracles written from the papers, and against torch.nn with copied weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from seqlab import config
from seqlab.cells import Aux, RecurrentCell
from seqlab.nn.rnn import RNN
from tests.cells import oracles_gated as oracles

SIZES = {"input_size": 3, "hidden_size": 4}

# name, oracle, options of the cell that are the oracle's too
VARIANTS = [
    *(("rnn", oracles.rnn, {"nonlinearity": f}) for f in ("tanh", "relu", "leaky_relu", "sigmoid", "linear")),
    ("irnn", lambda p, x, s: oracles.rnn(p, x, s, "relu"), {}),
    ("lstm", oracles.lstm, {}),
    ("lstm", oracles.lstm, {"activation": "relu"}),
    ("lstm_relu", lambda p, x, s: oracles.lstm(p, x, s, "relu"), {}),
    ("lstmp", oracles.lstmp, {}),
    ("peephole_lstm", oracles.peephole_lstm, {}),
    ("cifg_lstm", oracles.cifg_lstm, {}),
    ("layernorm_lstm", oracles.layernorm_lstm, {"norm": "joint"}),
    ("layernorm_lstm", oracles.layernorm_lstm, {"norm": "per_gate"}),
    ("gru", oracles.gru_after, {}),
    ("gru_reset_before", oracles.gru_before, {}),
    ("uncoupled_gru", oracles.uncoupled_gru, {"coupled": False}),
    ("uncoupled_gru", oracles.uncoupled_gru, {"coupled": True}),
    ("mgu", oracles.mgu, {}),
    ("janet", oracles.janet, {"beta": 1.0}),
    ("janet", oracles.janet, {"beta": 0.3}),
]


def build(name, **options):
    torch.manual_seed(0)
    cell = config.build({**config.load("cell", name), **options}, RecurrentCell, name, **SIZES).double()
    with torch.no_grad():
        for tensor in (*cell.parameters(), *cell.buffers()):
            tensor.add_(0.4 * torch.randn_like(tensor))
    parameters = {key: value.detach().numpy() for key, value in cell.state_dict().items()}
    return cell, {**parameters, "units": cell.hidden_size}


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "oracle", "options"), VARIANTS, ids=[f"{n}-{o}" for n, _, o in VARIANTS])
def test_a_cell_equals_its_paper(name, oracle, options):
    cell, p = build(name, **options)
    x, start = numbers(2, 6, 3), tuple(numbers(*s.shape) * 0.5 for s in cell.initial_state(2))
    for backend in cell.available_backends():
        cell.use_backend(backend)
        y, last = cell.unroll(x, start)
        for row in range(2):
            state = tuple(s[row].numpy() for s in start)
            for t in range(6):
                state = oracle(p, x[row, t].numpy(), state, **options)
                np.testing.assert_allclose(y[row, t].detach(), state[0], rtol=1e-10, atol=1e-12)
            for ours, theirs in zip(last, state, strict=True):
                np.testing.assert_allclose(ours[row].detach(), theirs, rtol=1e-10, atol=1e-12)


def test_grud_equals_its_paper_with_missing_values():
    cell, p = build("grud")
    x, mask, delta = numbers(2, 6, 3), (numbers(2, 6, 3) > 0).double(), numbers(2, 6, 3).abs() * 3
    y, last = cell.unroll(torch.where(mask > 0, x, float("nan")), None, None, Aux(mask, delta))
    for row in range(2):
        state = np.zeros(4), np.zeros(3)
        for t in range(6):
            state = oracles.grud(p, x[row, t].numpy(), state, mask[row, t].numpy(), delta[row, t].numpy())
            np.testing.assert_allclose(y[row, t].detach(), state[0], rtol=1e-10)
        np.testing.assert_allclose(last[1][row].detach(), state[1], rtol=1e-10)


def test_grud_without_aux_counts_everything_as_observed_one_step_apart():
    cell, p = build("grud")
    x = numbers(1, 5, 3)
    y, _ = cell.unroll(x)
    ones = torch.ones_like(x)
    torch.testing.assert_close(y, cell.unroll(x, None, None, Aux(ones, ones))[0])
    state = np.zeros(4), np.zeros(3)
    for t in range(5):
        state = oracles.grud(p, x[0, t].numpy(), state)
    np.testing.assert_allclose(y[0, -1].detach(), state[0], rtol=1e-10)


def test_grud_counts_the_steps_since_it_observed_across_cuts_and_padding():
    cell, _ = build("grud")
    x = numbers(1, 6, 3)
    mask = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]).double()[None]
    delta = torch.tensor([[1, 1, 1], [1, 2, 2], [2, 3, 1], [3, 1, 2], [4, 2, 3], [1, 3, 4]]).double()[None]
    expected, _ = cell.unroll(x, None, None, Aux(mask, delta))
    whole, state = cell.unroll(x, None, None, Aux(mask))
    torch.testing.assert_close(whole, expected)
    torch.testing.assert_close(state[2], torch.tensor([[1, 3, 0]]).double())
    for cut in range(1, 6):
        first, state = cell.unroll(x[:, :cut], None, None, Aux(mask[:, :cut]))
        torch.testing.assert_close(first, expected[:, :cut])
        second, _ = cell.unroll(x[:, cut:], state, None, Aux(mask[:, cut:]))
        torch.testing.assert_close(second, expected[:, cut:])
        _, padded = cell.unroll(x, None, torch.tensor([cut]), Aux(mask))
        torch.testing.assert_close(padded, state)


@pytest.mark.parametrize("coupled", [False, True])
def test_the_uncoupled_gru_is_bounded_as_its_gates_allow(coupled):
    cell, _ = build("uncoupled_gru", coupled=coupled)
    with torch.no_grad():
        cell.bias.fill_(30.0)  # every gate open: f = i = 1, or i = 0 where coupled
    y, _ = cell.unroll(numbers(3, 50, 3))
    bound = torch.ones(50, dtype=torch.float64) if coupled else torch.arange(1, 51, dtype=torch.float64)
    assert (y.abs().amax((0, 2)) <= bound + 1e-12).all()
    if not coupled:
        assert y[:, -1].abs().max() > 10  # it does grow, by up to one a step


def test_the_uncoupled_gru_leaves_its_candidate_bias_outside_the_gate():
    cell, p = build("uncoupled_gru")
    with torch.no_grad():
        cell.bias[8:12] = -1e3  # o shut: the candidate is tanh(b_c), whatever x and h are
        cell.bias[4:8] = -1e3  # f shut: nothing is kept
        cell.bias[:4] = 1e3  # i open
    y, _ = cell.unroll(numbers(2, 3, 3))
    np.testing.assert_allclose(y.detach(), np.broadcast_to(np.tanh(p["bias"][12:]), y.shape), rtol=1e-12)


TORCH = [
    ("rnn", nn.RNN, {}),
    ("irnn", lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k), {}),
    ("lstm", nn.LSTM, {}),
    ("lstmp", lambda *a, **k: nn.LSTM(*a, proj_size=2, **k), {}),
    ("gru", nn.GRU, {}),
]


def copy_weights(theirs, ours):
    """Copy torch.nn's weights; its two biases are one here, but for the GRU's, whose recurrent one is reset."""
    for number, cells in enumerate(ours.layers):
        for cell, suffix in zip(cells, ("", "_reverse"), strict=False):
            of_x, of_h = (getattr(theirs, f"bias_{k}_l{number}{suffix}") for k in ("ih", "hh"))
            cell.weight_ih.copy_(getattr(theirs, f"weight_ih_l{number}{suffix}"))
            cell.weight_hh.copy_(getattr(theirs, f"weight_hh_l{number}{suffix}"))
            if hasattr(cell, "weight_hr"):
                cell.weight_hr.copy_(getattr(theirs, f"weight_hr_l{number}{suffix}"))
            if getattr(cell, "bias_hn", None) is None:
                cell.bias.copy_(of_x + of_h)
            else:
                units = cell.hidden_size
                cell.bias.copy_(torch.cat((of_x[: 2 * units] + of_h[: 2 * units], of_x[2 * units :])))
                cell.bias_hn.copy_(of_h[2 * units :])


@pytest.mark.parametrize(("name", "module", "options"), TORCH, ids=[t[0] for t in TORCH])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_an_rnn_equals_torch_with_copied_weights(name, module, options):
    torch.manual_seed(0)
    theirs = module(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(5, 7, 3)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        theirs = theirs.to(dtype)
        for backend in ("native", "loop", "steps"):
            ours = RNN(name, 3, 4, num_layers=2, bidirectional=True, backend=backend).to(dtype)
            with torch.no_grad():
                copy_weights(theirs, ours)
            y, state = ours(x.to(dtype))
            expected, last = theirs(x.to(dtype))
            torch.testing.assert_close(y, expected, rtol=tolerance, atol=tolerance)
            for number, tensors in enumerate(zip(*(d for layer in state for d in layer), strict=True)):
                whole = last[number] if isinstance(last, tuple) else last
                torch.testing.assert_close(torch.stack(tensors), whole, rtol=tolerance, atol=tolerance)


def test_lengths_equal_torch_packed_sequences():
    torch.manual_seed(0)
    theirs = nn.LSTM(3, 4, bidirectional=True, batch_first=True)
    ours = RNN("lstm", 3, 4, bidirectional=True)
    with torch.no_grad():
        copy_weights(theirs, ours)
    x, lengths = torch.randn(4, 6, 3), torch.tensor([2, 6, 1, 4])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, (h, c) = theirs(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    y, state = ours(x, lengths=lengths)
    torch.testing.assert_close(y, expected)
    for direction in range(2):
        torch.testing.assert_close(state[0][direction][0], h[direction])
        torch.testing.assert_close(state[0][direction][1], c[direction])
