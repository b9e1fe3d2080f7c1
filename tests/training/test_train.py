"""One run, end to end: same seed same digits, one folder, a record that tells the truth."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

import seqlab
import seqlab.__main__
from seqlab.config import is_reproduction
from seqlab.errors import RequestError, RunError
from seqlab.reproduce.header import load as reproduction
from seqlab.runs import Run, find_runs
from seqlab.training import pipeline
from seqlab.training.request import compose_config
from tests.training.helpers import fingerprint, rows, tiny


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_seed_same_digits_and_another_seed_others(tmp_path: Path) -> None:
    first, again = (seqlab.train(tiny(tmp_path / name)) for name in ("a", "b"))
    other = seqlab.train(tiny(tmp_path / "c", "seed=1"))
    assert first.folder != again.folder
    assert fingerprint(first) == fingerprint(again)
    assert fingerprint(first)["metrics"] != fingerprint(other)["metrics"]
    assert first.baselines == other.baselines, "another seed never means another test set"
    assert first.folder.parent.name == other.folder.parent.name, "runs that differ in their seed are siblings"


def test_what_ran_before_in_the_process_does_not_matter(tmp_path: Path) -> None:
    first = seqlab.train(tiny(tmp_path / "a", "model.dropout=0.3"))
    torch.manual_seed(99)
    torch.rand(7)
    assert fingerprint(seqlab.train(tiny(tmp_path / "b", "model.dropout=0.3"))) == fingerprint(first)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    first = seqlab.train(tiny(tmp_path / "a"))
    assert fingerprint(seqlab.train(tiny(tmp_path / "b", f"data.num_workers={workers}"))) == fingerprint(first)


def test_a_completed_run_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = seqlab.train(tiny(tmp_path))
    before = snapshot(tmp_path)
    assert seqlab.train(tiny(tmp_path)).record == Run.load(run.folder).record
    assert seqlab.__main__.main(["train", *tiny(tmp_path)]) == 0  # type: ignore[attr-defined]
    assert snapshot(tmp_path) == before
    assert "nothing was touched" in capsys.readouterr().out


def test_overwrite_moves_the_old_run_aside(tmp_path: Path) -> None:
    old = seqlab.train(tiny(tmp_path))
    new = seqlab.train(tiny(tmp_path, "overwrite=true"))
    assert new.folder == old.folder
    aside = old.folder.with_name(f".{old.folder.name}.1")
    assert Run.load(aside).record["started"] == old.record["started"]
    assert [r.folder.name for r in find_runs(tmp_path)] == ["seed-0"]


def test_the_record(tmp_path: Path) -> None:
    run = seqlab.train(tiny(tmp_path, "trainer.early_stopping.patience=1", "trainer.max_epochs=4"))
    record = json.loads((run.folder / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["choices"]["cell"] == "gru"
    assert record["config"]["model"]["hidden_size"] == 4
    assert record["parameters"] == 3 * 4 * (1 + 4) + 3 * 4 + 4 + (4 + 1) * 3
    assert record["state_size"] == 4
    assert record["environment"]["versions"]["torch"] == torch.__version__
    assert record["environment"]["hardware"]["cores"] >= 1
    assert record["data_fingerprint"]
    assert record["monitor"] == "val/mse"
    assert {"train/mse", "val/mse", "test/mse", "test/mse_original"} <= record["metrics"].keys()
    assert {"naive/test/mse", "seasonal_naive/test/mse", "drift/val/mse"} <= record["baselines"].keys()
    assert record["seconds"]["fit"] > 0
    assert record["peak_memory_mb"] > 10
    assert record["command"].startswith("seqlab train data=sunspots")
    scores = [float(row["val/mse"]) for row in rows(run)]
    assert record["best_epoch"] == scores.index(min(scores))
    assert record["metrics"]["val/mse"] == pytest.approx(min(scores), rel=1e-6), "the scores are the best checkpoint's"
    for name in (".hydra/config.yaml", ".hydra/overrides.yaml", ".hydra/hydra.yaml", "train.log", "predictions.npz"):
        assert (run.folder / name).exists(), name


def test_a_failed_run_says_so_and_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Callback):
        def on_train_epoch_end(self, *_: Any) -> None:
            raise MemoryError("no more")

    monkeypatch.setattr(pipeline, "_bar", lambda *_: [Broken()])
    with pytest.raises(RunError, match=r"Out of memory: no more.*data.batch_size"):
        seqlab.train(tiny(tmp_path))
    (failed,) = find_runs(tmp_path)
    assert failed.status == "failed"
    assert "Out of memory" in str(failed.error)
    monkeypatch.undo()
    assert seqlab.train(tiny(tmp_path)).status == "completed"


def test_a_loss_that_is_not_finite_stops_with_the_batch(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"The loss became (nan|inf) at step \d+.*learning rate 1e\+30.*lower optimizer.lr"
    ):
        seqlab.train(tiny(tmp_path, "optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=null"))
    (run,) = find_runs(tmp_path)
    assert run.status == "failed"
    batch = torch.load(run.folder / "bad_batch.pt", weights_only=True)
    assert batch["x"].shape == (16, 11, 1)


def test_a_bounded_number_of_such_steps_may_be_left_out(tmp_path: Path) -> None:
    given = ["optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=null", "trainer.on_nan=skip_2"]
    with pytest.raises(RunError, match="The loss became"):
        seqlab.train(tiny(tmp_path, *given))


class Gradients(Callback):
    """Keeps the gradients that the optimiser sees."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.before = torch.cat([p.grad.flatten() for p in pl_module.parameters() if p.grad is not None])

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        grads = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        if grads:
            self.seen.append(torch.cat(grads).clone())


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping_on_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    def gradients(value: str, folder: str) -> torch.Tensor:
        keeper = Gradients()
        monkeypatch.setattr(pipeline, "_bar", lambda *_: [keeper])
        seqlab.train(
            tiny(
                tmp_path / folder,
                f"trainer.gradient_clip_val={value}",
                f"trainer.gradient_clip_algorithm={algorithm}",
                "trainer.max_epochs=1",
            )
        )
        return keeper.seen[0]

    free, clipped = gradients("null", "free"), gradients("0.01", "clipped")
    expected = free * (0.01 / (free.norm() + 1e-6)) if algorithm == "norm" else free.clamp(-0.01, 0.01)
    assert free.norm() > 0.02, "there is something to clip"
    torch.testing.assert_close(clipped, expected, rtol=1e-5, atol=1e-8)


