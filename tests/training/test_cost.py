"""What a run costs beside its model: the comparison with a hand-written loop is of like with like, and what is spared.

The figures are measured by benchmarks/pipeline.py.
"""

from __future__ import annotations

import gc
import math
import platform
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer

import seqlab
from seqlab.data import Batch, Batches, Loader, SequenceData, Spec
from seqlab.tasks.metrics import forecasting_metrics
from seqlab.tasks.scores import once, sharing
from seqlab.training.checkpoints import model_weights
from seqlab.training.surroundings import imports_uncollected, kept_switches, memory_kept
from tests.training.helpers import rows, tiny

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
EPOCHS = 2
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "windows": ("sunspots", {"lookback": 11, "horizon": 3}),
    "texts": ("polarity", {"sentences": [64, 32, 32]}),
}


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The benchmark's modules, imported as the script imports them."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import handwritten
        import pipeline

        yield SimpleNamespace(handwritten=handwritten, pipeline=pipeline)
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in ("handwritten", "pipeline", "cells", "peers"):
            sys.modules.pop(name, None)


class OurBatches:
    """The batches of `seqlab train`, epoch after epoch, in the loop's form."""

    def __init__(self, data: SequenceData, split: Any, shuffle: bool) -> None:
        examples = data.examples(split)
        self.loader = Loader(
            examples, Batches(len(examples), data.batch_size, shuffle=shuffle, lengths=examples.lengths)
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader:
            yield {name: value for name, value in vars(batch).items() if value is not None}


@pytest.mark.parametrize("case", ["windows", pytest.param("texts", marks=pytest.mark.slow)])
def test_the_hand_written_loop_does_the_same_work(bench: SimpleNamespace, case: str, tmp_path: Path) -> None:
    """Given the same batches, it ends with the same weights and the same losses."""
    name, changes = CASES[case]
    overrides = [f"data.{key}={value}" for key, value in changes.items()]
    run = seqlab.train(
        [
            *(o for o in tiny(tmp_path) if not o.startswith("data")),
            *(f"data={name}", *overrides, "data.batch_size=16", "cell=lstm", f"trainer.max_epochs={EPOCHS}"),
        ]
    )
    data, model = bench.handwritten.prepare(name, {**changes, "batch_size": 16}, 4, 0)
    train, val = OurBatches(data, "train", True), OurBatches(data, "val", False)
    loss = bench.handwritten.label_error if data.spec.class_names else bench.handwritten.squared_error
    history = bench.handwritten.fit(model, train, val, loss, EPOCHS)
    recorded = [(float(row["train/loss"]), float(row["val/loss"])) for row in rows(run)]
    assert history == [pytest.approx(pair, rel=1e-6) for pair in recorded]
    last = model_weights(run.folder / "checkpoints" / "last.ckpt")
    assert all(torch.allclose(value, last[key], rtol=1e-5, atol=1e-7) for key, value in model.state_dict().items())


@pytest.mark.parametrize("case", CASES)
def test_its_samples_are_ours_one_by_one(bench: SimpleNamespace, case: str) -> None:
    name, changes = CASES[case]
    data, model = bench.handwritten.prepare(name, {**changes, "batch_size": 16}, 4, 0)
    model.eval()
    for pad in ("all", "batch") if data.spec.class_names else ("all",):
        seen = []
        for sample in bench.handwritten.loader(data, "train", pad):
            ours = data.examples("train").__getitems__(sample["index"].tolist())
            theirs = type(ours)(**sample)
            assert torch.equal(theirs.x[:, : ours.x.shape[1]], ours.x)
            assert torch.equal(theirs.y, ours.y)
            assert torch.allclose(model(theirs), model(ours), atol=1e-6)
            seen += sample["index"].tolist()
        assert sorted(seen) == list(range(len(data.examples("train"))))


def test_ratios_are_of_the_same_round(bench: SimpleNamespace) -> None:
    ours, theirs = bench.pipeline.SEQLAB, bench.pipeline.HAND
    seconds = iter([1.0, 2.0, 8.0, 2.0, 3.0, 2.0])  # the second round begins with theirs
    found = bench.pipeline.in_turn(
        (ours, theirs), 3, lambda side: {"side": side, "seconds_per_epoch": next(seconds)}, "title"
    )
    assert bench.pipeline.ratios(found, theirs) == [0.5, 0.25, 1.5]
    assert bench.pipeline.spread([0.5, 0.25, 1.5]) == "0.50 (0.25 to 1.50)"


def test_memory_and_imports_are_spared_while_a_run_lasts_and_not_after() -> None:
    memory: Any = torch.utils.deterministic
    before = gc.get_freeze_count()
    with kept_switches(), imports_uncollected():
        torch.use_deterministic_algorithms(True)
        assert not memory.fill_uninitialized_memory
        with imports_uncollected():  # a run within a run
            pass
        assert gc.get_freeze_count() > before
    assert memory.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled()
    assert gc.get_freeze_count() == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose memory is kept")
def test_memory_that_a_step_gives_back_is_there_for_the_next() -> None:
    """64 MB that the system hands out anew are 32 faults at least, and 16,384 with pages of 4 KB."""

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(4):
            torch.ones(16 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with memory_kept():
        faults()
        assert faults() < 100


def test_what_scores_share_changes_none_of_them() -> None:
    """Two batches, one of them with gaps: the same scores to the last bit, and each derived value worked out once."""
    spec = Spec("forecasting", output_size=2, input_size=2, horizon=3, center=(1.0, -2.0), scale=(3.0, 0.5))
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    scale = torch.full((5, 2), 2.0)
    batches = [
        Batch(x=numbers(5, 4, 2), index=torch.arange(5), y=numbers(5, 3, 2), naive_scale=scale) for _ in range(2)
    ]
    batches[1] = replace(batches[1], y_mask=(numbers(5, 3, 2) > 0).float())
    alone, together = forecasting_metrics(spec), forecasting_metrics(spec)
    calls: list[str] = []
    counted = once(lambda score, prediction, batch: calls.append("once"))
    for batch in batches:
        prediction = numbers(5, 3, 2)
        for score in alone.values():
            score.update(prediction, batch)
        with sharing():
            for score in together.values():
                score.update(prediction, batch)
                counted(score, prediction, batch)
    assert calls == ["once", "once"]
    values = {name: score.compute().item() for name, score in alone.items()}
    assert {name: score.compute().item() for name, score in together.items()} == values
    assert len(set(values.values())) == len(values)
    assert not any(map(math.isnan, values.values()))


def test_a_profiler_of_ones_own_sees_every_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda self, *a, **k: (seen.append(self.profiler), fit(self, *a, **k))[1])
    run = seqlab.train([*tiny(tmp_path, "cell=rnn", "trainer.max_epochs=1"), "+trainer.profiler=simple"])
    (profiler,) = seen
    durations = profiler.recorded_durations
    for hook in ("[LightningModule]Forecasting.on_train_batch_start", "[Callback]Guard.on_before_backward"):
        assert len(durations[hook]) == run.record["steps"]
    assert "[Callback]Guard.on_before_zero_grad" not in durations  # it has none


def test_numbers_too_small_for_a_cpu_count_as_zero_while_a_run_trains_and_not_after() -> None:
    def halved() -> float:
        return torch.full((4,), 1e-40).mul(0.5).sum().item()

    assert halved() > 0
    with kept_switches():
        assert halved() == 0
        with kept_switches():
            assert halved() == 0
        assert halved() == 0
    assert halved() > 0
