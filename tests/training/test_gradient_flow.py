"""The gradient flow is measured as it says, and training never notices."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import seqlab
from seqlab import config
from seqlab.cells import RecurrentCell
from seqlab.data import Batch, Spec
from seqlab.data.synthetic.adding import Adding
from seqlab.errors import RequestError, RunError
from seqlab.nn import BlockModel, StackModel
from seqlab.runs import find_runs
from seqlab.tasks import Classification, Forecasting, Regression
from seqlab.training.gradient_flow import MeanByDistance, measure
from tests.training.helpers import fingerprint, tiny
from tests.training.kinds import KINDS, tiny_kind
from tests.training.test_resume import OFTEN, stop_at

FLOW = "+diagnostics=gradient_flow"


def flow(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "gradient_flow.json").read_text())
    return found


# --- what is measured ---


def first_over_last(cell: str, **options: Any) -> float:
    """The first step's share of the last's, untrained, on sequences of 200 steps of the adding problem."""
    data = Adding(length=200, sizes=(1, 16, 1))
    data.setup()
    make = config.factory({**config.load("cell", cell), **options}, RecurrentCell)
    task = Regression(data.spec, partial(StackModel, cell=make, hidden_size=64))
    norms = measure(task, [data.examples("val").__getitems__(range(16))])["layer 1"].hidden.numbers()
    first, last = norms[0], norms[-1]
    assert len(norms) == 200
    assert first is not None
    assert last is not None
    return first / last


def test_why_an_rnn_forgets_and_an_lstm_does_not() -> None:
    """From torch.nn's start, U(-1/sqrt(H), 1/sqrt(H)), with forget biases of 1 or chrono's; and from IRNN's own."""
    torch.manual_seed(0)
    rnn = first_over_last("rnn", init="uniform")
    lstm = first_over_last("lstm", init="uniform")
    chrono = first_over_last("lstm", init="uniform", chrono=200)
    irnn = first_over_last("irnn")
    assert rnn < 1e-20
    assert 1e-17 < lstm < 1e-11
    assert 1e-5 < chrono < 1e-2
    assert 1e-2 < irnn < 2
    assert rnn < lstm / 100 < chrono / 1e4 < irnn / 1e6


def classifier(cell: str = "lstm", **options: Any) -> Classification:
    torch.manual_seed(0)
    spec = Spec("classification", output_size=3, input_size=2, class_counts=(1, 2, 3))
    return Classification(spec, partial(StackModel, cell=cell, hidden_size=4, **options), class_weights="balanced")


def test_sequences_of_any_length_meet_at_their_ends() -> None:
    task = classifier(num_layers=2)
    x, y, lengths = torch.randn(3, 5, 2), torch.tensor([0, 1, 2]), torch.tensor([5, 3, 2])
    whole = measure(task, [Batch(x, torch.arange(3), y, lengths)])
    alone = [measure(task, [Batch(x[b : b + 1, :n], torch.arange(1), y[b : b + 1])]) for b, n in enumerate(lengths)]
    for layer in ("layer 1", "layer 2"):
        norms = [one[layer].hidden.numbers() for one in alone]
        for back in range(1, 6):
            there = [n[-back] for n in norms if len(n) >= back]
            assert whole[layer].hidden.numbers()[-back] == pytest.approx(sum(there) / len(there), rel=1e-5)
    parts = measure(task, [Batch(x[b : b + 1], torch.arange(1), y[b : b + 1], lengths[b : b + 1]) for b in range(3)])
    assert parts["layer 1"].hidden.numbers() == whole["layer 1"].hidden.numbers()
    assert parts["layer 2"].shares() == whole["layer 2"].shares()


def test_what_is_not_finite_is_null() -> None:
    mean = MeanByDistance()
    mean.add(torch.tensor([[math.inf, 1.0, 2.0], [3.0, 6.0, 7.0]]), torch.tensor([3, 2]))
    mean.add(torch.tensor([[4.0]]), torch.tensor([1]))
    assert mean.numbers() == [None, 2.0, 4.0], "the second row's two steps are its 3 and 6"


def test_the_task_is_left_as_it_is() -> None:
    task = classifier(dropout=0.5, num_layers=2)
    before = {k: v.clone() for k, v in task.state_dict().items()}
    measure(task, [Batch(torch.randn(3, 4, 2), torch.arange(3), torch.tensor([0, 1, 2]))])
    assert task.training
    assert all(p.grad is None and p.dtype == torch.float32 for p in task.parameters())
    assert all(torch.equal(before[k], v) for k, v in task.state_dict().items())


