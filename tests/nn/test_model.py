from __future__ import annotations

import copy
import inspect

import pytest
import torch
from torch import Tensor, nn

from seqlab import config
from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn import RNN, BlockModel, SequenceModel, StackModel
from seqlab.nn.state import LearnedState, leaves

CELLS = ["lstm", "mingru"]
MODELS = [StackModel, BlockModel]
LENGTHS = torch.tensor([7, 3, 1, 5])
SPECS = {
    "classification": Spec("classification", output_size=3, vocabulary_size=20),
    "labelling": Spec("labelling", output_size=3, vocabulary_size=20),
    "regression": Spec("regression", output_size=2, input_size=4),
    "next_step": Spec("next_step", output_size=5, input_size=4),
    "forecasting": Spec("forecasting", output_size=2, input_size=4, lookback=7, horizon=6, target_index=(0, 1)),
}


def batch(spec: Spec, size: int = 4, steps: int = 7, **parts) -> Batch:
    shape = (size, steps)
    x = torch.randint(1, 20, shape) if spec.vocabulary_size else torch.randn(*shape, spec.input_size)
    return Batch(x=x, index=torch.arange(size), **parts)


def close(got: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("classification", (4, 3)),
        ("labelling", (4, 7, 3)),
        ("regression", (4, 2)),
        ("next_step", (4, 7, 5)),
        ("forecasting", (4, 6, 2)),
    ],
)
def test_every_kind_returns_its_shape_for_any_batch_size(make, cell, kind, shape):
    model = make(SPECS[kind], cell, hidden_size=6)
    assert model(batch(SPECS[kind])).shape == shape
    assert model(batch(SPECS[kind], size=0)).shape == (0, *shape[1:])


