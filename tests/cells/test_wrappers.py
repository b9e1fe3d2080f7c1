"""Wrappers: what they do to the numbers in training, what remains of them in evaluation, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqlab import config
from seqlab.cells import make_cell, wrap
from seqlab.cells._gated import GatedCell
from seqlab.errors import RequestError

GATED = [name for name in config.options("cell") if isinstance(make_cell(name, 2, 4), GatedCell)]
ALL: dict = {"zoneout": 0.2, "variational_dropout": [0.2, 0.3], "weight_drop": 0.4, "mogrifier": 3}
B, T, I, H = 3, 6, 2, 4  # noqa: E741


def build(name, **wrappers):
    torch.manual_seed(0)
    return wrap(make_cell(name, I, H), **wrappers).double()


def inputs(*shape) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def by_hand(cell, x):
    state, outputs = None, []
    for column in x.unbind(1):
        y, state = cell(column, state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("key", ALL)
def test_a_wrapped_cell_keeps_the_laws_in_evaluation(name, key):
    if key in make_cell(name, I, H).refuses:
        pytest.skip("refused, as another test holds")
    cell = build(name, **{key: ALL[key]}).eval()
    x, lengths = inputs(B, T, I), torch.tensor([1, T, 3])
    y, last = cell.unroll(x)
    stepped, state = by_hand(cell, x)
    first, middle = cell.unroll(x[:, :2])
    second, end = cell.unroll(x[:, 2:], middle)
    padded, short = cell.unroll(x, None, lengths)
    alone, alone_last = cell.unroll(x[2:, :3])
    torch.testing.assert_close(stepped, y)
    torch.testing.assert_close(torch.cat((first, second), 1), y)
    torch.testing.assert_close(padded[2:, :3], alone)
    assert not padded[2, 3:].any()
    for a, b in ((state, last), (end, last), (tuple(s[2:] for s in short), alone_last)):
        torch.testing.assert_close(a, b)
    if key in ("variational_dropout", "weight_drop"):
        torch.testing.assert_close(y, cell.innermost.unroll(x)[0])


@pytest.mark.parametrize("name", GATED)
def test_all_wrappers_at_once_train_and_evaluate(name):
    wrappers = dict(ALL) if "mogrifier" not in make_cell(name, I, H).refuses else {**ALL, "mogrifier": 0}
    cell = build(name, **wrappers)
    y, _ = cell.unroll(inputs(B, T, I), None, torch.tensor([1, T, 3]))
    y.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())
    x = inputs(B, T, I)
    assert torch.equal(cell.eval().unroll(x)[0], cell.unroll(x)[0])
    again, _ = cell.train().unroll(x)
    assert not torch.equal(again, cell.unroll(x)[0])


def test_zoneout_keeps_a_share_of_each_state_and_its_mean_in_evaluation():
    cell = build("lstm", zoneout=[0.75, 0.25])
    x, (h, c) = inputs(4000, I), tuple(inputs(4000, H) for _ in range(2))
    _, (new_h, new_c) = cell.cell(x, (h, c))
    y, (zoned_h, zoned_c) = cell(x, (h, c))
    assert y is zoned_h
    for zoned, old, new, rate in ((zoned_h, h, new_h, 0.75), (zoned_c, c, new_c, 0.25)):
        assert ((zoned == old) | (zoned == new)).all()
        assert (zoned == old).double().mean().item() == pytest.approx(rate, abs=0.02)
    _, (mean_h, mean_c) = cell.eval()(x, (h, c))
    torch.testing.assert_close(mean_h, 0.75 * h + 0.25 * new_h)
    torch.testing.assert_close(mean_c, 0.25 * c + 0.75 * new_c)


def test_variational_dropout_uses_one_mask_a_sequence_in_the_products_alone():
    rate = 0.5
    cell = build("gru", variational_dropout=[0.0, rate])
    x, inner = inputs(B, T, I), cell.innermost
    torch.manual_seed(3)
    y, _ = cell.unroll(x)
    torch.manual_seed(3)
    mask = torch.nn.functional.dropout(torch.ones(B, H, dtype=torch.float64), rate)
    assert 0 < (mask == 0).double().mean() < 1
    expected, h = [], torch.zeros(B, H, dtype=torch.float64)
    for t in range(T):  # the equations, with h masked in U h and nowhere else
        of_x = x[:, t] @ inner.weight_ih.T + inner.bias
        of_h = (h * mask) @ inner.weight_hh.T
        r, z = torch.sigmoid(of_x + of_h)[:, : 2 * H].chunk(2, 1)
        n = torch.tanh(of_x[:, 2 * H :] + r * (of_h[:, 2 * H :] + inner.bias_hn))
        h = (1 - z) * n + z * h
        expected.append(h)
    torch.testing.assert_close(y, torch.stack(expected, 1))
    inner.use_backend("steps")
    torch.manual_seed(3)
    torch.testing.assert_close(cell.unroll(x)[0], y)


def test_variational_dropout_drops_the_same_inputs_at_every_step():
    cell = build("mingru", variational_dropout=[0.5, 0])
    x = torch.ones(64, T, I, dtype=torch.float64)
    torch.manual_seed(3)
    y, _ = cell.unroll(x)
    torch.manual_seed(3)
    mask = torch.nn.functional.dropout(torch.ones(64, 1, I, dtype=torch.float64), 0.5)
    torch.testing.assert_close(y, cell.innermost.unroll(x * mask)[0])


def test_weight_drop_really_drops_and_leaves_the_parameter_as_it_was():
    cell = build("lstm", weight_drop=0.5)
    inner, x = cell.innermost, inputs(B, T, I)
    whole, order = inner.weight_hh, list(dict(inner.named_parameters()))
    torch.manual_seed(3)
    y, _ = cell.unroll(x)
    assert inner.weight_hh is whole
    assert list(dict(inner.named_parameters())) == order
    y.square().sum().backward()
    dropped = whole.grad == 0
    assert dropped.double().mean().item() == pytest.approx(0.5, abs=0.15)
    torch.manual_seed(3)
    mask = torch.nn.functional.dropout(torch.ones_like(whole), 0.5)
    assert torch.equal(dropped, mask == 0)
    with torch.no_grad():
        whole.mul_(mask)
    torch.testing.assert_close(inner.unroll(x)[0], y)


def test_weight_drop_restores_the_parameter_after_an_error():
    cell = build("lstm", weight_drop=0.5)
    whole = cell.innermost.weight_hh
    with pytest.raises(RequestError, match="x must be"):
        cell.unroll(inputs(B, T, I + 1))
    assert cell.innermost.weight_hh is whole


def test_the_mogrifier_gates_input_and_h_in_turn():
    cell = build("lstm", mogrifier=3)
    q_1, r_2, q_3 = (gate.weight for gate in cell.gates)
    assert (q_1.shape, r_2.shape, q_3.shape) == ((I, H), (H, I), (I, H))
    x, h, c = inputs(B, I), inputs(B, H), inputs(B, H)
    y, (new_h, new_c) = cell(x, (h, c))
    x = 2 * torch.sigmoid(h @ q_1.T) * x
    h = 2 * torch.sigmoid(x @ r_2.T) * h
    x = 2 * torch.sigmoid(h @ q_3.T) * x
    expected, (expected_h, expected_c) = cell.innermost(x, (h, c))
    torch.testing.assert_close((y, new_h, new_c), (expected, expected_h, expected_c))


def test_wrappers_that_are_not_asked_for_are_not_there():
    cell = make_cell("lstm", 2, 3)
    assert wrap(cell) is cell
    assert wrap(cell, zoneout=[0, 0], variational_dropout=[0.0, 0.0], weight_drop=0.0, mogrifier=0) is cell


@pytest.mark.parametrize(
    ("name", "wrappers", "words"),
    [
        ("mingru", {"weight_drop": 0.5}, "MinGRU can't take weight_drop: it has no recurrent weight matrix"),
        ("mingru", {"variational_dropout": 0.5}, r"MinGRU can't take .* on h: .*variational_dropout=\[0.5, 0\]"),
        ("grud", {"mogrifier": 5}, "GRUD can't take mogrifier: its mask"),
        ("mamba", {"mogrifier": 5}, "first state is not a real vector"),
        ("lru", {"zoneout": 0.1}, "LRU can't take zoneout: its output is computed from its state"),
        ("lstm", {"zoneout": [0.1]}, r"zoneout must be one share in \[0, 1\), or a list of 2"),
        ("lstm", {"zoneout": 1.0}, r"zoneout must be one share in \[0, 1\)"),
        ("lstm", {"weight_drop": -0.1}, "weight_drop must be one share"),
        ("lstm", {"mogrifier": 2.5}, "mogrifier must be a whole number of rounds"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_with_the_reason(name, wrappers, words):
    with pytest.raises(RequestError, match=words):
        build(name, **wrappers)


def test_a_forced_backend_reaches_the_cell_inside():
    cell = build("lstm", weight_drop=0.5, variational_dropout=[0.1, 0])
    cell.use_backend("loop")
    assert cell.innermost.backend == "loop"
    with pytest.raises(RequestError, match="no backend 'scan'; it has auto, native, loop, steps"):
        cell.use_backend("scan")
    with pytest.raises(RequestError, match="no backend 'native'"):
        build("lstm", zoneout=0.1).use_backend("native")


def test_expected_value_of_dropped_inputs_is_the_input():
    cell = build("rnn", variational_dropout=[0.3, 0])
    x = torch.ones(20000, 1, I, dtype=torch.float64)
    torch.manual_seed(0)
    kept = cell._drop_inputs(x)
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert kept.mean().item() == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / 40000))