def test_accumulation_equals_the_large_batch(tmp_path: Path) -> None:
    same = [
        "trainer.max_epochs=1",
        "trainer.gradient_clip_val=null",
        "optimizer=sgd",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
    ]
    # 16 + 16 is one batch of 32 where the loss is a mean over equal halves, and SGD sees only the gradient.
    halves = seqlab.train(tiny(tmp_path / "a", *same, "trainer.accumulate_grad_batches=2", "trainer.max_steps=3"))
    whole = seqlab.train(tiny(tmp_path / "b", *same, "data.batch_size=32", "trainer.max_steps=3"))
    assert halves.record["steps"] == whole.record["steps"] == 3
    assert halves.metrics["test/mse"] == pytest.approx(whole.metrics["test/mse"], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("scheduler", ["none", "cosine", "plateau", "decay"])
@pytest.mark.slow
def test_every_optimizer_with_every_schedule(tmp_path: Path, optimizer: str, scheduler: str) -> None:
    run = seqlab.train(tiny(tmp_path, f"optimizer={optimizer}", f"scheduler={scheduler}"))
    assert math.isfinite(run.metrics["test/mse"])


def test_warm_start_takes_the_weights_alone(tmp_path: Path) -> None:
    first = seqlab.train(tiny(tmp_path / "a"))
    warm = seqlab.train(tiny(tmp_path / "b", f"ckpt={first.folder}", "optimizer=sgd", "optimizer.lr=0.0"))
    assert warm.metrics["test/mse"] == first.metrics["test/mse"], "nothing was learned after it"
    with pytest.raises(RequestError, match="does not fit this model"):
        seqlab.train(tiny(tmp_path / "c", f"ckpt={first.folder}", "model.hidden_size=5"))


@pytest.mark.process
def test_two_processes_equal_one(tmp_path: Path) -> None:
    overrides = tiny(tmp_path / "two", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    ended = subprocess.run(
        [sys.executable, "-m", "seqlab", "train", *overrides, "trainer.deterministic=true"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (two,) = find_runs(tmp_path / "two")
    one = seqlab.train(tiny(tmp_path / "one"))
    assert two.status == "completed"
    assert two.record["steps"] == one.record["steps"]
    for name, value in one.metrics.items():
        assert two.metrics[name] == pytest.approx(value, rel=2e-4), name
    for name, value in one.baselines.items():
        assert two.baselines[name] == pytest.approx(value, rel=1e-6), name
    assert len(rows(two)) == len(rows(one)) == 3
    assert len(list(two.folder.rglob("*.csv"))) == 1


def test_a_run_killed_between_its_last_step_and_its_record_only_scores_again(tmp_path: Path) -> None:
    run = seqlab.train(tiny(tmp_path, "trainer.early_stopping.patience=1"))
    before, last = fingerprint(run), (run.folder / "checkpoints" / "last.ckpt").read_bytes()
    run.updated(status="running", metrics={}, baselines={}).save()
    assert fingerprint(seqlab.train(tiny(tmp_path, "trainer.early_stopping.patience=1"))) == before
    assert (run.folder / "checkpoints" / "last.ckpt").read_bytes() == last


def test_a_run_too_short_for_validation_keeps_its_last_weights(tmp_path: Path) -> None:
    run = seqlab.train(tiny(tmp_path, "trainer.max_steps=2"))
    assert run.record["steps"] == 2
    assert run.record["best_epoch"] is None
    assert math.isfinite(run.metrics["test/mse"])
    assert (run.folder / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize("name", seqlab.options("experiment"))
def test_every_experiment_composes(name: str) -> None:
    listed = reproduction(name).listed if is_reproduction(name) else {}
    config = compose_config([f"experiment={name}", *(f"{key}={values[0]}" for key, values in listed.items())])
    assert config.name == config.hydra.runtime.choices.data
    for group in ("data", "cell", "model", "task"):
        assert config[group]._target_.startswith("seqlab.")
