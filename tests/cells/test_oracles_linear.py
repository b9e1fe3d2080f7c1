"""The elementwise, linear and matrix cells against the papers: one-step oracles, initialisation, counts, refusals."""

import math

import numpy as np
import pytest
import torch

from seqlab import config
from seqlab.cells import RecurrentCell, param_hints
from seqlab.errors import RequestError
from tests.cells import oracles_linear as oracles

# name, I, H, options of the cell
VARIANTS = [
    ("indrnn", 3, 5, {}),
    ("indrnn", 3, 5, {"clamp": 0.4}),
    ("sru", 3, 5, {}),
    ("sru", 4, 4, {"highway_bias": -1.5}),
    ("sru", 4, 4, {"peephole": False}),
    ("qrnn", 3, 5, {}),
    ("qrnn", 3, 5, {"window": 3, "pooling": "ifo", "zoneout": 0.3}),
    ("qrnn", 3, 5, {"window": 1, "pooling": "f"}),
    ("mingru", 3, 5, {}),
    ("mingru", 3, 5, {"positive": False}),
    ("minlstm", 3, 5, {}),
    ("minlstm", 3, 5, {"positive": False, "forget_bias": 1.0}),
    ("rglru", 3, 6, {}),
    ("rglru", 3, 6, {"num_heads": 3}),
    ("lru", 3, 5, {"num_modes": 4}),
    ("lru", 4, 4, {}),
    ("mamba", 3, 2, {"num_modes": 3}),
    ("mamba", 3, 2, {"num_modes": 3, "expand": 1, "window": 2, "rank": 2}),
    ("mlstm", 3, 6, {"num_heads": 3}),
    ("mlstm", 3, 4, {"num_heads": 2, "expand": 1, "window": 2}),
    ("gated_deltanet", 3, 6, {"num_heads": 2}),
    ("gated_deltanet", 3, 4, {"num_heads": 4, "expand_v": 1, "allow_neg_eigval": True}),
]
IDS = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, _, _, options in VARIANTS]


def make(name, inputs, hidden, **options):
    node = {**config.load("cell", name), **options}
    return config.build(node, RecurrentCell, name, input_size=inputs, hidden_size=hidden)


def build(name, inputs, hidden, options, seed=0):
    torch.manual_seed(seed)
    cell = make(name, inputs, hidden, **options).double()
    with torch.no_grad():  # nothing may hide behind a zero or a one of the initialisation
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell, {key: value.detach().numpy() for key, value in cell.state_dict().items()}


@pytest.mark.parametrize(("name", "inputs", "hidden", "options"), VARIANTS, ids=IDS)
def test_a_cell_equals_its_paper(name, inputs, hidden, options):
    cell, parameters = build(name, inputs, hidden, options)
    cell.eval()
    x = torch.randn(2, 7, inputs, dtype=torch.float64)
    y, _ = cell.unroll(x)
    for row in range(2):
        state = None
        for t in range(7):
            expected, state = getattr(oracles, name)(parameters, x[row, t].numpy(), state, **options)
            np.testing.assert_allclose(y[row, t].detach().numpy(), expected, rtol=0, atol=1e-11)


def test_the_stabilised_memory_of_mlstm_is_the_plain_one_scaled():
    cell, parameters = build("mlstm", 3, 6, {"num_heads": 3})
    x = torch.randn(1, 9, 3, dtype=torch.float64)
    _, (c, n, m, _) = cell.unroll(x)
    state = None
    for t in range(9):
        _, state = oracles.mlstm(parameters, x[0, t].numpy(), state, num_heads=3)
    scale = m.detach().exp().numpy()
    np.testing.assert_allclose(
        (c.detach().numpy() * scale[..., None, None])[0], state[0].transpose(0, 2, 1), atol=1e-11
    )
    np.testing.assert_allclose((n.detach().numpy() * scale[..., None])[0], state[1], atol=1e-11)


