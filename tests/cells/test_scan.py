"""How the elementwise, linear and matrix families run over time: every way gives the numbers of plain stepping."""

import pytest
import torch
from torch.autograd import gradcheck

from seqlab import config
from seqlab.cells import RecurrentCell
from seqlab.cells._base import unroll_by_steps
from seqlab.cells._causal import CausalConv
from seqlab.cells._elementwise import ElementwiseCell
from seqlab.cells._linear import linear_recurrence
from seqlab.cells._matrix import causal
from seqlab.cells._time import block_linear, linear, softplus_inverse

NAMES = ["indrnn", "sru", "qrnn", "mingru", "minlstm", "rglru", "lru", "mamba", "mlstm", "gated_deltanet"]
DOUBLE = torch.float64


def make(name, inputs=3, hidden=4, **options):
    torch.manual_seed(0)
    node = {**config.load("cell", name), **options}
    cell = config.build(node, RecurrentCell, name, input_size=inputs, hidden_size=hidden).double()
    if name == "mamba":
        cell.segment = 4  # shorter than the sequences of these tests
    if cell.family == "matrix":
        cell.chunk_size = 4
    return cell


def random_state(cell, rows):
    return tuple(torch.randn_like(s).mul(0.5).requires_grad_() for s in cell.initial_state(rows))