def check_padding_and_order(model: SequenceModel, spec: Spec) -> None:
    """Each row alone, without padding, gives what it gives padded, among others, in any order."""
    given = batch(spec)
    for b, n in enumerate(LENGTHS):
        given.x[b, n:] = 0 if spec.vocabulary_size else 1e3
    together = model(Batch(x=given.x, index=given.index, lengths=LENGTHS))
    order = torch.tensor([2, 0, 3, 1])
    close(model(Batch(x=given.x[order], index=order, lengths=LENGTHS[order])), together[order])
    for b, n in enumerate(LENGTHS):
        alone = model(Batch(x=given.x[b : b + 1, :n], index=given.index[b : b + 1]))
        got = together[b, :n] if spec.kind in ("labelling", "next_step") else together[b]
        close(got, alone[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("make", MODELS)
def test_padding_and_order_never_change_a_prediction(make, pooling, bidirectional, cell):
    spec = SPECS["classification"]
    model = make(
        spec, cell, hidden_size=6, num_layers=2, pooling=pooling, bidirectional=bidirectional, initial_state="learned"
    )
    check_padding_and_order(model, spec)


@pytest.mark.parametrize("kind", ["labelling", "next_step", "regression"])
@pytest.mark.parametrize("connection", ["plain", "residual", "dense", "highway"])
def test_padding_and_order_with_every_connection_and_read_out(connection, kind):
    model = StackModel(
        SPECS[kind],
        "mingru",
        hidden_size=6,
        num_layers=3,
        connection=connection,
        read_out="every",
        bidirectional=kind != "next_step",
        front_kernel=3,
    )
    check_padding_and_order(model, SPECS[kind])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("feed_forward", ["none", "glu", "mlp", "gated_mlp"])
def test_padding_and_order_with_every_block(feed_forward, bidirectional):
    model = BlockModel(
        SPECS["labelling"],
        "lstm",
        hidden_size=6,
        conv_kernel=4,
        feed_forward=feed_forward,
        bidirectional=bidirectional,
        norm="rms",
    )
    check_padding_and_order(model, SPECS["labelling"])


@pytest.mark.parametrize("make", MODELS)
def test_a_unidirectional_model_never_looks_ahead(make):
    model = make(SPECS["next_step"], "lstm", hidden_size=6, front_kernel=3)
    given = batch(SPECS["next_step"])
    before = model(given)
    given.x[:, 4:] += 1
    after = model(given)
    assert (after[:, :4] == before[:, :4]).all()
    assert (after[:, 4:] != before[:, 4:]).all()


def gradients(model: SequenceModel, given: Batch, tbptt: int) -> list[Tensor]:
    model.zero_grad()
    model(given, tbptt=tbptt).square().sum().backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("cell", CELLS)
def test_truncated_bptt_equals_full_when_it_covers_the_sequence(make, cell):
    model = make(SPECS["labelling"], cell, hidden_size=6, num_layers=2, initial_state="learned")
    given = batch(SPECS["labelling"], lengths=LENGTHS)
    full = gradients(model, given, 0)
    for steps in (7, 100):
        for got, expected in zip(gradients(model, given, steps), full, strict=True):
            close(got, expected)
    cut = gradients(model, given, 3)
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(cut, full, strict=True))


@pytest.mark.parametrize("make", MODELS)
def test_truncation_changes_no_output_and_cuts_the_graph_between_chunks(make):
    model = make(SPECS["labelling"], "lstm", hidden_size=6, num_layers=2)
    given = batch(SPECS["labelling"], lengths=LENGTHS)
    close(model(given, tbptt=3), model(given))
    cut = gradients(model, given, 3)

    # By hand: each chunk is a sequence of its own with a constant initial state; rows that have ended are left out.
    model.zero_grad()
    x, state = model.front.embedding.table(given.x), model.initial_state(4)
    outputs = torch.zeros(4, 7, 6)
    for start in (0, 3, 6):
        rows = (LENGTHS - start > 0).nonzero().squeeze(1)
        left = (LENGTHS[rows] - start).clamp(max=3)
        states = [leaf[rows].detach() for leaf in leaves(state)]
        parts = iter(states)
        y, after = model.encoder(x[rows, start : start + 3], refill(state, parts), left)
        outputs[rows, start : start + 3] = y
        kept = [leaf.detach().clone() for leaf in leaves(state)]
        for whole, part in zip(kept, leaves(after), strict=True):
            whole[rows] = part.detach()
        state = refill(state, iter(kept))
    model.head.map(outputs).square().sum().backward()
    for got, parameter in zip(cut, model.parameters(), strict=True):
        close(got, parameter.grad)


def refill(state, parts):
    return next(parts) if isinstance(state, Tensor) else tuple(refill(s, parts) for s in state)


@pytest.mark.parametrize("cell", [*CELLS, "lru"])
def test_a_learned_initial_state_starts_as_the_cells_own_and_is_trained(cell):
    zero = StackModel(SPECS["regression"], cell, hidden_size=6, num_layers=2)
    learned = StackModel(SPECS["regression"], cell, hidden_size=6, num_layers=2, initial_state="learned")
    learned.load_state_dict(zero.state_dict(), strict=False)
    given = batch(SPECS["regression"])
    close(learned(given), zero(given))
    learned(given).sum().backward()
    assert all(p.grad.abs().max() > 0 for p in learned.start.parameters())
    assert learned.num_parameters() - zero.num_parameters() == zero.state_size
    with torch.no_grad():
        learned.start.start[0] += 1
    assert (learned(given) - zero(given)).abs().max() > 1e-3


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("decoding", ["direct", "recursive", "segment"])
def test_every_trained_parameter_is_used(make, decoding):
    options = {"num_layers": 2, "decoding": decoding, "segment": 3, "initial_state": "learned"}
    model = make(SPECS["forecasting"], "lstm", hidden_size=6, **options)
    model(batch(SPECS["forecasting"])).sum().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_counters_infinities_and_empty_tails_of_a_state_are_not_trained():
    template = (
        torch.zeros(1, 2),
        (torch.full((1, 3), -torch.inf), torch.ones(1, dtype=torch.int64)),
        torch.zeros(1, 0),
    )
    learned = LearnedState(template)
    assert [p.requires_grad for p in learned.start] == [True, False, False, False]
    value, (infinite, counter), tail = learned(5)
    assert tail.shape == (5, 0)
    assert value.shape == (5, 2)
    assert (infinite == -torch.inf).all()
    assert counter.tolist() == [1] * 5


@pytest.mark.parametrize("make", MODELS)
def test_a_state_carries_a_sequence_on(make):
    model = make(SPECS["next_step"], "lstm", hidden_size=6, front_kernel=3, num_layers=2)
    given = batch(SPECS["next_step"])
    state = model.encode(Batch(x=given.x[:, :3], index=given.index)).state
    rest = model(Batch(x=given.x[:, 3:], index=given.index), state)
    close(rest, model(given)[:, 3:])


@pytest.mark.parametrize("make", MODELS)
def test_every_layers_output_and_its_gradient_can_be_read(make):
    model = make(SPECS["regression"], "lstm", hidden_size=6, num_layers=3)
    encoding = model.encode(batch(SPECS["regression"]))
    assert [y.shape for y in encoding.outputs] == [(4, 7, 6)] * 3
    grads = torch.autograd.grad(encoding.y[:, -1, 0].sum(), encoding.outputs)
    # The last output's gradient is all at the last step; below, it spreads back over time.
    assert (grads[2][:, :-1] == 0).all()
    assert (grads[0].abs().sum(-1) > 0).all()


def test_parameters_and_state_are_counted():
    model = StackModel(
        SPECS["classification"], "lstm", hidden_size=6, num_layers=2, embedding_size=5, bidirectional=True
    )
    lstm = 2 * (4 * 6 * (5 + 6) + nbias(model, 0)) + 2 * (4 * 6 * (12 + 6) + nbias(model, 1))
    assert model.num_parameters(embedding=False) == lstm + 12 * 3 + 3
    assert model.num_parameters() == lstm + 12 * 3 + 3 + 20 * 5
    assert model.state_size == 2 * 2 * 12
    frozen = Spec("classification", 3, vocabulary_size=20, vectors=torch.randn(20, 5), freeze_vectors=True)
    model = StackModel(frozen, "lstm", hidden_size=6)
    assert model.num_parameters() == model.num_parameters(embedding=False)


def nbias(model: SequenceModel, layer: int) -> int:
    return sum(p.numel() for p in model.encoder.layers[layer].parameters() if p.dim() == 1) // 2


@pytest.mark.parametrize("make", MODELS)
def test_a_copy_and_a_reloaded_model_predict_the_same(make):
    model = make(SPECS["regression"], "lru", hidden_size=6, initial_state="learned", front_kernel=2)
    other = make(SPECS["regression"], "lru", hidden_size=6, initial_state="learned", front_kernel=2)
    given = batch(SPECS["regression"])
    assert (other(given) != model(given)).any()
    other.load_state_dict(model.state_dict())
    close(other(given), model(given), 0)
    close(copy.deepcopy(model)(given), model(given), 0)


@pytest.mark.parametrize("name", ["stack", "block"])
def test_the_yaml_states_every_default(name):
    node = config.load("model", name)
    cls = config.resolve_class(node.pop("_target_"), SequenceModel)
    parameters = inspect.signature(cls).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert node == defaults


class _Tensors(nn.Module):
    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.forward_tensors(x)


@pytest.mark.parametrize("make", MODELS)
def test_a_model_can_be_exported(make):
    model = _Tensors(make(SPECS["regression"], "lstm", hidden_size=6)).eval()
    x = torch.randn(2, 4, 4)
    exported = torch.export.export(model, (x,)).module()
    close(exported(x), model(x))


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    ("kind", "outputs", "options", "message"),
    [
        ("next_step", 1, {"bidirectional": True}, "would see the very step that is to be predicted"),
        ("classification", 3, {}, r"outputs=3: .* for forecasting only"),
        ("forecasting", 0, {}, "outputs must be a whole number of at least 1; got 0"),
        ("classification", 1, {"decoding": "segment"}, "is for forecasting; this data is of the kind 'classification'"),
        ("classification", 1, {"initial_state": "noisy"}, r"model\.initial_state must be one of zero, learned"),
        ("classification", 1, {"pooling": "atention"}, r"Did you mean 'attention'\?"),
        ("labelling", 1, {"pooling": "max"}, "no effect with the kind 'labelling'"),
        ("classification", 1, {"hidden_size": 0}, r"model\.hidden_size must be a whole number of at least 1"),
        ("classification", 1, {"num_layers": -1}, r"model\.num_layers must be a whole number of at least 1"),
        ("classification", 1, {"dropout": 1.0}, r"model\.dropout must be a number in \[0, 1\)"),
    ],
)
def test_bad_requests_are_refused(make, kind, outputs, options, message):
    with pytest.raises(RequestError, match=message):
        make(SPECS[kind], "lstm", outputs, **options)


