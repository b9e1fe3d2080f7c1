from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqlab.errors import RequestError
from seqlab.nn import Block, BlockStack
from seqlab.nn.block import DropPath
from seqlab.nn.state import leaves

CELLS = ["lstm", "mingru", "mamba"]
LENGTHS = torch.tensor([6, 2, 4])


def close(got: Tensor, expected: Tensor, atol: float = 1e-13) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def layer_norm(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()


def rms_norm(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()


@pytest.mark.parametrize("cell", CELLS)
def test_without_feed_forward_a_block_adds_the_mixed_norm(cell):
    block = Block(cell, 4, feed_forward="none").double()
    x = torch.randn(3, 6, 4)
    close(block(x)[0], x + block.mixer(layer_norm(x))[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_gated_block_equals_its_parts(cell, norm):
    block = Block(cell, 4, norm=norm, feed_forward="gated_mlp", expansion=1.5).double()
    function = {"layer": layer_norm, "rms": rms_norm}[norm]
    x = torch.randn(3, 6, 4)
    middle = x + block.mixer(function(x))[0]
    map_in, map_out = block.feed_forward[1].rise, block.feed_forward[1].fall
    assert (map_in.out_features, map_out.in_features) == (12, 6)
    active = function(middle) @ map_in.weight[:6].T + map_in.bias[:6]
    gate = function(middle) @ map_in.weight[6:].T + map_in.bias[6:]
    close(block(x)[0], middle + map_out(F.gelu(active) * gate))


def test_an_mlp_block_equals_its_parts():
    block = Block("lstm", 4, feed_forward="mlp", expansion=4)
    x = torch.randn(3, 6, 4)
    middle = x + block.mixer(layer_norm(x))[0]
    map_in, map_out = block.feed_forward[1].rise, block.feed_forward[1].fall
    assert map_in.out_features == 16
    close(block(x)[0], middle + map_out(F.gelu(map_in(layer_norm(middle)))))


def test_a_glu_block_gates_the_mixed_within_its_branch():
    block = Block("lstm", 4, feed_forward="glu")
    x = torch.randn(3, 6, 4)
    active = F.gelu(block.mixer(layer_norm(x))[0])
    maps = block.gated_unit.maps
    value, gate = active @ maps.weight[:4].T + maps.bias[:4], active @ maps.weight[4:].T + maps.bias[4:]
    close(block(x)[0], x + value * torch.sigmoid(gate))


@pytest.mark.parametrize(("bidirectional", "kernel", "before"), [(False, 3, 2), (True, 3, 1), (True, 4, 1)])
def test_the_convolution_equals_numpy(bidirectional, kernel, before):
    block = Block("lstm", 2, bidirectional=bidirectional, conv_kernel=kernel)
    x = torch.randn(2, 6, 2)
    w, bias = (p.detach().numpy() for p in (block.convolution.weight, block.convolution.bias))
    lengths = (6, 4)
    tail = block.initial_state(2)[0]
    got = block._convolve(x, tail, torch.tensor(lengths))[0].detach().numpy()
    for b, n in enumerate(lengths):
        padded = np.zeros((n + kernel - 1, 2))
        padded[before : before + n] = x[b, :n].numpy()
        expected = [(w * padded[t : t + kernel]).sum(0) + bias for t in range(n)]
        np.testing.assert_allclose(got[b, :n], expected, rtol=0, atol=1e-14)


def test_two_directions_are_brought_back_to_the_width():
    block = Block("lstm", 4, bidirectional=True, feed_forward="none")
    x = torch.randn(3, 6, 4)
    mixed = block.mixer(layer_norm(x), lengths=LENGTHS)[0]
    assert mixed.shape == (3, 6, 8)
    close(block(x, lengths=LENGTHS)[0], x + mixed @ block.projection.weight.T + block.projection.bias)


@pytest.mark.parametrize("cell", CELLS)
def test_a_stack_equals_its_blocks_and_ends_in_a_norm(cell):
    stack = BlockStack(cell, 3, 4, num_layers=2, conv_kernel=3).double()
    x = torch.randn(3, 6, 3)
    first = stack.layers[0](stack.entrance(x))[0]
    second = stack.layers[1](first)[0]
    outputs, _ = stack.run_layers(x)
    close(outputs[0], first)
    close(outputs[1], layer_norm(second))
    assert isinstance(BlockStack(cell, 4, 4).entrance, torch.nn.Identity)


@pytest.mark.parametrize("cell", CELLS)
def test_pieces_equal_the_whole_and_padding_is_zero(cell):
    stack = BlockStack(cell, 3, 4, num_layers=2, conv_kernel=4, norm="rms", feed_forward="glu").double()
    x = torch.randn(3, 6, 3)
    whole, after = stack(x)
    first, state = stack(x[:, :2])
    second, state = stack(x[:, 2:], state)
    close(torch.cat([first, second], 1), whole, 1e-11)
    for got, expected in zip(leaves(state), leaves(after), strict=True):
        close(got, expected, 1e-11)
    y, _ = stack(x, lengths=LENGTHS)
    assert (y[1, 2:] == 0).all()
    close(y[1, :2], whole[1, :2], 1e-11)


def test_drop_path_keeps_the_expectation_and_drops_whole_sequences():
    branch = torch.ones(4000, 3, 2)
    path = DropPath(0.25).train()
    out = path(branch)
    kept = out[:, 0, 0]
    assert set(kept.tolist()) == {0.0, 1 / 0.75}
    assert (out == kept[:, None, None]).all()
    assert (kept == 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert path.eval()(branch) is branch


def test_stochastic_depth_grows_with_depth():
    stack = BlockStack("lstm", 3, 4, num_layers=4, drop_path=0.2)
    assert [block.drop[1].rate for block in stack.layers] == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_a_dropped_branch_leaves_the_residual_alone(monkeypatch):
    monkeypatch.setattr(DropPath, "forward", lambda self, branch: branch * 0)
    x = torch.randn(3, 6, 4)
    close(Block("lstm", 4)(x)[0], x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layr"}, r"model\.norm must be one of layer, rms; got 'layr'\. Did you mean 'layer'\?"),
        ({"feed_forward": "glue"}, r"Did you mean 'glu'\?"),
        ({"conv_kernel": -1}, r"model\.conv_kernel must be a whole number of at least 0; got -1"),
        ({"expansion": 0}, r"model\.expansion must be above 0"),
        ({"drop_path": 1.0}, r"model\.drop_path must be a number in \[0, 1\)"),
        ({"dropout": 2}, r"model\.dropout must be a number in \[0, 1\)"),
        ({"num_layers": 0}, r"model\.num_layers must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        BlockStack("lstm", 3, 4, **options)
