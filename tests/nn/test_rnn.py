"""RNN: layers, directions, lengths, states and what it says of bad input."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from seqlab.cells import Aux, make_cell
from seqlab.cells.lstm import LSTM
from seqlab.cells.mgu import MGU
from seqlab.errors import RequestError
from seqlab.nn.rnn import RNN, reverse

B, T, I, H = 3, 5, 2, 4  # noqa: E741
LENGTHS = torch.tensor([2, 5, 1])
#: A cell with a kernel, and one of each family that loops in its own way.
FAMILIES = ["lstm", "gru", "sru", "lru", "mlstm"]


@pytest.fixture
def x():
    return torch.randn(B, T, I, generator=torch.Generator().manual_seed(1))


def seeded(*arguments, **options):
    torch.manual_seed(0)
    return RNN(*arguments, **options)


def test_layers_are_cells_one_above_the_other(x):
    rnn = seeded("lstm", I, H, num_layers=2)
    y, state = rnn(x)
    first, first_state = rnn.layers[0][0].unroll(x)
    second, second_state = rnn.layers[1][0].unroll(first)
    assert torch.equal(y, second)
    torch.testing.assert_close(state, (first_state, second_state))


def test_both_directions_are_two_cells_of_which_one_reads_backward(x):
    rnn = seeded("gru", I, H, bidirectional=True)
    forward, backward = rnn.layers[0]
    y, ((ahead, back),) = rnn(x, lengths=LENGTHS)
    assert rnn.output_size == y.shape[2] == 2 * H
    for row, length in enumerate(LENGTHS):
        alone, last = forward.unroll(x[row : row + 1, :length])
        torch.testing.assert_close(y[row : row + 1, :length, :H], alone)
        torch.testing.assert_close(ahead[0][row : row + 1], last[0])
        alone, last = backward.unroll(x[row : row + 1, :length].flip(1))
        torch.testing.assert_close(y[row : row + 1, :length, H:], alone.flip(1))
        torch.testing.assert_close(back[0][row : row + 1], last[0])


def test_rows_are_reversed_by_their_own_length():
    rows = torch.tensor([[1, 2, 3, 0], [4, 0, 0, 0], [5, 6, 7, 8]])
    assert reverse(rows, torch.tensor([3, 1, 4])).tolist() == [[3, 2, 1, 0], [4, 0, 0, 0], [8, 7, 6, 5]]
    assert reverse(rows, None).tolist() == rows.flip(1).tolist()


def test_the_state_is_carried_through_layers(x):
    rnn = seeded("lstm", I, H, num_layers=3)
    y, last = rnn(x)
    first, state = rnn(x[:, :2])
    second, state = rnn(x[:, 2:], [tuple(layer) for layer in state])  # a list of layers will do
    torch.testing.assert_close(torch.cat((first, second), 1), y)
    torch.testing.assert_close(state, last)


def test_a_cell_may_be_a_name_a_class_or_a_factory(x):
    for cell in ("mgu", MGU, partial(MGU, forget_bias=1.0)):
        torch.testing.assert_close(seeded(cell, I, H)(x)[0], seeded("mgu", I, H)(x)[0])
    assert seeded(partial(LSTM, activation="relu"), I, H).layers[0][0].activation == "relu"


def test_dropout_lies_between_layers_and_not_after_the_last(x):
    rnn = seeded("rnn", I, H, num_layers=2, dropout=0.5)
    torch.manual_seed(5)
    y, _ = rnn(x)
    between, _ = rnn.layers[0][0].unroll(x)
    torch.manual_seed(5)
    expected, _ = rnn.layers[1][0].unroll(torch.nn.functional.dropout(between, 0.5))
    assert torch.equal(y, expected)
    assert torch.equal(seeded("rnn", I, H, dropout=0.5)(x)[0], seeded("rnn", I, H)(x)[0])


def test_projected_outputs_feed_the_next_layer(x):
    rnn = seeded("lstmp", I, H, num_layers=2, bidirectional=True)
    y, _ = rnn(x)
    assert rnn.output_size == y.shape[2] == H  # half of H, twice
    assert rnn.layers[1][0].input_size == H


def test_wrappers_and_backend_reach_every_cell():
    rnn = seeded("lstm", I, H, num_layers=2, bidirectional=True, weight_drop=0.5, backend="loop")
    cells = [cell for layer in rnn.layers for cell in layer]
    assert len(cells) == 4
    assert all(type(c).__name__ == "WeightDrop" and c.innermost.backend == "loop" for c in cells)


def test_lengths_may_be_a_list_and_any_whole_number_type(x):
    rnn = seeded("gru", I, H)
    expected, _ = rnn(x, lengths=LENGTHS)
    for lengths in ([2, 5, 1], LENGTHS.to(torch.int32), LENGTHS.to(torch.uint8)):
        assert torch.equal(rnn(x, lengths=lengths)[0], expected)


def test_aux_is_turned_around_for_the_backward_direction():
    rnn = seeded("grud", 1, H, bidirectional=True)
    x = torch.tensor([[[1.0], [2.0], [3.0], [4.0], [0.0]]])
    mask = torch.tensor([[[1.0], [0.0], [0.0], [1.0], [0.0]]])
    time = torch.tensor([[0.0, 1.0, 3.0, 6.0, 0.0]])
    y, _ = rnn(x, lengths=[4], aux=Aux(mask, torch.ones_like(mask), time))
    seen = Aux(
        torch.tensor([[[1.0], [0.0], [0.0], [1.0]]]),
        torch.tensor([[[1.0], [3.0], [5.0], [6.0]]]),  # 6 to 3, 6 to 1, 6 to 0
        torch.tensor([[0.0, 3.0, 5.0, 6.0]]),
    )
    expected, _ = rnn.layers[0][1].unroll(x[:, [3, 2, 1, 0]], None, None, seen)
    torch.testing.assert_close(y[:, :4, H:], expected.flip(1))


def test_layers_above_the_first_see_the_time_alone(x, monkeypatch):
    rnn = seeded("rnn", I, H, num_layers=2)
    given = []
    for layer in rnn.layers:
        unroll = layer[0].unroll
        monkeypatch.setattr(layer[0], "unroll", lambda *a, run=unroll: given.append(a[3]) or run(*a))
    mask, time = torch.ones_like(x), torch.arange(T).float().expand(B, T)
    rnn(x, aux=Aux(mask, mask, time))
    assert [[part is None for part in aux] for aux in given] == [[False] * 3, [True, True, False]]


def test_what_stands_in_the_padding_does_not_matter(x):
    rnn = seeded("lstm", I, H, bidirectional=True)
    expected, _ = rnn(x, lengths=LENGTHS)
    dirty = x.clone()
    dirty[0, 2:], dirty[2, 1:] = float("nan"), float("inf")
    y, _ = rnn(dirty, lengths=LENGTHS)
    assert torch.equal(y, expected)
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in rnn.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cell": "lstn"}, "There is no cell 'lstn'. Did you mean 'lstm'?"),
        ({"cell": 3}, "cell must be a name, a RecurrentCell class or a callable"),
        ({"cell": lambda **sizes: torch.nn.Linear(2, 2)}, "must return a RecurrentCell; it returned Linear"),
        ({"cell": partial(make_cell, "lstmp"), "hidden_size": 0}, "hidden_size must be"),
        ({"hidden_size": 2.5}, "hidden_size must be a whole number"),
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1; got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"backend": "nativ"}, "LSTM with these arguments has no backend 'nativ'.*Did you mean 'native'?"),
        ({"zoneuot": 0.1}, "RNN has no argument 'zoneuot'. Did you mean 'zoneout'?"),
    ],
)
def test_a_wrong_request_is_refused(options, words):
    with pytest.raises(RequestError, match=words):
        RNN(**{"cell": "lstm", "input_size": I, "hidden_size": H, **options})


def test_a_projection_larger_than_hidden_is_refused():
    from seqlab.cells.lstmp import LSTMP

    with pytest.raises(RequestError, match="projection must be from 1 to hidden_size=4; got 5"):
        RNN(partial(LSTMP, projection=5), I, H)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x[0], r"x must be \(B, T, 2\) with T at least 1; got \(5, 2\). Add the batch axis"),
        (lambda x: x[..., :1], r"x must be \(B, T, 2\) with T at least 1; got \(3, 5, 1\)"),
        (lambda x: x[:, :0], r"with T at least 1; got \(3, 0, 2\)"),
        (lambda x: x.tolist(), r"x must be a tensor \(B, T, 2\); got list"),
        (lambda x: x.half(), "x is torch.float16 and the parameters torch.float64; cast one"),
        (lambda x: x.long(), "floating-point features; got torch.int64. Embed tokens first"),
        (lambda x: x.to("meta"), "x is on meta and the parameters on cpu"),
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_wrong_features_are_refused(x, name, wrong, words):
    with pytest.raises(RequestError, match=words):
        seeded(name, I, H)(wrong(x))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([2, 0, 1], "lengths must be from 1 to T=5; row 1 has 0"),
        ([2, 5, 6], "lengths must be from 1 to T=5; row 2 has 6"),
        ([2, -1, 6], "row 1 has -1"),
        ([2.0, 1.0, 1.0], "lengths must be whole numbers; got torch.float64"),
        ([True, True, True], "lengths must be whole numbers; got torch.bool"),
        ([2, 1], r"one entry for each of the 3 rows; got \(2,\)"),
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_wrong_lengths_are_refused(x, name, lengths, words):
    with pytest.raises(RequestError, match=words):
        seeded(name, I, H)(x, lengths=torch.tensor(lengths))


@pytest.mark.parametrize("lengths", ["abc", [1, None, 2], [[1], [2, 3], [4]]])
def test_lengths_that_are_no_numbers_are_refused(x, lengths):
    with pytest.raises(RequestError, match="lengths must be whole numbers, one a row; got"):
        seeded("gru", I, H)(x, lengths=lengths)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda s: s[:1], "state must be a tuple of 2; got 1 parts"),
        (lambda s: s[0][0][0], "state must be a tuple of 2; got Tensor"),
        (lambda s: (s[0], s[1][0]), r"state\[1\]\[0\] must be a tuple of 2; got Tensor"),
        (lambda s: (s[0], (s[1][0], (s[1][1][0],))), r"state\[1\]\[1\] must be a tuple of 2; got 1 parts"),
        (lambda s: (s[0], (s[1][0], (s[1][1][0], None))), r"state\[1\]\[1\]\[1\] must be a tensor \(3, 4\); got None"),
        (lambda s: (s[0], (s[1][0], (s[1][1][0], s[1][1][1][:2]))), r"must be \(3, 4\); got \(2, 4\)"),
        (lambda s: (s[0], (s[1][0], (s[1][1][0], s[1][1][1].to("meta")))), "is on meta and the parameters on cpu"),
    ],
)
def test_a_wrong_state_is_refused(x, wrong, words):
    rnn = seeded("lstm", I, H, num_layers=2, bidirectional=True)
    with pytest.raises(RequestError, match=words):
        rnn(x, wrong(rnn.initial_state(B)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_wrong_state_is_refused_by_every_family(x, name):
    rnn = seeded(name, I, H)
    ((first, *others),) = rnn.initial_state(B)
    number = torch.float32 if first.is_complex() else torch.complex64
    for wrong, words in (
        (first[:2], r"state\[0\]\[0\] must be \(3, "),
        (first.real.to(number), f"state.0..0. must hold numbers like {first.dtype}; got {number}"),
        (first.new_zeros(first.shape, dtype=torch.int64), "must hold numbers like .*; got torch.int64"),
        (first.to("meta"), "is on meta and the parameters on cpu"),
        ({"h": first}, "must be a tensor .*; got dict"),
    ):
        with pytest.raises(RequestError, match=words):
            rnn(x, [(wrong, *others)])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_state_of_another_precision_is_cast(x, name):
    rnn = seeded(name, I, H)
    y, last = rnn(x)
    expected, after = rnn(x, last)
    wide = [tuple(s.to(torch.complex128 if s.is_complex() else torch.float64) for s in layer) for layer in last]
    y, cast = rnn(x, wide)
    assert torch.equal(y, expected)
    assert [s.dtype for s in cast[0]] == [s.dtype for s in after[0]]


def test_a_step_by_hand_and_a_kernel_refuse_other_features(x):
    cell = make_cell("lstm", I, H)
    with pytest.raises(RequestError, match=r"x must be one step, \(B, 2\); got \(3, 1\)"):
        cell(x[:, 0, :1])
    with pytest.raises(RequestError, match=r"x must be \(B, T, 2\); got \(3, 5, 1\)"):
        cell.unroll(x[..., :1])


def test_a_wrong_aux_is_refused(x):
    rnn = seeded("grud", I, H)
    with pytest.raises(RequestError, match=r"aux.mask must be a tensor \(3, 5, 2\); got \(3, 5\)"):
        rnn(x, aux=Aux(mask=torch.ones(B, T)))
    with pytest.raises(RequestError, match=r"aux.time must be a tensor \(3, 5\); got \(3, 5, 2\)"):
        rnn(x, aux=Aux(time=torch.ones(B, T, I)))
    with pytest.raises(RequestError, match=r"aux must be a seqlab.cells.Aux\(mask, delta, time\); got dict"):
        rnn(x, aux={"mask": x})
    with pytest.raises(RequestError, match=r"aux.delta must be a tensor \(3, 5, 2\); got list"):
        rnn(x, aux=Aux(delta=x.tolist()))
    with pytest.raises(RequestError, match=r"aux.mask is on meta and x on cpu"):
        rnn(x, aux=Aux(mask=x.to("meta")))


@pytest.mark.parametrize("name", FAMILIES)
def test_non_finite_input_raises_with_its_place_when_asked_to(x, name):
    x[1, 3, 0] = float("nan")
    x[1, 4, 1] = float("inf")
    with pytest.raises(RequestError, match="2 values are not, the first at batch index 1, step 3, feature 0"):
        seeded(name, I, H, check_finite=True)(x)
    assert seeded(name, I, H)(x)[0].isnan().any()
    rnn = seeded(name, I, H, check_finite=True)
    rnn(x, lengths=[5, 3, 5])  # in the padding it does no harm


def test_a_non_finite_aux_raises_with_its_place_when_asked_to(x):
    time = torch.arange(T).float().repeat(B, 1)
    time[2, 4] = float("nan")
    with pytest.raises(
        RequestError, match=r"aux.time must be finite; 1 values are not, the first at batch index 2, step 4"
    ):
        seeded("grud", I, H, check_finite=True)(x, aux=Aux(time=time))


@pytest.mark.parametrize("name", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_an_rnn_compiles_as_one_graph(name, x):
    rnn = seeded(name, I, H, bidirectional=True)
    compiled = torch.compile(rnn, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, lengths=LENGTHS)[0], rnn(x, lengths=LENGTHS)[0])
