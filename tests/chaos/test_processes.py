"""Real processes, real signals: kills, orderly ends, two that are told to do the same, two that work together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import seqlab
from seqlab.runs import find_runs
from seqlab.training import pipeline
from tests.training.helpers import fingerprint
from tests.training.kinds import tiny_kind

pytestmark = pytest.mark.timeout(900)
LONG = ["trainer.max_epochs=400", "trainer.checkpoint.every_n_steps=5", "model.dropout=0.2"]
SHORT = ["trainer.max_epochs=50", "trainer.checkpoint.every_n_steps=5", "model.dropout=0.2"]
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.deterministic=true"]


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "seqlab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + 120
    while not list(folder.rglob(pattern)) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2"])
def test_slurms_warnings_save_and_leave_within_seconds(name: str, tmp_path: Path) -> None:
    process = start("train", *tiny_kind("forecasting", tmp_path, *LONG))
    wait_for("previous.ckpt", tmp_path, process)
    began = time.monotonic()
    process.send_signal(getattr(signal, name))
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 143, said
    assert "Traceback" not in said
    (run,) = find_runs(tmp_path / "out")
    assert (run.status, run.error) == ("interrupted", "SIGTERM")


@pytest.mark.parametrize("place", ["make_task", "_score"], ids=["before the first step", "while scoring"])
def test_sigterm_outside_of_training_leaves_in_order(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fingerprint(seqlab.train(tiny_kind("forecasting", tmp_path / "whole")))

    def terminated(*_: Any, **__: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr(pipeline, place, terminated)
        seqlab.train(tiny_kind("forecasting", tmp_path))
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert [run.status for run in (find_runs(tmp_path / "out") if place == "_score" else [])] in ([], ["interrupted"])
    assert fingerprint(seqlab.train(tiny_kind("forecasting", tmp_path))) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cell"), [("forecasting", "lstm"), ("text", "mingru"), ("labelling", "mlstm")])
def test_sigkill_leaves_a_run_that_continues(kind: str, cell: str, tmp_path: Path) -> None:
    whole = seqlab.train(tiny_kind(kind, tmp_path / "whole", f"cell={cell}", *SHORT))
    again = tiny_kind(kind, tmp_path / "again", f"cell={cell}", *SHORT)
    kills = 0
    for delay in (0.0, 0.4):
        process = start("train", *again)
        wait_for("previous.ckpt", tmp_path / "again", process)
        time.sleep(delay)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills
    assert fingerprint(seqlab.train(again)) == fingerprint(whole)


@pytest.mark.slow
def test_two_processes_told_to_run_the_same(tmp_path: Path) -> None:
    overrides = tiny_kind("forecasting", tmp_path, *LONG)
    first = start("train", *overrides)
    wait_for("last.ckpt", tmp_path, first)
    second = start("train", *overrides)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "Another process works on" in said
    assert f"pid {first.pid}" in said
    assert "Traceback" not in said
    assert first.poll() is None, "the first goes on"
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    (run,) = find_runs(tmp_path / "out")
    assert run.status == "interrupted"


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit(tmp_path: Path) -> None:
    given = [*DDP, "trainer.max_epochs=60", "trainer.checkpoint.every_n_steps=5", "model.dropout=0.2"]
    whole = start("train", *tiny_kind("forecasting", tmp_path / "whole", *given))
    said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    process = start("train", *tiny_kind("forecasting", tmp_path / "again", *given))
    wait_for("previous.ckpt", tmp_path / "again", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (run,) = find_runs(tmp_path / "again" / "out")
    assert run.status == "running"
    process = start("train", *tiny_kind("forecasting", tmp_path / "again", *given))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "continues from step" in said
    one, other = (find_runs(tmp_path / name / "out")[0] for name in ("whole", "again"))
    assert fingerprint(other) == fingerprint(one)


@pytest.mark.slow
def test_two_processes_in_a_multirun_equal_one(tmp_path: Path) -> None:
    process = start("train", "-m", *tiny_kind("forecasting", tmp_path / "two", *DDP), "seed=0,1")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    runs = find_runs(tmp_path / "two" / "out")
    assert [run.seed for run in runs] == [0, 1]
    for run in runs:
        one = seqlab.train(tiny_kind("forecasting", tmp_path / "one", f"seed={run.seed}"))
        assert run.status == "completed"
        assert run.record["steps"] == one.record["steps"]
        for name, value in one.metrics.items():
            assert run.metrics[name] == pytest.approx(value, rel=2e-4), name