# Parameters and state numbers of a layer, from the equations, at I = 6 and H = 8.
COUNTS = {
    "indrnn": (6 * 8 + 2 * 8, 8),
    "sru": (4 * 6 * 8 + 4 * 8, 8),
    "qrnn": (3 * (2 * 6 * 8 + 8), 8 + 6),
    "mingru": (2 * (6 * 8 + 8), 8),
    "minlstm": (3 * (6 * 8 + 8), 8),
    "rglru": (6 * 8 + 2 * (4 * 2 * 2 + 8) + 8, 8),
    "lru": (3 * 8 + 2 * 8 * 6 + 2 * 8 * 8 + 6 * 8, 2 * 8),
    "mamba": (6 * 32 + 4 * 16 + 16 + 16 * (1 + 32) + (1 + 1) * 16 + 16 * 16 + 16 + 16 * 8, 16 * 16 + 3 * 16),
    "mlstm": (6 * 32 + 4 * 16 + 16 + 3 * 16 * 4 + (48 + 1) * 8 + 2 * 16 + 16 * 8, 4 * (4 * 4 + 4 + 1) + 3 * 16),
    "gated_deltanet": (6 * (32 + 16 + 4 + 4) + 4 * 32 + 4 + 4 + 4 + 16 * 8, 4 * 2 * 4 + 3 * 32),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_state_are_as_many_as_the_equations_say(name):
    cell = make(name, 6, 8)
    assert (sum(p.numel() for p in cell.parameters()), cell.state_size) == COUNTS[name]
    assert cell.output_size == 8


def test_indrnn_starts_with_u_uniform_in_zero_to_one():
    u = make("indrnn", 2, 4000).u
    assert 0 <= u.min() < 0.01
    assert 0.99 < u.max() <= 1
    assert abs(u.mean() - 0.5) < 0.03
    assert make("indrnn", 2, 400, clamp=0.3).u.max() <= 0.3


def test_indrnn_clamps_but_lets_a_weight_come_back():
    cell = make("indrnn", 1, 2, clamp=0.5)
    with torch.no_grad():
        cell.u.copy_(torch.tensor([0.9, 0.9]))
        cell.input.weight.fill_(1)
        cell.input.bias.zero_()
    y, _ = cell.unroll(torch.ones(1, 2, 1))
    assert torch.allclose(y[0, 1], torch.tensor([1.5, 1.5]))
    (y[0, 1, 0] - y[0, 1, 1]).backward()  # the first loss falls with a smaller u, the second with a larger one
    assert cell.u.grad.tolist() == [1.0, 0.0]


def test_qrnns_zoneout_holds_a_share_of_the_memory_as_it_was():
    torch.manual_seed(0)
    cell = make("qrnn", 2, 20000, pooling="f", zoneout=0.25)
    before = torch.randn(1, 20000)
    y, _ = cell.unroll(torch.randn(1, 1, 2), (before, torch.zeros(1, 1, 2)))
    assert (y[:, 0] == before).float().mean().item() == pytest.approx(0.25, abs=0.01)


def test_sru_starts_with_unit_variance_products_and_smaller_gates():
    cell = make("sru", 100, 300)
    w, f, r, skip = (part.var().item() * 100 for part in cell.weight.split(300))
    assert w == pytest.approx(1, rel=0.03)
    assert (f, r) == pytest.approx((0.5, 0.5), rel=0.03)
    assert skip == pytest.approx(3, rel=0.03)  # alpha^2 = 1 + 2 exp(0)
    assert cell.v.var().item() == pytest.approx(0.5, rel=0.2)
    assert make("sru", 4, 4, highway_bias=-3.0).highway_bias.tolist() == [-3.0] * 4


def test_rglru_starts_with_a_to_the_c_uniform_in_the_papers_range():
    cell = make("rglru", 4, 4000)
    decay = torch.exp(-8 * torch.nn.functional.softplus(cell.lambda_))
    assert 0.9 <= decay.min() < 0.901
    assert 0.998 < decay.max() <= 0.9991
    assert decay.mean().item() == pytest.approx((0.9 + 0.999) / 2, abs=2e-3)


def test_lru_starts_uniform_on_its_ring_with_normalised_inputs():
    cell = make("lru", 8, 2, num_modes=5000, r_min=0.5, r_max=0.9, max_phase=1.0)
    radius, phase = torch.exp(-cell.nu.exp()), cell.theta.exp()
    assert 0.5 <= radius.min() < 0.51
    assert 0.89 < radius.max() <= 0.9
    assert (radius**2).mean().item() == pytest.approx((0.25 + 0.81) / 2, abs=0.01)
    assert phase.mean().item() == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(cell.gamma.exp() ** 2 + radius**2, torch.ones(5000), rtol=0, atol=1e-5)
    assert cell.b.var().item() == pytest.approx(1 / 16, rel=0.05)


@pytest.mark.parametrize(("name", "bias"), [("mamba", "dt.bias"), ("gated_deltanet", "dt_bias")])
def test_time_constants_start_log_uniform(name, bias):
    torch.manual_seed(0)
    options = {"num_heads": 2000} if name == "gated_deltanet" else {"num_modes": 1}
    cell = make(name, 1, 2000, **options)
    dt = torch.nn.functional.softplus(dict(cell.named_parameters())[bias]).log10()
    assert -3.0001 <= dt.min() < -2.99
    assert -1.01 < dt.max() <= -0.9999
    assert dt.mean().item() == pytest.approx(-2, abs=0.05)


def test_mamba_starts_as_s4d_real():
    cell = make("mamba", 2, 3, num_modes=5)
    torch.testing.assert_close(cell.a.exp(), torch.arange(1.0, 6.0).expand(6, 5))
    assert cell.d.tolist() == [1.0] * 6


def test_mlstm_starts_with_gates_blind_to_the_input_and_forget_biases_spread():
    cell = make("mlstm", 2, 8)
    assert cell.gates.weight.abs().max() == 0
    assert cell.gates.bias[4:].tolist() == [3, 4, 5, 6]


NO_DECAY = {
    "indrnn": {"u"},
    "rglru": {"lambda_"},
    "lru": {"nu", "theta", "gamma", "b"},
    "mamba": {"a", "d", "dt.bias"},
    "mlstm": {"gates.bias"},
    "gated_deltanet": {"a", "dt_bias"},
}


@pytest.mark.parametrize("name", COUNTS)
def test_decay_rates_are_spared_the_optimisers_decay(name):
    hints = param_hints(make(name, 6, 8))
    assert {key for key, value in hints.items() if value.get("weight_decay") == 0} == NO_DECAY.get(name, set())
    scales = {key for key, value in hints.items() if value.get("lr_scale", 1) != 1}
    assert scales == (NO_DECAY["lru"] if name == "lru" else set())


def test_parity_needs_a_negative_eigenvalue():
    """A step of beta = 2 along its key turns the memory round; of beta = 1 it can only erase it."""
    for allowed, factor in ((False, 0.0), (True, -1.0)):
        cell = make("gated_deltanet", 1, 2, num_heads=1, allow_neg_eigval=allowed).double()
        key = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        beta = torch.sigmoid(torch.tensor([[50.0]], dtype=torch.float64)) * (2 if allowed else 1)
        zero = torch.zeros(1, 1, 4, dtype=torch.float64)
        memory = torch.ones(1, 1, 2, 4, dtype=torch.float64)
        _, (after,) = cell.recur((key[None], key[None], zero, torch.zeros_like(beta), beta), (memory,))
        torch.testing.assert_close(after[0, 0, 0], factor * memory[0, 0, 0])
        torch.testing.assert_close(after[0, 0, 1], memory[0, 0, 1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("indrnn", {"clamp": 0.0}, "clamp must be above zero"),
        ("qrnn", {"pooling": "of"}, "no pooling 'of'. Did you mean 'f'"),
        ("qrnn", {"zoneout": 1.0}, "zoneout must be in"),
        ("qrnn", {"window": 0}, "window must be at least 1"),
        ("rglru", {"num_heads": 3}, "num_heads must divide hidden_size=8; got 3"),
        ("lru", {"r_min": 0.9, "r_max": 0.5}, "r_min < r_max"),
        ("lru", {"num_modes": 0}, "num_modes must be at least 1"),
        ("mamba", {"rank": 0}, "rank must be at least 1"),
        ("mlstm", {"num_heads": 5}, "num_heads must divide expand [*] hidden_size=16; got 5"),
        ("mlstm", {"expand": 0}, "expand must be at least 1"),
        ("gated_deltanet", {"expand_v": 0}, "expand_v must be at least 1"),
        ("gated_deltanet", {"num_heads": 16}, "num_heads must divide hidden_size=8; got 16"),
    ],
)
def test_a_wrong_option_is_refused_with_what_would_be_right(name, options, message):
    with pytest.raises(RequestError, match=message):
        make(name, 6, 8, **options)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("hidden", [1, 2, 3, 7])
def test_the_defaults_suit_every_size(name, hidden):
    cell = make(name, 2, hidden)
    y, _ = cell.unroll(torch.randn(2, 3, 2))
    assert y.shape == (2, 3, hidden)
    assert math.isfinite(y.sum().item())