@pytest.mark.parametrize("decoding", ["direct", "recursive", "segment"])
@pytest.mark.parametrize("model", [partial(StackModel, bidirectional=False), partial(BlockModel, num_layers=2)])
def test_decoding_is_no_part_of_the_input(decoding: str, model: Any) -> None:
    spec = Spec("forecasting", output_size=1, input_size=2, lookback=12, horizon=6, target_index=(0,))
    make = partial(model, cell="gru", hidden_size=4, decoding=decoding, segment=3)
    task = Forecasting(spec, make)
    batch = Batch(torch.randn(5, 12, 2), torch.arange(5), torch.randn(5, 6, 1))
    flows = measure(task, [batch])
    assert list(flows) == [f"layer {n + 1}" for n in range(len(flows))]
    for found in flows.values():
        norms = found.hidden.numbers()
        assert len(norms) == (4 if decoding == "segment" else 12)
        assert all(norm is not None and norm > 0 for norm in norms)
        assert found.memory.numbers() == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_data(kind: str, tmp_path: Path) -> None:
    run = seqlab.train(tiny_kind(kind, tmp_path, FLOW, "cell=lstm", "model.bidirectional=" + str(kind == "labelling")))
    found = flow(run.folder)
    layers = ["layer 1", "layer 1, backward"] if kind == "labelling" else ["layer 1"]
    assert found["layers"] == layers
    assert found["epochs"] == [0, 1, 2]
    for key in ("gradient_norm", "memory_norm"):
        assert all(norm > 0 for epoch in found[key] for layer in epoch for norm in layer[:-1])
        assert len({len(layer) for epoch in found[key] for layer in epoch}) == 1
    assert all(set(gates) == {"i", "f", "o"} for epoch in found["gates"] for gates in epoch)


# --- in a run ---


def test_training_never_notices(tmp_path: Path) -> None:
    moving = ["cell=lstm", "model.dropout=0.3", "model.num_layers=2", "trainer.max_epochs=1"]
    without = seqlab.train(tiny(tmp_path / "without", *moving))
    run = seqlab.train(tiny(tmp_path / "with", *moving, FLOW, "diagnostics.batches=1"))
    assert run.folder.parent.name == without.folder.parent.name, "a diagnostic is no part of what a run is"
    assert fingerprint(run) == fingerprint(without)
    assert not (without.folder / "gradient_flow.json").exists()
    found = flow(run.folder)
    assert found["epochs"] == [0, 1]
    assert found["sequences"] == 16
    assert found["gradient_norm"][0] != found["gradient_norm"][1]


@pytest.mark.slow
def test_a_run_that_was_completed_without_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = seqlab.train(tiny(tmp_path, "trainer.max_epochs=1"))
    capsys.readouterr()
    assert seqlab.train(tiny(tmp_path, "trainer.max_epochs=1", FLOW)).folder == run.folder
    assert "trained without the diagnostics asked for; overwrite=true trains it again" in capsys.readouterr().out
    again = seqlab.train(tiny(tmp_path, "trainer.max_epochs=1", FLOW, "diagnostics.every=5", "overwrite=true"))
    assert flow(again.folder)["epochs"] == [0, 1], "the last epoch is always measured"
    assert seqlab.train(tiny(tmp_path, "trainer.max_epochs=1", FLOW)).record == again.record
    assert "trained without" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("step", "measured"), [(1, [0]), (14, [0, 1]), (20, [0, 1])])
def test_a_resumed_run_has_every_epoch_once(
    step: int, measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["cell=lstm", "model.dropout=0.3", FLOW]
    whole = seqlab.train(tiny(tmp_path / "whole", *overrides))
    again = tiny(tmp_path / "again", *overrides, OFTEN)
    stopped = stop_at(step, again, monkeypatch)
    assert flow(stopped.folder)["epochs"] == measured
    resumed = seqlab.train(again)
    assert flow(resumed.folder) == flow(whole.folder)
    assert fingerprint(resumed) == fingerprint(whole)


@pytest.mark.slow
def test_epochs_that_will_come_again_are_left_out_and_others_belong_to_the_same_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = tiny(tmp_path, FLOW, OFTEN)
    stopped = stop_at(20, overrides, monkeypatch)
    file = stopped.folder / "gradient_flow.json"
    found = flow(stopped.folder)
    ahead = {**found, "epochs": [0, 1, 2]} | {
        key: [*found[key], found[key][-1]] for key in ("gradient_norm", "memory_norm", "gates")
    }
    file.write_text(json.dumps(ahead))
    stop_at(27, overrides, monkeypatch)
    assert flow(stopped.folder)["epochs"] == [0, 1, 2]
    assert flow(stopped.folder)["gradient_norm"][2] != ahead["gradient_norm"][2]
    file.write_text("[")
    with pytest.raises(RunError, match="Delete it to go on without its epochs"):
        seqlab.train(overrides)
    file.unlink()
    (run,) = find_runs(tmp_path)
    run.updated(status="running").save()
    seqlab.train([*overrides, "diagnostics.batches=1"])
    assert flow(stopped.folder)["epochs"] == [3]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("diagnostics.batches=0", "diagnostics.batches must be a whole number of at least 1; got 0"),
        ("diagnostics.every=two", "diagnostics.every must be a whole number; got 'two'"),
        ("+diagnostics.btaches=1", "Did you mean 'batches'"),
        ("diagnostics._target_=lightning.pytorch.callbacks.Callback", "must be a subclass of .*GradientFlow"),
    ],
)
def test_wrong_options_leave_nothing_behind(asked: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=said):
        seqlab.train(tiny(tmp_path, FLOW, asked))
    assert not list(tmp_path.rglob("run.json"))


def test_the_plus_is_named_where_it_is_missing() -> None:
    with pytest.raises(RequestError, match=r"\+diagnostics=NAME"):
        seqlab.train(["diagnostics=gradient_flow"])