def test_bad_batches_are_refused():
    model = StackModel(SPECS["regression"], "lstm", hidden_size=6)
    with pytest.raises(RequestError, match=r"batch\.x must have the shape \(B, T, 4\); got \(4, 7, 3\)"):
        model(Batch(x=torch.randn(4, 7, 3), index=torch.arange(4)))
    model = StackModel(SPECS["labelling"], "lstm", hidden_size=6, bidirectional=True)
    with pytest.raises(RequestError, match=r"\(B, T\) of token numbers; got \(4, 7, 1\)"):
        model(Batch(x=torch.ones(4, 7, 1, dtype=torch.int64), index=torch.arange(4)))
    with pytest.raises(RequestError, match=r"task\.tbptt needs model\.bidirectional=false"):
        model(batch(SPECS["labelling"]), tbptt=3)


@pytest.mark.parametrize(("make", "module"), [(StackModel, "stack"), (BlockModel, "block")])
def test_the_cells_options_reach_every_layer(make, module, monkeypatch):
    seen = []

    class Recorder(RNN):
        def __init__(self, *args, zoneout, variational_dropout, weight_drop, mogrifier, backend, **options) -> None:
            seen.append((zoneout, variational_dropout, weight_drop, mogrifier, backend))
            super().__init__(*args, **options)

    monkeypatch.setattr(f"seqlab.nn.{module}.RNN", Recorder)
    wrappers = {"zoneout": 0.1, "variational_dropout": 0.2, "weight_drop": 0.3, "mogrifier": 2, "backend": "loop"}
    make(SPECS["regression"], "lstm", hidden_size=6, num_layers=2, **wrappers)
    assert seen == [tuple(wrappers.values())] * 2


@pytest.mark.parametrize("make", MODELS)
def test_a_value_that_is_not_finite_is_named_if_asked(make):
    given = batch(SPECS["regression"])
    given.x[2, 3, 1] = torch.nan
    assert not make(SPECS["regression"], "lstm", hidden_size=6)(given)[2].isfinite().any()
    with pytest.raises(RequestError, match="batch index 2, step 3"):
        make(SPECS["regression"], "lstm", hidden_size=6, check_finite=True)(given)


def test_a_spec_gives_features_or_tokens():
    with pytest.raises(RequestError, match=r"either input_size .* or vocabulary_size"):
        StackModel(Spec("regression", output_size=1), "lstm")
