"""Equality with packages that were found right, and where a package is wrong, the paper's side of the difference.

Needs the extra ``parity``; each test skips without its package. Keras (here on torch) and sru (which wants a C++
compiler when it is imported) are not in the extra and are compared where somebody installed them.
"""

import os

import pytest
import torch
from torch import nn

from seqlab import config
from seqlab.cells import RecurrentCell

# What other packages warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")
B, T = 3, 9


def make(name, inputs, hidden, **options):
    torch.manual_seed(0)
    node = {**config.load("cell", name), **options}
    cell = config.build(node, RecurrentCell, name, input_size=inputs, hidden_size=hidden)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return cell


def need(name):
    return pytest.importorskip(name, exc_type=ImportError)


@torch.no_grad()
def fill(module, **values):
    """Set the named parameters, and see to it that none is left out."""
    parameters = dict(module.named_parameters())
    assert set(values) == set(parameters), set(values) ^ set(parameters)
    for name, value in values.items():
        parameters[name].copy_(value.reshape(parameters[name].shape))


def by_steps(cell, x, state=None):
    """Run a package's cell, one step a call; its first output is the hidden state."""
    outputs = []
    for column in x.unbind(1):
        state = cell(column, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs, 1)


def close(got, expected, tolerance=2e-6):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def differs(got, expected, by):
    assert (got - expected).abs().max() > by


# torchrecurrent 0.2.5


def rows(weight, *order):
    """The blocks of a stacked weight in another order."""
    blocks = weight.chunk(len(order))
    return torch.cat([blocks[k] for k in order])


def test_peephole_lstm_equals_torchrecurrent():
    peer = need("torchrecurrent").PeepholeLSTMCell(3, 4)
    cell, x = make("peephole_lstm", 3, 4), torch.randn(B, T, 3)
    fill(
        peer,
        weight_ih=cell.weight_ih,
        weight_hh=cell.weight_hh,
        bias_ih=cell.bias,
        bias_hh=torch.zeros(16),
        weight_ph=cell.peepholes,
    )
    close(cell.unroll(x)[0], by_steps(peer, x))


def test_mgu_equals_torchrecurrent():
    peer = need("torchrecurrent").MGUCell(3, 4)
    cell, x = make("mgu", 3, 4), torch.randn(B, T, 3)
    fill(peer, weight_ih=cell.weight_ih, weight_hh=cell.weight_hh, bias_ih=cell.bias, bias_hh=torch.zeros(8))
    close(cell.unroll(x)[0], by_steps(peer, x))


def test_janet_equals_torchrecurrent_whose_beta_is_trained():
    """The paper's beta is a constant, 1; the package makes a parameter of it."""
    peer = need("torchrecurrent").JANETCell(3, 4)
    cell, x = make("janet", 3, 4), torch.randn(B, T, 3)
    assert "beta" in dict(peer.named_parameters())
    assert "beta" not in dict(cell.named_parameters())
    fill(
        peer,
        weight_ih=cell.weight_ih,
        weight_hh=cell.weight_hh,
        bias_ih=cell.bias,
        bias_hh=torch.zeros(8),
        beta=torch.tensor(1.0),
    )
    close(cell.unroll(x)[0], by_steps(peer, x))


def test_indrnn_equals_torchrecurrent_once_it_is_rectified():
    """The package's default is tanh with u ~ N(0, 1); the paper's cell is rectified with u ~ U(0, 1)."""
    torchrecurrent = need("torchrecurrent")
    cell, x = make("indrnn", 3, 4), torch.randn(B, T, 3)
    values = {
        "weight_ih": cell.input.weight,
        "vector_u": cell.u,
        "bias_ih": cell.input.bias,
        "bias_hh": torch.zeros(4),
    }
    peer, default = torchrecurrent.IndRNNCell(3, 4, nonlinearity="relu"), torchrecurrent.IndRNNCell(3, 4)
    fill(peer, **values)
    fill(default, **values)
    close(cell.unroll(x)[0], by_steps(peer, x))
    differs(cell.unroll(x)[0], by_steps(default, x), 0.1)


# Keras 3


def keras_layers():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return need("keras").layers


def keras_blocks(weight, *order):
    return rows(weight, *order).T.detach().numpy()


def as_tensor(value):
    return torch.as_tensor(value.detach().cpu().numpy() if hasattr(value, "detach") else value.__array__())


def test_gru_reset_before_equals_keras():
    cell, x = make("gru_reset_before", 3, 4), torch.randn(B, T, 3)
    peer = keras_layers().GRU(4, reset_after=False, return_sequences=True)
    peer.build(x.shape)
    order = (1, 0, 2)  # Keras: z, r, n
    peer.set_weights(
        [keras_blocks(cell.weight_ih, *order), keras_blocks(cell.weight_hh, *order), keras_blocks(cell.bias, *order)]
    )
    close(cell.unroll(x)[0], as_tensor(peer(x.numpy())))


