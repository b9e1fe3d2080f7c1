from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn import BlockModel, SequenceModel, StackModel

CELLS = ["lstm", "mingru", "mamba"]
MODELS = [StackModel, BlockModel]
T, K = 8, 5


def spec(**changes) -> Spec:
    facts = {"output_size": 2, "input_size": 4, "lookback": T, "horizon": K, "target_index": (1, 0), "future_size": 1}
    return Spec("forecasting", **{**facts, **changes})


def batch(of: Spec, size: int = 3, **parts) -> Batch:
    future = torch.randn(size, K, of.future_size) if of.future_size else None
    return Batch(x=torch.randn(size, T, of.input_size), index=torch.arange(size), future=future, **parts)


def close(got: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def test_direct_is_one_map_of_the_last_output_and_one_of_each_steps_covariates():
    model = StackModel(spec(), "lstm", 3, hidden_size=6)
    given = batch(model.spec)
    last = model.encode(given).y[:, -1]
    forecast = model(given)
    assert forecast.shape == (3, K, 2, 3)
    for k in range(K):
        own = slice(k * 6, (k + 1) * 6)
        expected = last @ model.head.map.weight[own].T + model.head.map.bias[own]
        expected = expected + given.future[:, k] @ model.head.covariates.weight.T
        close(forecast[:, k].flatten(1), expected)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_recursive_equals_encoding_the_growing_window_again(make, cell, outputs):
    options = {"hidden_size": 6, "num_layers": 2, "front_kernel": 3}
    model = make(spec(), cell, outputs, decoding="recursive", **options).double()
    given = batch(model.spec)
    forecast = model(given).reshape(3, K, 2, outputs)
    x = given.x
    for k in range(K):
        y = model.encode(Batch(x=x, index=given.index)).y[:, -1]
        step = (model.head.map(y) + model.head.covariates(given.future[:, k])).reshape(3, 2, outputs)
        close(forecast[:, k], step, 1e-11)
        grown = x[:, -1:].clone()
        grown[:, 0, 1], grown[:, 0, 0] = step[:, 0, outputs // 2], step[:, 1, outputs // 2]
        grown[:, 0, 3] = given.future[:, k, 0]
        assert (grown[:, 0, 2] == given.x[:, -1, 2]).all()
        x = torch.cat([x, grown], 1)


def by_hand(model: SequenceModel, given: Batch, size: int) -> Tensor:
    """Return the forecast of one-layer segment decoding of each target by itself, one segment at a time."""
    front, head, rnn = model.front, model.head, model.encoder.layers[0]
    forecast = torch.zeros(len(given), head.segments * size, 2)
    for channel, column in enumerate((1, 0)):
        window = given.x[:, :, column]
        short = math.ceil(T / size) * size - T
        window = torch.cat([window[:, :1].expand(-1, short), window], 1)
        segments = [F.relu(front.map(part)) for part in window.split(size, 1)]
        _, state = rnn(torch.stack(segments, 1))
        for m in range(head.segments):
            query = torch.cat([head.place[m], head.channel[channel]]).expand(len(given), -1)
            y, _ = rnn(query.unsqueeze(1), state)
            forecast[:, m * size : (m + 1) * size, channel] = head.map(y[:, 0])
    return forecast[:, :K]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_segments_equal_a_loop_over_channels_and_segments(cell, size):
    model = StackModel(spec(future_size=0), cell, hidden_size=7, decoding="segment", segment=size).double()
    given = batch(model.spec)
    assert model.head.place.shape == (math.ceil(K / size), 4)
    assert model.head.channel.shape == (2, 3)
    close(model(given), by_hand(model, given, size))


@pytest.mark.parametrize("make", MODELS)
def test_mixed_channels_and_covariates_of_segments_equal_a_loop(make):
    options = {"hidden_size": 6, "num_layers": 2, "segment": 4, "channel_independent": False}
    model = make(spec(), "mamba", 3, decoding="segment", **options).double()
    given = batch(model.spec)
    front, head, encoder = model.front, model.head, model.encoder
    _, state = encoder(torch.stack([F.relu(front.map(part.flatten(1))) for part in given.x.split(4, 1)], 1))
    future = torch.cat([given.future, torch.zeros(3, 3, 1)], 1)
    parts = []
    for m in range(2):
        query = head.place[m] + head.covariates(future[:, 4 * m : 4 * m + 4].flatten(1))
        parts.append(head.map(encoder(query.unsqueeze(1), state)[0][:, 0]).reshape(3, 4, 2, 3))
    assert head.channel is None
    close(model(given), torch.cat(parts, 1)[:, :K])


def test_segment_dropout_stands_before_the_last_map():
    model = StackModel(spec(future_size=0), "lstm", hidden_size=64, decoding="segment", segment=4, dropout=0.5).train()
    seen = []
    model.head.map.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(batch(model.spec))
    assert (seen[0] == 0).double().mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("decoding", ["direct", "recursive", "segment"])
@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_shift_of_the_window_shifts_the_forecast(decoding, make, outputs):
    model = make(spec(window_norm="last"), "lstm", outputs, hidden_size=6, decoding=decoding, segment=3)
    given = batch(model.spec)
    moved = given.x.clone()
    moved[..., 1] += 100.0
    moved[..., 0] -= 8.0
    shift = torch.tensor([100.0, -8.0]).reshape(2, *[1] * (outputs > 1))
    after = model(Batch(x=moved, index=given.index, future=given.future))
    close(after, model(given) + shift)


@pytest.mark.parametrize("decoding", ["direct", "recursive", "segment"])
def test_revin_follows_any_affine_change_of_the_window(decoding):
    model = StackModel(spec(window_norm="revin"), "lstm", hidden_size=6, decoding=decoding, segment=3)
    given = batch(model.spec)
    # So wide a window that the 1e-5 added to its variance can't be seen.
    x = given.x * torch.tensor([1e4, 1e4, 1.0, 1.0])
    moved = x.clone()
    moved[..., 1] = moved[..., 1] * 1000 + 100
    after = model(Batch(x=moved, index=given.index, future=given.future))
    before = model(Batch(x=x, index=given.index, future=given.future))
    torch.testing.assert_close(after[..., 0], before[..., 0] * 1000 + 100, rtol=1e-10, atol=1e-4)
    torch.testing.assert_close(after[..., 1], before[..., 1], rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("decoding", ["direct", "recursive", "segment"])
@pytest.mark.parametrize("norm", ["none", "last", "revin"])
@pytest.mark.parametrize("make", MODELS)
def test_padding_never_changes_a_forecast(decoding, norm, make):
    model = make(spec(window_norm=norm), "mingru", hidden_size=6, decoding=decoding, segment=3, num_layers=2)
    given = batch(model.spec)
    time = torch.arange(T).double().expand(3, T)
    lengths = [8, 3, 7]
    padded = given.x.clone()
    for b, n in enumerate(lengths):
        padded[b, n:] = 1e3
    together = model(Batch(x=padded, index=given.index, future=given.future, lengths=torch.tensor(lengths), time=time))
    for b, n in enumerate(lengths):
        row = slice(b, b + 1)
        alone = Batch(x=given.x[row, :n], index=given.index[row], future=given.future[row], time=time[row, :n])
        close(together[row], model(alone), 1e-11)


def test_time_goes_on_while_decoding(monkeypatch):
    model = StackModel(spec(), "lstm", hidden_size=6, decoding="recursive")
    seen = []
    unrolled = type(model.encoder.layers[0]).forward

    def spy(self, x, state=None, lengths=None, aux=None):
        seen.append(aux)
        return unrolled(self, x, state, lengths, aux)

    monkeypatch.setattr(type(model.encoder.layers[0]), "forward", spy)
    time = torch.arange(T).double().expand(3, T) + 10
    model(batch(model.spec, time=time))
    assert [aux.time[:, -1].tolist() for aux in seen] == [[17.0 + k] * 3 for k in range(K)]


@pytest.mark.parametrize(
    ("facts", "options", "message"),
    [
        ({}, {"decoding": "recursiv"}, r"Did you mean 'recursive'\?"),
        ({"target_index": ()}, {"decoding": "recursive"}, "needs every target among the inputs"),
        ({"target_index": ()}, {"decoding": "segment"}, r"Use model\.channel_independent=false"),
        ({}, {"decoding": "recursive", "bidirectional": True}, "a backward layer can't"),
        ({}, {"decoding": "segment", "bidirectional": True}, "a backward layer can't"),
        ({}, {"decoding": "segment", "segment": 9}, "longer than the look-back of 8 steps"),
        ({}, {"decoding": "segment", "segment": 0}, r"model\.segment must be a whole number of at least 1"),
        ({}, {"decoding": "segment", "segment": 4, "front_kernel": 3}, "no place before segments"),
        ({}, {"decoding": "recursive", "pooling": "mean"}, "no effect with decoding=recursive"),
        ({"horizon": None}, {}, "needs a Spec with a horizon"),
    ],
)
def test_bad_requests_are_refused(facts, options, message):
    with pytest.raises(RequestError, match=message):
        StackModel(spec(**facts), "lstm", **options)


@pytest.mark.parametrize("decoding", ["direct", "recursive", "segment"])
def test_promised_covariates_must_come(decoding):
    model = StackModel(spec(), "lstm", hidden_size=6, decoding=decoding, segment=4)
    x = torch.randn(3, T, 4)
    with pytest.raises(RequestError, match=r"batch\.future must hold .* \(3, 5, 1\); got None"):
        model(Batch(x=x, index=torch.arange(3)))
    with pytest.raises(RequestError, match=r"got \(3, 4, 1\)"):
        model(Batch(x=x, index=torch.arange(3), future=torch.randn(3, 4, 1)))
