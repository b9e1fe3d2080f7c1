"""The laws that every cell keeps, for every name in ``options("cell")``: a cell of one's own is tested by being there.

Parameters are moved away from their initialisation, so that nothing hides behind a zero or a one.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seqlab import config
from seqlab.cells import RecurrentCell, State, hint, make_cell, param_hints
from seqlab.cells._base import valid_steps
from seqlab.errors import RequestError
from seqlab.nn.rnn import RNN

NAMES = config.options("cell")
B, T, I, H = 3, 7, 3, 4  # noqa: E741
LENGTHS = torch.tensor([1, T, 4])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def disturbed(module, dtype=torch.float64, by=0.3):
    """Return the module with every parameter moved by noise."""
    module = module.to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module


def build(name, dtype=torch.float64, sizes=(I, H)) -> RecurrentCell:
    torch.manual_seed(0)
    return disturbed(make_cell(name, *sizes), dtype)


def inputs(*shape, dtype=torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def started(cell, batch=B) -> State:
    """Return a state in the middle of a sequence: tensors as they can really occur."""
    with torch.no_grad():
        _, state = cell.unroll(inputs(batch, 5, I, dtype=next(cell.parameters()).dtype) * 0.7)
    return state


def by_hand(cell, x, state):
    outputs = []
    for column in x.unbind(1):
        y, state = cell(column, state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def real(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def total(y, state):
    """Return a scalar that every output and every state moves, unevenly."""
    terms = [real(t) for t in (y, *state) if t.is_floating_point() or t.is_complex()]
    return sum((t.square() * torch.linspace(0.5, 1.5, t.numel(), dtype=t.dtype).view_as(t)).sum() for t in terms)


def gradients(cell, y, state, *others):
    """Return the gradients of ``total`` by the parameters and ``others``, zeros where nothing depends on them."""
    wanted = [*cell.parameters(), *others]
    found = torch.autograd.grad(total(y, state), wanted, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, wanted, strict=True)]


def close(one, other, tolerance=1e-10):
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=lambda m, n=number: f"part {n}: {m}")


# Law 1 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_way_of_running_equals_stepping_by_hand(name):
    cell = build(name)
    x, state = inputs(B, T, I).requires_grad_(), tuple(s.requires_grad_(s.is_floating_point()) for s in started(cell))
    leaves = [x, *(s for s in state if s.requires_grad)]
    y, last = by_hand(cell, x, state)
    expected = [y, *last, *gradients(cell, y, last, *leaves)]
    for backend in cell.available_backends():
        cell.use_backend(backend)
        y, last = cell.unroll(x, state)
        close([y, *last, *gradients(cell, y, last, *leaves)], expected, 1e-9)
        with torch.no_grad():
            close([y, *last], expected[: 1 + len(last)])
            y, last = cell.unroll(x, state)
            close([y, *last], expected[: 1 + len(last)])


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_stays_near_double(name):
    cell = build(name)
    x = inputs(B, 40, I)
    exact, _ = cell.unroll(x)
    single = copy.deepcopy(cell).float()
    for backend in single.available_backends():
        single.use_backend(backend)
        y, _ = single.unroll(x.float())
        assert (y.double() - exact).abs().max() <= 1e-4 * exact.abs().max()


# Law 2 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_may_be_cut_anywhere(name):
    cell = build(name)
    x = inputs(B, T, I)
    for backend in cell.available_backends():
        cell.use_backend(backend)
        y, last = cell.unroll(x)
        for cut in range(1, T):
            first, state = cell.unroll(x[:, :cut])
            second, state = cell.unroll(x[:, cut:], state)
            close([torch.cat((first, second), 1), *state], [y, *last])


# Law 3 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name):
    cell = build(name)
    x, start = inputs(B, T, I).requires_grad_(), started(cell)
    rows = [cell.unroll(x[b : b + 1, :length], tuple(s[b : b + 1] for s in start)) for b, length in enumerate(LENGTHS)]
    last = tuple(torch.cat(parts) for parts in zip(*(state for _, state in rows), strict=True))
    whole = torch.cat([torch.cat((y, y.new_zeros(1, T - y.shape[1], y.shape[2])), 1) for y, _ in rows])
    expected = [whole, *last, *gradients(cell, whole, last, x)]
    for backend in cell.available_backends():
        cell.use_backend(backend)
        y, state = cell.unroll(x, start, LENGTHS)
        assert not y[~valid_steps(LENGTHS, T)].any()
        close([y, *state, *gradients(cell, y, state, x)], expected, 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_may_be_empty(name):
    rnn = RNN(name, I, H, bidirectional=True)
    y, state = rnn(torch.zeros(0, T, I), lengths=torch.zeros(0, dtype=torch.int64))
    y.sum().backward()
    assert y.shape == (0, T, rnn.output_size)
    assert all(len(s) == 0 for direction in state[0] for s in direction)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing_in_either_direction(name):
    torch.manual_seed(0)
    rnn = disturbed(RNN(name, I, H, num_layers=2, bidirectional=True))
    x = inputs(B, T, I)
    x[~valid_steps(LENGTHS, T)] = float("nan")  # whatever stands in the padding
    y, last = rnn(x, lengths=LENGTHS)
    flat = [s for layer in last for direction in layer for s in direction]
    found = gradients(rnn, y, flat)
    summed = [torch.zeros_like(p) for p in rnn.parameters()]
    weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view_as(y)
    for b, length in enumerate(LENGTHS):
        alone, state = rnn(x[b : b + 1, :length])
        torch.testing.assert_close(alone, y[b : b + 1, :length], rtol=1e-10, atol=1e-10)
        assert not y[b, length:].any()
        close([s for layer in state for d in layer for s in d], [s[b : b + 1] for s in flat])
        loss = (alone.square() * weights[b : b + 1, :length]).sum()
        for s, like in zip((s for layer in state for d in layer for s in d), flat, strict=True):
            if s.is_floating_point() or s.is_complex():
                scale = torch.linspace(0.5, 1.5, real(like).numel(), dtype=real(like).dtype).view_as(real(like))
                loss = loss + (real(s).square() * scale[b : b + 1]).sum()
        parts = torch.autograd.grad(loss, list(rnn.parameters()), allow_unused=True)
        summed = [a if g is None else a + g for a, g in zip(summed, parts, strict=True)]
    close(found, summed, 1e-9)


# Law 4 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_no_output_sees_later_input_or_another_row(name):
    cell = build(name)
    x, at = inputs(B, T, I), 3
    changed = x.clone()
    changed[1, at] += 1.0
    for backend in cell.available_backends():
        cell.use_backend(backend)
        (y, last), (y_changed, last_changed) = cell.unroll(x), cell.unroll(changed)
        others = [0, 2]
        seen = [y[:, :at], y[others], *(state[others] for state in last)]
        seen_changed = [y_changed[:, :at], y_changed[others], *(state[others] for state in last_changed)]
        close(seen, seen_changed, 1e-12)
        assert (y[1, at:] - y_changed[1, at:]).abs().max() > 1e-9


# Law 5 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_differences(name):
    cell = build(name, sizes=(2, 2))
    x = inputs(2, 3, 2).requires_grad_()
    names = [n for n, _ in cell.named_parameters()]

    def run(x, *parameters):
        given = {f"cell.{n}": p for n, p in zip(names, parameters, strict=True)}
        y, last = torch.func.functional_call(Unrolled(cell), given, (x,))
        return y, *(real(s) for s in last if s.is_floating_point() or s.is_complex())

    for backend in cell.available_backends():
        cell.use_backend(backend)
        torch.manual_seed(2)
        assert torch.autograd.gradcheck(run, (x, *cell.parameters()), fast_mode=True)


class Unrolled(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell.unroll(x)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_derivative_is_right_or_refused(name):
    cell = build(name, sizes=(2, 2))
    x = inputs(1, 2, 2).requires_grad_()
    backends = cell.available_backends()[1:]  # "auto" is one of the others
    for backend in backends:
        cell.use_backend(backend)
        if backend in ("loop", "scan") and "steps" in backends:  # a backward pass of our own
            with pytest.raises(
                RequestError, match="no second derivative; run the cell with backend='steps', which has"
            ):
                torch.autograd.grad(cell.unroll(x)[0].sum(), x, create_graph=True)
        else:
            torch.manual_seed(2)
            assert torch.autograd.gradgradcheck(lambda x: cell.unroll(x)[0], (x,), fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_stay_finite_over_long_sequences(name):
    torch.manual_seed(0)
    cell = make_cell(name, 2, 2)
    x = inputs(1, 512, 2, dtype=torch.float32).requires_grad_()
    y, _ = cell.unroll(x)
    for gradient in torch.autograd.grad(y.sum(), [x, *cell.parameters()], allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


# Law 6 (sizes; initialisation is tested by cell) --------------------------------------------------------------------


def parameter_count(name, i, h):
    """Return the closed formula of the cells whose weights are stacked gates; None for the others."""
    gated = {"rnn": 1, "irnn": 1, "mgu": 2, "janet": 2, "gru_reset_before": 3, "cifg_lstm": 3}
    gated |= dict.fromkeys(("lstm", "lstm_relu", "uncoupled_gru"), 4)
    if name in gated:
        return gated[name] * h * (i + h + 1)
    p = h // 2
    return {
        "gru": 3 * h * (i + h + 1) + h,
        "peephole_lstm": 4 * h * (i + h + 1) + 3 * h,
        "lstmp": 4 * h * (i + p + 1) + p * h,
        "layernorm_lstm": 4 * h * (i + h + 1) + 8 * h + 2 * h,
        "grud": 3 * h * (2 * i + h + 1) + 2 * i + h * (i + 1),
    }.get(name)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_the_stated_ones(name):
    cell = make_cell(name, 6, 8)
    y, last = cell.unroll(torch.randn(2, 3, 6))
    assert y.shape == (2, 3, cell.output_size)
    assert cell.state_size == sum(real(s)[0].numel() for s in last)
    start = cell.initial_state(2)
    assert [(s.shape, s.dtype, s.device) for s in start] == [(s.shape, s.dtype, s.device) for s in last]
    expected = parameter_count(name, 6, 8)
    if expected is not None:
        assert sum(p.numel() for p in cell.parameters()) == expected


# Law 8 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_can_be_saved_copied_and_pickled(name):
    cell = build(name)
    hint(next(cell.parameters()), lr_scale=0.25)
    x = inputs(B, T, I)
    y, _ = cell.unroll(x)
    other = make_cell(name, I, H).double()
    other.load_state_dict(cell.state_dict())
    buffer = io.BytesIO()
    torch.save(cell, buffer)
    buffer.seek(0)
    for twin in (other, copy.deepcopy(cell), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin.unroll(x)[0], y)
    assert param_hints(copy.deepcopy(cell)) == param_hints(cell) != {}


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_finite(name):
    torch.manual_seed(0)
    cell = make_cell(name, I, H)
    x = inputs(B, 12, I, dtype=torch.float32)
    exact = cell.unroll(x)[0].detach()
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = cell.unroll(x, lengths=torch.tensor([12, 1, 7]))
        mixed.float().sum().backward()
        first, state = cell(x[:, 0])  # by hand, too
        cell(x[:, 1], state)
    torch.testing.assert_close(first.float(), mixed[:, 0].float(), rtol=0.05, atol=0.05)
    halved = copy.deepcopy(cell).bfloat16()
    y, state = halved.unroll(x.bfloat16(), lengths=torch.tensor([12, 1, 7]))
    y.sum().backward()
    assert y.dtype == torch.bfloat16
    scale = exact.abs().max()
    for result in (mixed[0], y[0]):
        torch.testing.assert_close(result.float(), exact[0], rtol=0.1, atol=0.1 * float(scale))
    for tensor in (*state, *(p.grad for p in (*cell.parameters(), *halved.parameters()) if p.grad is not None)):
        assert real(tensor).isfinite().all()


EXPORTED = [n if n in ("lstm", "uncoupled_gru") else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]


@pytest.mark.parametrize("name", EXPORTED)
def test_an_rnn_can_be_exported(name):
    torch.manual_seed(0)
    rnn = RNN(name, I, H, bidirectional=True).eval()
    x = inputs(B, 4, I, dtype=torch.float32)
    exported = torch.export.export(rnn, (x,), {"lengths": torch.tensor([4, 1, 3])})
    lengths = torch.tensor([2, 4, 3])
    torch.testing.assert_close(exported.module()(x, lengths=lengths)[0], rnn(x, lengths=lengths)[0])