def test_lstm_relu_equals_keras():
    cell, x = make("lstm_relu", 3, 4), 0.5 * torch.randn(B, T, 3)
    peer = keras_layers().LSTM(4, activation="relu", return_sequences=True)
    peer.build(x.shape)
    order = (0, 1, 2, 3)
    bias = cell.bias if hasattr(cell, "bias") else cell.bias_ih + cell.bias_hh
    peer.set_weights([keras_blocks(w, *order) for w in (cell.weight_ih, cell.weight_hh, bias)])
    close(cell.unroll(x)[0], as_tensor(peer(x.numpy())), 1e-5)


# minGRU-pytorch 0.2.1


def test_mingru_equals_mingru_pytorch_in_one_pass_and_in_two():
    peer = need("minGRU_pytorch").minGRU(4)
    cell, x = make("mingru", 4, 4, bias=False), torch.randn(B, T, 4)
    fill(peer, **{"to_hidden_and_gate.weight": rows(cell.input.weight, 1, 0)})
    y, _ = cell.unroll(x)
    close(y, peer(x), 1e-5)
    first, hidden = peer(x[:, :4], return_next_prev_hidden=True)
    close(y, torch.cat([first, peer(x[:, 4:], prev_hidden=hidden)], 1), 1e-5)


def test_minlstm_equals_mingru_pytorch_but_for_the_state_it_carries():
    """The package's second pass starts from log g(h) in place of log h; ours equals the package's own single steps."""
    peer = need("minGRU_pytorch.minLSTM").minLSTM(4)
    cell, x = make("minlstm", 4, 4, bias=False), torch.randn(B, T, 4)
    fill(peer, **{"to_hidden_and_f_i_gate.weight": rows(cell.input.weight, 2, 0, 1)})
    y, _ = cell.unroll(x)
    close(y, peer(x), 1e-5)
    first, state = cell.unroll(x[:, :4])
    second, _ = cell.unroll(x[:, 4:], state)
    close(y, torch.cat([first, second], 1))
    _, hidden = peer(x[:, :4], return_next_prev_hidden=True)
    differs(second, peer(x[:, 4:], prev_hidden=hidden), 0.05)
    for t in range(4, T):
        step, hidden = peer(x[:, t : t + 1], prev_hidden=hidden, return_next_prev_hidden=True)
        close(second[:, t - 4], step[:, 0], 1e-5)


# sru 2.6.0


@pytest.mark.parametrize("inputs", [3, 4])
def test_sru_equals_the_authors_package(inputs):
    peer = need("sru").SRUCell(inputs, 4, highway_bias=-1.0)
    cell, x = make("sru", inputs, 4, highway_bias=-1.0), torch.randn(B, T, inputs)
    # Theirs is (I, H, products), the products innermost.
    weight = cell.weight.reshape(-1, 4, inputs).permute(2, 1, 0)
    fill(peer, weight=weight, weight_c=cell.v, bias=torch.cat([cell.forget_bias, cell.highway_bias]))
    close(cell.unroll(x)[0], peer(x.transpose(0, 1).contiguous())[0].transpose(0, 1))


# Mamba


def mamba_parameters(cell):
    return {
        "in_proj.weight": cell.input.weight,
        "conv1d.weight": cell.conv.weight.T,
        "conv1d.bias": cell.conv.bias,
        "x_proj.weight": cell.select.weight,
        "dt_proj.weight": cell.dt.weight,
        "dt_proj.bias": cell.dt.bias,
        "A_log": cell.a,
        "D": cell.d,
        "out_proj.weight": cell.output.weight,
    }


@pytest.mark.parametrize("pscan", [False, True])
def test_mamba_equals_mambapy(pscan):
    mamba = need("mambapy.mamba")
    peer = mamba.MambaBlock(mamba.MambaConfig(d_model=6, n_layers=1, d_state=5, pscan=pscan))
    cell, x = make("mamba", 6, 6, num_modes=5), torch.randn(B, T, 6)
    fill(peer, **mamba_parameters(cell))
    close(cell.unroll(x)[0], peer(x))


def test_mamba_equals_transformers():
    need("transformers")
    from transformers.models.mamba.modeling_mamba import MambaConfig, MambaMixer

    peer = MambaMixer(MambaConfig(hidden_size=6, state_size=5, num_hidden_layers=1), layer_idx=0)
    cell, x = make("mamba", 6, 6, num_modes=5), torch.randn(B, T, 6)
    fill(peer, **mamba_parameters(cell))
    close(cell.unroll(x)[0], peer(x))


# RG-LRU


