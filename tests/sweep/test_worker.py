"""What a job does in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqlab.errors import RequestError, RunError
from seqlab.sweep import worker
from seqlab.training.request import Request, compose_request
from tests.sweep.conftest import QUICK


@pytest.mark.parametrize(
    ("trainer", "fresh"),
    [
        ({"devices": 1, "strategy": "auto"}, False),
        ({"devices": "1"}, False),
        ({}, False),
        ({"devices": 2, "strategy": "auto"}, True),
        ({"devices": 1, "strategy": "ddp"}, True),
        ({"devices": "auto", "strategy": "ddp"}, True),
        ({"devices": [1], "strategy": "auto"}, True),
        ({"devices": -1}, True),
    ],
)
def test_which_jobs_need_a_fresh_process(trainer: dict[str, Any], fresh: bool) -> None:
    assert worker.needs_fresh_process(trainer) == fresh


def test_a_fresh_process_knows_nothing_of_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("SEQLAB_TRUST", "mine")
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    found = worker._environment({"devices": 2})
    assert not [name for name in found if name.startswith(worker.FOREIGN)]
    assert found["SEQLAB_TRUST"] == "mine"
    assert found["OMP_NUM_THREADS"] == "2", "the job's threads are divided among its processes"


def request(tmp_path: Path, *overrides: str) -> Request:
    return compose_request([*QUICK, f"output_dir={tmp_path / 'o p'}", *overrides])


def test_the_command_of_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(tmp_path, "overwrite=true", "seed=3")
    seen: list[list[str]] = []

    def popen(command: list[str], **_: Any) -> subprocess.Popen[bytes]:
        seen.append(command)
        return real([sys.executable, "-c", "import sys; sys.exit(2)"])

    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(RequestError, match="ended with exit code 2 before it began to train"):
        worker.in_fresh_process(asked)
    assert seen[0][:4] == [sys.executable, "-m", "seqlab", "train"]
    assert seen[0][-3:] == ["seed=3", "hydra.mode=RUN", f"hydra.run.dir='{asked.folder}'"]
    assert "overwrite=true" not in seen[0], "that was done already"


def test_output_goes_to_the_run_folder_from_every_layer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    elsewhere = worker.SweepJob(0.0, (), ("another host", 1))
    with elsewhere._captured(tmp_path / "run"):
        os.write(1, b"to the one stream\n")
        os.write(2, b"to the other\n")
        subprocess.run(["echo", "from a child"], check=True)
    os.write(1, b"back\n")
    lines = (tmp_path / "run" / worker.OUTPUT_FILE).read_text().splitlines()
    assert lines == ["to the one stream", "to the other", "from a child"]
    assert capfd.readouterr() == ("back\n", "")


def test_the_last_words_of_a_process_are_its_reason(tmp_path: Path) -> None:
    (tmp_path / worker.OUTPUT_FILE).write_text("a warning\nseqlab: the data is not there\n")
    assert isinstance(error := worker._refusal(tmp_path, 2), RequestError)
    assert str(error) == "the data is not there"
    assert isinstance(worker._refusal(tmp_path, 1), RunError)
