"""Jobs in processes of their own on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from seqlab.__main__ import main
from seqlab.runs import Run, find_runs
from tests.ctrl_c import hear_ctrl_c
from tests.sweep.conftest import QUICK

MISBEHAVING = (*QUICK, "optimizer._target_=tests.sweep.misbehaving.Adam", "hydra.launcher.jobs=2")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "SEQLAB_TRUST": "tests", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.process
def test_one_dies_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEQLAB_TRUST", "tests")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seqlab.sweep.launcher.visible_gpus", lambda: ["3", "5"])
    endings = {"none": None, "SIGKILL": "ended by SIGKILL", "error": "this is the end", "exit": "exit code 5"}
    listed = f"+optimizer.ending={','.join(endings)}"
    assert main(["train", "-m", *MISBEHAVING, "trainer.accelerator=auto", listed]) == 1
    runs = {run.config["optimizer"]["ending"]: run for run in find_runs("outputs")}
    for ending, reason in endings.items():
        assert runs[ending].status == ("failed" if reason else "completed")
        assert (reason or "") in (runs[ending].error or "")
    given = {run.record["environment"]["variables"]["CUDA_VISIBLE_DEVICES"] for run in runs.values()}
    assert given == {"3", "5"}, "one GPU each, in turn"
    said = capsys.readouterr().out
    assert "3 of 4 runs did not complete" in said
    assert "+optimizer.ending=error: RuntimeError: this is the end\n" in said
    assert "gru on co2" not in said, "what a job says goes to its own file"
    assert "gru on co2" in (runs["none"].folder / "output.log").read_text()
    assert runs["none"].record["environment"]["hardware"]["threads"] == int(os.environ.get("OMP_NUM_THREADS", "1"))
    assert runs["none"].record["command"].startswith("seqlab train trainer=debug")


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seqlab", "train", "-m", *MISBEHAVING, f"output_dir={folder}", *overrides]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running(folder: Path) -> list[Run]:
    found = find_runs(folder) if folder.exists() else []
    return [run for run in found if run.status == "running"]


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if _session(p) == process.pid]


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return -1


def stopped(processes: Sequence[psutil.Process]) -> bool:
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_ends_all_jobs_and_they_go_on_later(tmp_path: Path) -> None:
    folder = tmp_path / "o"
    long = ("+optimizer.ending=none", "trainer.limit_train_batches=null", "trainer.max_epochs=500", "seed=0,1")
    process = start(folder, *long)
    until(lambda: len(list(folder.glob("co2/*/*/checkpoints/last.ckpt"))) == 2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    assert "The same command goes on" in err
    assert "Traceback" not in out + err
    assert {run.status for run in find_runs(folder)} == {"interrupted"}
    until(lambda: stopped(family(process)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_death_of_the_sweep_ends_its_jobs(tmp_path: Path) -> None:
    folder = tmp_path / "o"
    process = start(folder, "+optimizer.ending=hang", "seed=0,1,2")
    until(lambda: len(running(folder)) == 2)
    relatives = family(process)
    assert len(relatives) >= 4, "the sweep, the server and two jobs"
    process.kill()
    process.communicate()
    until(lambda: stopped(relatives), 90)
    assert len(find_runs(folder)) == 2