def test_rglru_equals_transformers_but_for_the_first_step():
    """The package lets a sequence's first input pass without the factor sqrt(1 - a^2), which the paper does not."""
    need("transformers")
    from transformers.models.recurrent_gemma import RecurrentGemmaConfig
    from transformers.models.recurrent_gemma.modeling_recurrent_gemma import RecurrentGemmaRglru

    peer = RecurrentGemmaRglru(RecurrentGemmaConfig(lru_width=6, num_attention_heads=2))
    cell, x = make("rglru", 6, 6, num_heads=2), torch.randn(B, T, 6)
    with torch.no_grad():
        cell.input.weight.copy_(torch.eye(6))
    fill(
        peer,
        recurrent_param=cell.lambda_,
        input_gate_weight=cell.input_gate,
        input_gate_bias=cell.input_bias,
        recurrent_gate_weight=cell.recurrence_gate,
        recurrent_gate_bias=cell.recurrence_bias,
    )
    y = peer(x, torch.arange(T).expand(B, T))
    differs(cell.unroll(x[:, :1])[0], y[:, :1], 0.05)
    close(cell.unroll(x[:, 1:], (y[:, 0],))[0], y[:, 1:])


# xLSTM


def test_mlstm_equals_xlstm():
    xlstm = need("xlstm")
    peer = xlstm.mLSTMLayer(xlstm.mLSTMLayerConfig(embedding_dim=32, context_length=T, num_heads=4))
    cell, x = make("mlstm", 32, 32), torch.randn(B, T, 32)
    gates, biases = cell.gates.weight.chunk(2), cell.gates.bias.chunk(2)
    fill(
        peer,
        **{
            "proj_up.weight": cell.up.weight,
            "conv1d.conv.weight": cell.conv.weight.T,
            "conv1d.conv.bias": cell.conv.bias,
            "q_proj.weight": cell.q.mT,
            "k_proj.weight": cell.k.mT,
            "v_proj.weight": cell.v.mT,
            "mlstm_cell.igate.weight": gates[0],
            "mlstm_cell.igate.bias": biases[0],
            "mlstm_cell.fgate.weight": gates[1],
            "mlstm_cell.fgate.bias": biases[1],
            "mlstm_cell.outnorm.weight": cell.norm - 1,
            "learnable_skip": cell.skip,
            "proj_down.weight": cell.down.weight,
        },
    )
    close(cell.unroll(x)[0], peer(x), 2e-5)  # theirs adds 1e-6 to the denominator


# Gated DeltaNet


def test_gated_deltanet_equals_transformers():
    need("transformers")
    from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextConfig, Qwen3NextGatedDeltaNet

    peer = Qwen3NextGatedDeltaNet(
        Qwen3NextConfig(
            hidden_size=8,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=4,
            linear_value_head_dim=8,
            linear_conv_kernel_dim=4,
            rms_norm_eps=1e-5,
        ),
        layer_idx=0,
    )
    cell, x = make("gated_deltanet", 8, 8, num_heads=2), torch.randn(B, T, 8)
    q, k, v, gate, beta, alpha = torch.split(cell.input.weight, [8, 8, 16, 16, 2, 2])
    heads = [torch.cat([part.chunk(2)[head] for part in (q, k, v, gate)]) for head in range(2)]
    gates = [torch.cat([part.chunk(2)[head] for part in (beta, alpha)]) for head in range(2)]
    fill(
        peer,
        **{
            "in_proj_qkvz.weight": torch.cat(heads),
            "in_proj_ba.weight": torch.cat(gates),
            "conv1d.weight": cell.conv.weight.T,
            "A_log": cell.a,
            "dt_bias": cell.dt_bias,
            "norm.weight": cell.norm,
            "out_proj.weight": cell.output.weight,
        },
    )
    close(cell.unroll(x)[0], peer(x), 1e-5)


def test_the_gated_delta_rule_equals_transformers_in_both_of_its_forms():
    need("transformers")
    from transformers.models.qwen3_next import modeling_qwen3_next as peer

    cell = make("gated_deltanet", 3, 8, num_heads=2)
    q, k, v = torch.randn(B, T, 2, 4), torch.randn(B, T, 2, 4), torch.randn(B, T, 2, 8)
    log_alpha, beta = -torch.rand(B, T, 2), torch.rand(B, T, 2)
    k = nn.functional.normalize(k, dim=-1)
    memory = torch.randn(B, 2, 4, 8)
    ours, (after,) = cell.chunk((q / 2, k, v, log_alpha, beta), (memory,))
    for rule in (peer.torch_chunk_gated_delta_rule, peer.torch_recurrent_gated_delta_rule):
        y, state = rule(q, k, v, g=log_alpha, beta=beta, initial_state=memory, output_final_state=True)
        close(ours, y)
        close(after, state)
