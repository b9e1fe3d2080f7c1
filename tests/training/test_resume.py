"""A run stopped anywhere and started again ends as if it had never been stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import seqlab
from seqlab.errors import RunError
from seqlab.runs import Run, find_runs
from seqlab.training.checkpoints import read_checkpoint
from seqlab.training.resume import Resume
from tests.ctrl_c import hear_ctrl_c
from tests.training.helpers import fingerprint, rows, tiny

EVERYTHING = [
    "model.dropout=0.3",
    "model.num_layers=2",
    "scheduler=plateau",
    "scheduler.patience=0",
    "trainer.early_stopping.patience=2",
]
OFTEN = "trainer.checkpoint.every_n_steps=3"


class Killed(BaseException):
    """Stands for a process that ends at once."""


def stop_at(step: int, overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run until an optimiser step, end as a killed process would, and return what lies in the folder."""
    original = Resume.on_train_batch_end

    def killed(self: Resume, trainer: Any, *rest: Any) -> None:
        original(self, trainer, *rest)
        if trainer.global_step == step:
            raise Killed

    monkeypatch.setattr(Resume, "on_train_batch_end", killed)
    with pytest.raises(Killed):
        seqlab.train(overrides)
    monkeypatch.setattr(Resume, "on_train_batch_end", original)
    folder = next(o.partition("=")[2] for o in overrides if o.startswith("output_dir="))
    (run,) = find_runs(folder)
    run.updated(status="running").save()  # a killed process could not have said otherwise
    return run


def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...], *overrides: str) -> None:
    whole = fingerprint(seqlab.train(tiny(tmp_path / "whole", *overrides)))
    for step in steps:
        again = tiny(tmp_path / f"at-{step}", *overrides, OFTEN)
        stopped = stop_at(step, again, monkeypatch)
        resumed = seqlab.train(again)
        assert resumed.folder == stopped.folder
        assert fingerprint(resumed) == whole, f"stopped at step {step}"


def test_at_the_first_step_inside_an_epoch_and_around_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, monkeypatch, (1, 5, 13, 14, 25), *EVERYTHING)


@pytest.mark.parametrize(
    "overrides",
    [
        ("scheduler=cosine",),
        ("trainer.accumulate_grad_batches=2",),
        ("trainer.val_check_interval=4",),
        ("data.num_workers=1",),
        ("cell=lstm", "optimizer=sgd"),
        ("model=block", "cell=mingru", "model.drop_path=0.3", "model.dropout=0.2"),
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_with_every_moving_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]) -> None:
    check(tmp_path, monkeypatch, (2, 7, 12, 13, 14, 20), *overrides)


def test_tensorboard_is_one_continuous_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def curve(run: Run) -> list[tuple[int, float]]:
        events = EventAccumulator(str(run.folder / "tensorboard"))
        events.Reload()
        return [(e.step, e.value) for e in events.Scalars("val/mse")]

    whole = seqlab.train(tiny(tmp_path / "whole", "logger=tensorboard"))
    again = tiny(tmp_path / "again", "logger=tensorboard", OFTEN)
    stop_at(20, again, monkeypatch)
    assert curve(seqlab.train(again)) == curve(whole)
    assert len(curve(whole)) == 3


def test_a_truncated_checkpoint_falls_back_to_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fingerprint(seqlab.train(tiny(tmp_path / "whole")))
    again = tiny(tmp_path / "again", OFTEN)
    last = stop_at(20, again, monkeypatch).folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.warns(UserWarning, match="Trying the checkpoint before it"):
        resumed = seqlab.train(again)
    assert fingerprint(resumed) == whole


def test_two_corrupt_checkpoints_start_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fingerprint(seqlab.train(tiny(tmp_path / "whole")))
    again = tiny(tmp_path / "again", OFTEN)
    checkpoints = stop_at(20, again, monkeypatch).folder / "checkpoints"
    (checkpoints / "last.ckpt").write_bytes(b"")
    (checkpoints / "previous.ckpt").write_bytes(b"rubbish")
    with pytest.warns(UserWarning, match="Trying the checkpoint before it"):
        resumed = seqlab.train(again)
    assert fingerprint(resumed) == whole


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    file = tmp_path / "bad.ckpt"
    torch.save({"state_dict": {}, "x": Attack()}, file)
    with pytest.raises(RunError, match="could run code; it is refused"):
        read_checkpoint(file)
    with pytest.raises(RunError, match="could run code; it is refused"):
        seqlab.train(tiny(tmp_path / "out", f"ckpt={file}"))
    assert not (tmp_path / "owned").exists()


def start(tmp_path: Path, *overrides: str) -> subprocess.Popen[str]:
    """Start a long run in a process of its own and wait for its first checkpoint."""
    arguments = tiny(tmp_path, "trainer.max_epochs=400", "trainer.checkpoint.every_n_steps=5", *overrides)
    process = subprocess.Popen(
        [sys.executable, "-m", "seqlab", "train", *arguments],
        preexec_fn=hear_ctrl_c,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("previous.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return process


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_and_leave_within_seconds(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start(tmp_path)
    began = time.monotonic()
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == code, said
    assert "Traceback" not in said
    (run,) = find_runs(tmp_path)
    assert run.status == "interrupted"
    assert (run.folder / "checkpoints" / "last.ckpt").exists()


@pytest.mark.process
def test_sigkill_leaves_a_run_that_continues(tmp_path: Path) -> None:
    short = ["trainer.max_epochs=60", "model.dropout=0.2"]
    whole = seqlab.train(tiny(tmp_path / "whole", *short))
    arguments = tiny(tmp_path / "again", *short, "trainer.checkpoint.every_n_steps=5")
    kills = 0
    for delay in (0.0, 0.3, 0.7):
        process = start(tmp_path / "again", *short)
        time.sleep(delay)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate()
    resumed = seqlab.train(arguments)
    assert kills
    assert fingerprint(resumed) == fingerprint(whole)
    assert len(rows(resumed)) == 60
