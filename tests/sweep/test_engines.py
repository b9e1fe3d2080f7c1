"""Jobs on SLURM, on submitit's local executor and on Ray; several processes a job; and several sweeps at once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqlab.runs import Run, find_runs
from tests.sweep import fake_slurm
from tests.sweep.conftest import QUICK
from tests.sweep.test_local import ENVIRONMENT, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
GRID = ("cell=rnn,gru", "seed=0,1", "sweep.allow_mixed_code=true")
#: Two CPU processes a job.
DDP = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1")


def command(folder: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "seqlab", "train", "-m", *QUICK, f"output_dir={folder}", *overrides]


def seqlab(folder: Path, *overrides: str, **environment: str) -> tuple[dict[str, Run], str]:
    done = subprocess.run(
        command(folder, *overrides), env={**ENVIRONMENT, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {f"{run.choices['cell']}{run.seed}": run for run in find_runs(folder)}, done.stdout


def scores(runs: dict[str, Run]) -> dict[str, Any]:
    return {name: (run.metrics, run.record["steps"]) for name, run in runs.items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the local launcher makes of the grid."""
    return scores(seqlab(tmp_path_factory.mktemp("local"), *GRID)[0])


def needs(package: str) -> None:
    if importlib.util.find_spec(f"hydra_plugins.{package}") is None:
        pytest.skip(f"needs {package}")


def test_submitits_local_executor(tmp_path: Path, expected: dict[str, Any]) -> None:
    needs("hydra_submitit_launcher")
    runs, _ = seqlab(tmp_path, *GRID, "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10")
    assert scores(runs) == expected


def test_slurm(tmp_path: Path, expected: dict[str, Any]) -> None:
    needs("hydra_submitit_launcher")
    slurm = fake_slurm.install(tmp_path / "bin")
    runs, _ = seqlab(tmp_path / "o", *GRID, "hydra/launcher=slurm", "hydra.launcher.partition=cpu", **slurm)
    assert scores(runs) == expected
    assert {run.record["environment"]["variables"]["SLURM_JOB_ID"] for run in runs.values()} == {
        str(int(fake_slurm.ARRAY) + n) for n in (1, 2, 3, 4)
    }
    script = next((tmp_path / "o").rglob("*_submission.sh")).read_text()
    for line in ("--partition=cpu", "--time=240", "--cpus-per-task=2", "--mem=8GB", "--signal=USR2@120", "--array=0-3"):
        assert line in script


def test_a_requeued_job_finds_its_checkpoint(tmp_path: Path) -> None:
    needs("hydra_submitit_launcher")
    work = ("optimizer._target_=tests.sweep.misbehaving.Adam", "trainer.max_epochs=4", "seed=0,1")
    work = (*work, "trainer.limit_train_batches=10", "trainer.checkpoint.every_n_steps=4")
    whole, _ = seqlab(tmp_path / "whole", *work)
    slurm = fake_slurm.install(tmp_path / "bin")
    cut = ("+optimizer.ending=SIGUSR2", "+optimizer.at=26", "hydra/launcher=slurm")
    runs, _ = seqlab(tmp_path / "cut", *work, *cut, **slurm)
    assert scores(runs) == scores(whole)
    for run in runs.values():
        said = (run.folder / "output.log").read_text()
        assert "continues from step 26" in said, "the step that the signal met ended and was saved"


def test_ray(tmp_path: Path, expected: dict[str, Any]) -> None:
    needs("hydra_ray_launcher")
    runs, _ = seqlab(tmp_path, *GRID, "hydra/launcher=ray", RAY_AUTH_MODE="disabled")
    assert scores(runs) == expected


@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_several_processes_a_job(tmp_path: Path, launcher: str) -> None:
    """Four jobs on two workers: with two, a process group left by the first job would not be met by a later one."""
    environment: dict[str, str] = {}
    if launcher == "slurm":
        needs("hydra_submitit_launcher")
        environment = fake_slurm.install(tmp_path / "bin")
    limits = [f"+trainer.limit_{split}_batches=3" for split in ("train", "val", "test")]
    runs, _ = seqlab(tmp_path / "two", *GRID, *DDP, *limits, f"hydra/launcher={launcher}", **environment)
    alone = [*DDP, "trainer.devices=1", "trainer.strategy=auto", *limits]
    single, _ = seqlab(tmp_path / "one", *GRID, *alone)
    assert len(runs) == 4
    for name, run in runs.items():
        assert run.record["steps"] == single[name].record["steps"] == 3
        assert run.metrics == pytest.approx(single[name].metrics, rel=1e-5)
        assert run.record["config"]["trainer"]["devices"] == 2


def test_two_shells_share_the_work(tmp_path: Path) -> None:
    """Who ran a job is told by the number of threads that its record gives."""
    work = ("cell=rnn,gru", "seed=range(4)", "trainer.limit_train_batches=null", "hydra.launcher.jobs=1")
    shells = [
        subprocess.Popen(
            command(tmp_path, *work, "trainer.max_epochs=4", "sweep.allow_mixed_code=true"),
            env={**ENVIRONMENT, "OMP_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            text=True,
        )
        for threads in ("1", "2")
    ]
    said = [shell.communicate()[0] for shell in shells]
    assert [shell.returncode for shell in shells] == [0, 0]
    runs = find_runs(tmp_path)
    assert len(runs) == 8
    assert {run.status for run in runs} == {"completed"}
    assert {run.record["environment"]["hardware"]["threads"] for run in runs} == {1, 2}, "both worked"
    for run in runs:
        assert (run.folder / "output.log").read_text().count("parameters, state of") == 1, "nothing ran twice"
        assert not list(run.folder.parent.glob(".seed*")), "nothing was set aside"
    tables = [text[text.index("test/mse on co2") : text.index("Runs: ")] for text in said]
    assert tables[0] == tables[1]


def test_killed_at_random_moments(tmp_path: Path) -> None:
    chaos = [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), "--sweep", "--kills", "3", "--seed", "0"]
    small = ["--cells", "rnn,gru", "--seeds", "0,1", "--epochs", "4"]
    done = subprocess.run([*chaos, *small], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED" in done.stdout
