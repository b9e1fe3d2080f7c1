"""Laws over inputs that nobody thought of: lengths, windows, hashes of runs, parsing of configs."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.config import build
from seqlab.data import Batches
from seqlab.errors import RequestError
from seqlab.nn import RNN
from seqlab.runs.identity import PLACE_KEYS, SHOW_KEYS, identity

quick = settings(max_examples=25, deadline=None)
few = settings(max_examples=10, deadline=None)


@few
@given(
    cell=st.sampled_from(["gru", "peephole_lstm", "indrnn", "mingru", "mlstm"]),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    bidirectional=st.booleans(),
    padding=st.integers(0, 3),
)
def test_padding_changes_nothing(cell: str, lengths: list[int], bidirectional: bool, padding: int) -> None:
    torch.manual_seed(0)
    rnn = RNN(cell, 2, 4, bidirectional=bidirectional).double()
    x = torch.randn(len(lengths), max(lengths) + padding, 2, dtype=torch.float64)
    output, _ = rnn(x, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, _ = rnn(x[row : row + 1, :length])
        torch.testing.assert_close(output[row, :length], alone[0], rtol=1e-9, atol=1e-10)
        assert not output[row, length:].any()


@quick
@given(
    size=st.integers(0, 60),
    batch_size=st.integers(1, 20),
    world=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 5),
    shuffle=st.booleans(),
    longest=st.integers(0, 12),
)
def test_every_example_comes_once_over_all_processes(
    size: int, batch_size: int, world: int, seed: int, epoch: int, shuffle: bool, longest: int
) -> None:
    lengths = np.random.default_rng(seed).integers(1, longest + 1, size) if longest else None

    def order(rank: int, of: int, position: int = 0) -> list[list[int]]:
        batches = Batches(size, batch_size, seed=seed, shuffle=shuffle, lengths=lengths, rank=rank, world=of)
        batches.epoch, batches.position = epoch, position
        return list(batches)

    one = order(0, 1)
    assert sorted(i for batch in one for i in batch) == list(range(size))
    shares = [order(rank, world) for rank in range(world)]
    for number, whole in enumerate(one):
        assert sorted(i for share in shares for i in share[number]) == sorted(whole)
    for cut in {0, len(one) // 2, len(one)}:
        assert order(0, 1, cut) == one[cut:], "taken up anywhere, the rest is the same"


PLAIN = st.one_of(
    st.integers(-5, 5), st.floats(-10, 10), st.booleans(), st.none(), st.text("ab", max_size=3), st.just([1, 2])
)
NODE = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), PLAIN, max_size=4)
CONFIG = st.fixed_dictionaries(
    dict.fromkeys(("data", "cell", "model", "task", "optimizer", "scheduler", "trainer"), NODE)
)


@quick
@given(
    config=CONFIG, seed=st.integers(0, 9), place=st.text("abc/", max_size=5), shown=st.sampled_from(sorted(SHOW_KEYS))
)
def test_what_cannot_change_a_result_is_not_hashed(config: dict[str, Any], seed: int, place: str, shown: str) -> None:
    other = copy.deepcopy(config) | {"seed": seed, "output_dir": place, "name": place, "logger": {"csv": False}}
    other["data"] |= dict.fromkeys(PLACE_KEYS, place)
    other["trainer"] |= {shown: place, "absent": None}
    for group in other:  # the order of keys says nothing
        if isinstance(other[group], dict):
            other[group] = dict(reversed(other[group].items()))
    assert identity(other, "f") == identity(config, "f")


@quick
@given(config=CONFIG, group=st.sampled_from(["data", "cell", "model", "task", "optimizer", "scheduler"]), value=PLAIN)
def test_what_can_change_a_result_is_hashed(config: dict[str, Any], group: str, value: Any) -> None:
    other = copy.deepcopy(config)
    other[group]["extra"] = value
    assert identity(other, "f") != identity(config, "f")
    assert identity(config, "g") != identity(config, "f")


JUNK = st.recursive(
    st.one_of(PLAIN, st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["_target_", "_args_", "_partial_", "lr", "x", "betas"]), inner, max_size=2),
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(
    node=st.dictionaries(
        st.sampled_from(["_target_", "_args_", "lr", "betas", "momentum", "nonsense"]), JUNK, max_size=4
    ),
    target=st.sampled_from(
        ["torch.optim.Adam", "torch.optim.SGD", "torch.hub.load", "os.system", "torch", "", "..", "a.b"]
    ),
)
def test_any_node_becomes_an_optimizer_or_the_houses_error(node: dict[str, Any], target: str) -> None:
    given_target = node.setdefault("_target_", target)
    made = None
    with contextlib.suppress(RequestError):  # any other exception fails the test
        made = build(node, torch.optim.Optimizer, "optimizer", params=[torch.nn.Parameter(torch.zeros(1))])
    assert made is None or given_target in ("torch.optim.Adam", "torch.optim.SGD")
