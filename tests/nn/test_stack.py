from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlab.cells import Aux
from seqlab.errors import RequestError
from seqlab.nn import RNN, Stack
from seqlab.nn.stack import HighwayGate
from seqlab.nn.state import leaves

CELLS = ["lstm", "mingru"]
LENGTHS = torch.tensor([6, 2, 4])


def make(cell: str = "lstm", **options) -> Stack:
    return Stack(cell, 3, 4, num_layers=3, **options).eval()


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_plain_stack_is_rnn(cell, bidirectional):
    stack = make(cell, bidirectional=bidirectional)
    rnn = RNN(cell, 3, 4, num_layers=3, bidirectional=bidirectional)
    with torch.no_grad():
        for to, source in zip(rnn.parameters(), stack.parameters(), strict=True):
            to.copy_(source)
    x = torch.randn(3, 6, 3)
    y, state = stack(x, lengths=LENGTHS)
    expected, expected_state = rnn(x, lengths=LENGTHS)
    close(y, expected)
    for got, want in zip(leaves(state), leaves(expected_state), strict=True):
        close(got, want)


@pytest.mark.parametrize("cell", CELLS)
def test_residual_adds_what_a_layer_was_given(cell):
    stack = make(cell, connection="residual")
    x = torch.randn(3, 6, 3)
    first = stack.layers[0](x, lengths=LENGTHS)[0]
    second = first + stack.layers[1](first, lengths=LENGTHS)[0]
    third = second + stack.layers[2](second, lengths=LENGTHS)[0]
    outputs, _ = stack.run_layers(x, lengths=LENGTHS)
    for got, expected in zip(outputs, (first, second, third), strict=True):
        close(got, expected)


def test_highway_blends_by_its_gate():
    stack = make(connection="highway", bidirectional=True)
    x = torch.randn(3, 6, 3)
    first = stack.layers[0](x)[0]
    gate = torch.sigmoid(stack.gates[0].gate(first))
    second = gate * stack.layers[1](first)[0] + (1 - gate) * first
    close(stack.run_layers(x)[0][1], second)
    assert len(stack.gates) == 2


def test_a_highway_starts_near_the_identity():
    gate = HighwayGate(4)
    assert (gate.gate.bias == -1).all()
    with torch.no_grad():
        gate.gate.weight.zero_()
    x, y = torch.randn(5, 4), torch.randn(5, 4)
    share = 1 / (1 + torch.e)
    close(gate(x, y), share * y + (1 - share) * x)


@pytest.mark.parametrize("cell", CELLS)
def test_dense_gives_every_layer_the_input_and_all_below(cell):
    stack = make(cell, connection="dense", read_out="every")
    assert [layer.input_size for layer in stack.layers] == [3, 7, 11]
    x = torch.randn(3, 6, 3)
    first = stack.layers[0](x)[0]
    second = stack.layers[1](torch.cat([x, first], -1))[0]
    third = stack.layers[2](torch.cat([x, first, second], -1))[0]
    y, _ = stack(x)
    assert stack.output_size == 12
    close(y, torch.cat([first, second, third], -1))


@pytest.mark.parametrize("connection", ["plain", "residual", "dense", "highway"])
def test_padded_steps_are_zero_and_pieces_equal_the_whole(connection):
    stack = make("mingru", connection=connection)
    x = torch.randn(3, 6, 3)
    y, _ = stack(x, lengths=LENGTHS)
    assert (y[1, 2:] == 0).all()
    assert (y[2, 4:] == 0).all()
    assert (y[1, :2] != 0).any()
    whole, after = stack(x)
    first, state = stack(x[:, :4])
    second, state = stack(x[:, 4:], state)
    close(torch.cat([first, second], 1), whole)
    for got, expected in zip(leaves(state), leaves(after), strict=True):
        close(got, expected)


@pytest.mark.parametrize("last", [False, True])
def test_dropout_falls_after_every_layer_but_the_last_unless_asked(last):
    stack = Stack("lstm", 3, 64, num_layers=2, dropout=0.5, dropout_last=last).train()
    outputs, _ = stack.run_layers(torch.randn(8, 6, 3))
    shares = [(y == 0).double().mean().item() for y in outputs]
    assert shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[1] == (pytest.approx(0.5, abs=0.05) if last else 0.0)


def test_observations_reach_the_first_layer_and_time_all(monkeypatch):
    seen = []
    unrolled = RNN.forward

    def spy(self, x, state=None, lengths=None, aux=None):
        seen.append(aux)
        return unrolled(self, x, state, lengths, aux)

    monkeypatch.setattr(RNN, "forward", spy)
    mask, time = torch.ones(3, 6, 3), torch.arange(6.0).expand(3, 6)
    make()(torch.randn(3, 6, 3), aux=Aux(mask=mask, delta=mask, time=time))
    assert seen[0].mask is mask
    assert [a.mask is None and a.delta is None and a.time is time for a in seen] == [False, True, True]
    seen.clear()
    make()(torch.randn(3, 6, 3), aux=Aux(mask=mask))
    assert seen[1:] == [None, None]


def test_state_size_adds_layers_and_directions():
    assert make().state_size == 3 * 2 * 4
    assert make(bidirectional=True).state_size == 2 * 3 * 2 * 4
    assert make("mingru").state_size == 3 * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, r"model\.hidden_size must be a whole number of at least 1; got 0"),
        ({"num_layers": 0}, r"model\.num_layers must be a whole number of at least 1; got 0"),
        ({"num_layers": 1.5}, r"got 1\.5"),
        ({"dropout": 1.0}, r"model\.dropout must be a number in \[0, 1\)"),
        ({"dropout": -0.1}, r"got -0\.1"),
        ({"connection": "residul"}, r"Did you mean 'residual'\?"),
        ({"read_out": "all"}, r"model\.read_out must be one of last, every; got 'all'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        Stack("lstm", 3, **{"hidden_size": 4, **options})