def weigh(y, state):
    """A loss in which every output and every state entry counts differently."""
    loss = y.mul(torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()
    for s in state:
        real = torch.view_as_real(s) if s.is_complex() else s
        loss = loss + real.mul(torch.linspace(-1, 1, real.numel(), dtype=real.dtype).reshape(real.shape)).sum()
    return loss


def close(got, expected, tolerance=1e-10):
    for g, e in zip(got, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=tolerance, atol=tolerance)


# The primitive: h_t = a_t h_{t-1} + b_t.


@pytest.mark.parametrize("parallel", [False, True], ids=["loop", "scan"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 17])
def test_a_constant_decay_gives_the_geometric_sum(parallel, dtype, steps):
    a = torch.full((1, 1, 3), 0.9, dtype=dtype) * torch.tensor([1.0, -1.0, 0.5])
    h = torch.tensor([[2.0, 2.0, 2.0]], dtype=dtype)
    states = linear_recurrence(a, torch.ones(steps, 1, 3, dtype=dtype), h, parallel)
    t = torch.arange(1, steps + 1)[:, None]
    torch.testing.assert_close(states[:, 0], a[0] ** t * h + (1 - a[0] ** t) / (1 - a[0]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("parallel", [False, True], ids=["loop", "scan"])
@pytest.mark.parametrize("shape", [(6, 2, 3), (6, 1, 3), (1, 1, 3), (1, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_backward_pass_is_the_derivative(parallel, shape, dtype):
    torch.manual_seed(0)
    a, b, h = (torch.randn(s, dtype=dtype, requires_grad=True) for s in (shape, (6, 2, 3), (2, 3)))
    assert gradcheck(lambda a, b, h: linear_recurrence(a, b, h, parallel), (a, b, h))


def test_loop_and_scan_agree_on_many_state_dimensions_and_steps():
    torch.manual_seed(0)
    a, b, h = torch.rand(1000, 2, 3, 5, dtype=DOUBLE), torch.randn(1000, 2, 3, 5, dtype=DOUBLE), torch.zeros(2, 3, 5)
    close([linear_recurrence(a, b, h.double(), True)], [linear_recurrence(a, b, h.double(), False)], 1e-12)


def test_products_lie_time_first_in_memory():
    for part in linear(torch.rand(2, 5, 3), torch.rand(4, 3), None, 1, 3):
        assert part.stride()[:2] == (4, 8)


def test_a_linear_recurrence_saves_two_tensors_whatever_the_length():
    """Memory linear in T: the graph keeps the decays and the states, and nothing for each step."""
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        a, b = torch.rand(50, 2, 3, requires_grad=True), torch.rand(50, 2, 3, requires_grad=True)
        linear_recurrence(a, b, torch.zeros(2, 3))
    assert sorted(saved) == [2 * 50 * 3, 2 * 51 * 3]


# Every cell of the families, every backend, over several segments or chunks. (The laws see one of each.)


def every_backend():
    return [(name, backend) for name in NAMES for backend in make(name).backends]


@pytest.mark.parametrize(("name", "backend"), every_backend())
def test_unroll_equals_stepping_in_numbers_and_gradients(name, backend):
    cell = make(name)
    cell.use_backend(backend)
    x = torch.randn(3, 11, 3, dtype=DOUBLE, requires_grad=True)
    state = random_state(cell, 3)
    leaves = [x, *(s for s in state if s.numel()), *cell.parameters()]
    for lengths in (None, torch.tensor([11, 1, 6])):
        y, after = cell.unroll(x, state, lengths)
        y_steps, after_steps = unroll_by_steps(cell, x, state, lengths)
        close([y, *after], [y_steps, *after_steps])
        got = torch.autograd.grad(weigh(y, after), leaves)
        close(got, torch.autograd.grad(weigh(y_steps, after_steps), leaves), 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_keeps_its_state_in_full_and_its_numbers_finite(name):
    cell = make(name).bfloat16()
    x = torch.randn(2, 64, 3, dtype=torch.bfloat16)
    y, state = cell.unroll(x)
    y.float().square().mean().backward()
    assert y.dtype == torch.bfloat16
    assert state[0].dtype == (torch.complex64 if name == "lru" else torch.float32)
    assert y.isfinite().all()
    assert all(p.grad.isfinite().all() for p in cell.parameters())
    once, _ = cell(x[:, 0])
    torch.testing.assert_close(once, y[:, 0], rtol=0.05, atol=0.02)


# What the families build on.


class Oscillator(ElementwiseCell):
    """Two states that drive each other, z' = z + tanh(w y + p) - y / 2 and y' = y + z' / 3, out y' z."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.w = torch.nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch_size):
        return (self.w.new_zeros(batch_size, self.hidden_size), self.w.new_zeros(batch_size, self.hidden_size))

    def project(self, x, state, lengths=None, aux=None):
        return (x,), state

    def weights(self):
        return (self.w,)

    def advance(self, pre, state, weights):
        y, z = state
        squashed = torch.tanh(weights[0] * y + pre[0])
        new = z + squashed - y / 2
        return (y + new / 3) * z, (y + new / 3, new), (squashed, y, z, new)

    def retreat(self, kept, d_y, d_state, weights, d_weights):
        squashed, y, z, new = kept
        d_new_y = d_state[0] + d_y * z
        d_new = d_state[1] + d_new_y / 3
        d_sum = d_new * (1 - squashed**2)
        d_weights[0].add_(d_sum * y)
        return (d_sum,), (d_new_y - d_new / 2 + d_sum * weights[0], d_new + d_y * (y + new / 3))


def test_the_elementwise_backward_holds_for_several_states():
    cell = Oscillator(3, 3).double()
    x, state = torch.randn(2, 7, 3, dtype=DOUBLE, requires_grad=True), random_state(cell, 2)
    lengths = torch.tensor([7, 4])
    leaves = [x, *state, cell.w]
    y, after = cell.unroll(x, state, lengths)
    y_steps, after_steps = unroll_by_steps(cell, x, state, lengths)
    close([y, *after], [y_steps, *after_steps])
    got = torch.autograd.grad(weigh(y, after), leaves)
    close(got, torch.autograd.grad(weigh(y_steps, after_steps), leaves))


def test_mlstm_stands_gates_that_overflow_without_its_stabiliser():
    cell = make("mlstm", 3, 4).float()
    with torch.no_grad():
        cell.gates.bias[: cell.num_heads] += 200  # exp(200) is beyond float32
    x = torch.randn(2, 12, 3)
    for backend in ("chunk", "steps"):
        cell.use_backend(backend)
        cell.zero_grad()
        y, _ = cell.unroll(x)
        y.sum().backward()
        assert y.isfinite().all()
        assert all(p.grad.isfinite().all() for p in cell.parameters())


@pytest.mark.parametrize("name", ["mlstm", "gated_deltanet"])
@pytest.mark.parametrize("chunk", [1, 3, 11, 64])
def test_the_size_of_a_chunk_changes_nothing(name, chunk):
    cell, x = make(name), torch.randn(2, 11, 3, dtype=DOUBLE)
    expected, state = unroll_by_steps(cell, x)
    cell.chunk_size = chunk
    y, after = cell.unroll(x)
    close([y, *after], [expected, *state])


def test_a_segment_gives_up_its_coefficients_and_forms_them_again():
    cell, x = make("mamba"), torch.randn(2, 11, 3, dtype=DOUBLE)
    got = torch.autograd.grad(cell.unroll(x)[0].square().sum(), cell.a)
    cell.segment = None
    close(got, torch.autograd.grad(cell.unroll(x)[0].square().sum(), cell.a))


def test_a_causal_convolution_equals_torchs_over_left_padding():
    conv = CausalConv(5, 4).double()
    x = torch.randn(2, 9, 5, dtype=DOUBLE)
    y, tail = conv(x, torch.zeros(2, 3, 5, dtype=DOUBLE), None)
    padded = torch.nn.functional.pad(x.mT, (3, 0))
    expected = torch.nn.functional.conv1d(padded, conv.weight.T.unsqueeze(1), conv.bias, groups=5)
    close([y, tail], [expected.mT, x[:, -3:]], 1e-12)


def test_a_tail_holds_the_last_real_inputs_of_each_row():
    x = torch.arange(1.0, 6).reshape(1, 5, 1).repeat(3, 1, 1)
    _, tail = CausalConv(1, 3)(x, torch.tensor([-1.0, 0]).reshape(1, 2, 1).repeat(3, 1, 1), torch.tensor([5, 1, 2]))
    assert tail.squeeze(-1).tolist() == [[4, 5], [0, 1], [1, 2]]


def test_block_linear_is_the_block_diagonal_product():
    x, weight, bias = torch.randn(2, 3, 6), torch.randn(3, 2, 4), torch.randn(12)
    expected = x @ torch.block_diag(*weight)
    torch.testing.assert_close(block_linear(x, weight), expected)
    torch.testing.assert_close(block_linear(x, weight, bias), expected + bias)


def test_minlstm_stands_gates_that_are_shut():
    cell = make("minlstm").float()
    with torch.no_grad():
        cell.input.bias[:8] = -60  # f and i are 1e-26: autograd's quotient rule would divide by 1e-52
    y, _ = cell.unroll(torch.randn(2, 5, 3))
    y.sum().backward()
    assert y.isfinite().all()
    assert cell.input.weight.grad.isfinite().all()
    assert cell.input.weight.grad[:8].abs().max() > 1e-3


def test_causal_masks_before_the_exponential_overflows():
    exponent = torch.tensor([[0.0, 1e4], [-1.0, 0.0]], requires_grad=True)
    weights = causal(exponent)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0.0], [0.36787944, 1.0]]))
    weights.sum().backward()
    assert exponent.grad.isfinite().all()


def test_softplus_inverse_inverts_softplus():
    x = torch.tensor([1e-4, 0.1, 3.0, 50.0], dtype=DOUBLE)
    torch.testing.assert_close(torch.nn.functional.softplus(softplus_inverse(x)), x, rtol=1e-10, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_numbers_of_the_cpu(name):
    cell, x = make(name), torch.randn(2, 33, 3, dtype=DOUBLE)
    expected = cell.unroll(x)[0]
    close([cell.cuda().unroll(x.cuda())[0].cpu()], [expected])
