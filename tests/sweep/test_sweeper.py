"""What is run, what is left alone, and what is said about it."""

from __future__ import annotations

import errno
import json
import os
import platform
import time
from pathlib import Path

import pytest

from seqlab.runs import Run, find_runs, lock
from seqlab.training.request import Request
from tests.sweep.conftest import Sweep, Trainer, completed


def records() -> dict[str, tuple[int, str]]:
    return {str(run.folder): ((run.folder / "run.json").stat().st_mtime_ns, run.status) for run in find_runs("outputs")}


def test_the_same_command_again_touches_nothing(
    sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("cell=rnn,gru", "seed=0,1") == 0
    before, first = records(), capsys.readouterr().out
    assert sweep("cell=rnn,gru", "seed=0,1") == 0
    again = capsys.readouterr().out
    assert records() == before
    assert len(trainer.trained) == 4
    assert "Sweep of 4 runs: 4 completed." in again
    table = first[first.index("test/mse on co2") : first.index("Runs: ")]
    assert table in again, "the recorded results make the same table"


def test_a_wider_command_adds_what_is_missing(sweep: Sweep, trainer: Trainer) -> None:
    assert sweep("cell=rnn,gru", "seed=0") == 0
    assert sweep("cell=rnn,gru,lstm", "seed=range(2)") == 0
    assert trainer.trained[2:] == [("rnn", 1), ("gru", 1), ("lstm", 0), ("lstm", 1)]


def test_one_failure_does_not_stop_the_others(
    sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.fails = {"rnn"}
    assert sweep("cell=rnn,gru", "seed=0,1") == 1
    said = capsys.readouterr()
    assert [run.status for run in find_runs("outputs")] == ["completed", "completed", "failed", "failed"]
    assert {run.error for run in find_runs("outputs")} == {
        None,
        "RuntimeError: rnn is not in the mood\nand says more",
    }
    assert "[1/4] cell=rnn seed=0  failed: RuntimeError: rnn is not in the mood\n" in said.out
    assert "2 of 4 runs did not complete:\n  cell=rnn seed=0: RuntimeError: rnn is not in the mood\n" in said.out
    assert "2 of 4 runs did not complete" in said.err


def test_failed_runs_are_retried_or_left(sweep: Sweep, trainer: Trainer) -> None:
    trainer.fails = {"rnn"}
    assert sweep("cell=rnn,gru") == 1
    trainer.fails = set()
    assert sweep("cell=rnn,gru", "sweep.retry_failed=false") == 1
    assert trainer.trained == [("rnn", 0), ("gru", 0)]
    assert sweep("cell=rnn,gru") == 0
    assert trainer.trained[2:] == [("rnn", 0)]
    (aside,) = Path("outputs/co2").glob("rnn-*/.seed-0.1/run.json")
    assert json.loads(aside.read_text())["status"] == "failed", "the failed attempt is set aside, not deleted"


def test_stop_at_the_first_failure(sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    trainer.fails = {"rnn"}
    assert sweep("cell=lstm,rnn,gru", "sweep.on_error=stop") == 1
    assert trainer.trained == [("lstm", 0), ("rnn", 0)]
    assert "cell=gru: Not started:" in capsys.readouterr().out
    assert len(find_runs("outputs")) == 2, "what was not started leaves nothing"
    trainer.fails = set()
    assert sweep("cell=lstm,rnn,gru", "sweep.on_error=stop") == 0, "an old failure stops nothing"


def test_a_full_disk_fails_no_run(sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    """What was saved stands, and the same command goes on from it in the same folder."""

    def full(request: Request) -> None:
        if request.choices["cell"] == "rnn":
            completed(request, 0.0).updated(status="running").save()
            raise OSError(errno.ENOSPC, "No space left on device")

    trainer.when = full
    assert sweep("cell=rnn,gru") == 1
    assert "cell=rnn: The disk is full" in capsys.readouterr().out
    trainer.when = lambda request: None
    assert sweep("cell=rnn,gru") == 0
    assert "1 completed, 1 to go on" in capsys.readouterr().out
    assert not list(Path("outputs/co2").glob("*/.seed*")), "nothing was set aside"


def test_a_plan_that_cannot_be_written(sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs/co2").mkdir(parents=True)
    Path("outputs/co2/sweeps").touch()
    assert sweep("cell=rnn,gru") == 1
    assert "The plan can't be written to" in capsys.readouterr().err
    assert trainer.trained == []


def test_overwrite_makes_all_again_once(sweep: Sweep, trainer: Trainer) -> None:
    assert sweep("cell=rnn,gru") == 0
    before = records()
    assert sweep("cell=rnn,gru", "overwrite=true") == 0
    assert len(trainer.trained) == 4
    assert records().keys() == before.keys()
    assert all(records()[folder][0] > written for folder, (written, _) in before.items())


def test_a_job_in_living_hands_is_passed_by_and_waited_for(sweep: Sweep, trainer: Trainer) -> None:
    """The first job's folder belongs to a living process, which completes it while the others run."""
    claimed: list[Request] = []

    def other_process(request: Request) -> None:
        if not claimed:
            claimed.append(request)
            take(request.folder)
            raise lock.Held("taken by another process")
        if request.choices["cell"] == "gru":
            completed(claimed[0], 0.5).save()
            (claimed[0].folder / lock.OWNER_FILE).unlink()

    def take(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / lock.OWNER_FILE).write_text(json.dumps({"host": platform.node(), "pid": os.getpid()}))

    trainer.when = other_process
    assert sweep("cell=rnn,lstm,gru") == 0
    assert trainer.trained == [("rnn", 0), ("lstm", 0), ("gru", 0)], "passed by, and not run a second time"
    assert Run.load(claimed[0].folder).metrics["val/mse"] == 0.5


def test_a_job_whose_owner_died_is_taken_over(sweep: Sweep, trainer: Trainer) -> None:
    begun: list[Request] = []

    def dies_at_first(request: Request) -> None:
        if not begun:
            begun.append(request)
            completed(request, 0.0).updated(status="running").save()
            file = request.folder / lock.OWNER_FILE
            file.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
            raise lock.Held("taken by another process")
        file = begun[0].folder / lock.OWNER_FILE
        if request.choices["cell"] == "gru" and file.exists():
            os.utime(file, (time.time() - 2 * lock.DEAD_SECONDS,) * 2)

    trainer.when = dies_at_first
    assert sweep("cell=rnn,gru") == 0
    assert trainer.trained == [("rnn", 0), ("gru", 0), ("rnn", 0)]


def test_a_launcher_that_gives_up_on_all_is_asked_again(
    sweep: Sweep, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As joblib, submitit and Ray do when the process of one job dies."""
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    launch, calls = BasicLauncher.launch, []

    def gives_up(self: BasicLauncher, job_overrides: list[list[str]], initial_job_idx: int) -> object:
        calls.append(len(job_overrides))
        if len(calls) == 1:
            launch(self, job_overrides[:1], initial_job_idx)

            def dies(request: Request) -> None:
                completed(request, 0.0).updated(status="running").save()
                raise SystemExit

            trainer.when = dies
            with pytest.raises(SystemExit):
                launch(self, job_overrides[1:2], initial_job_idx)
            trainer.when = lambda request: None
            raise OSError("a worker died")
        return launch(self, job_overrides, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", gives_up)
    assert sweep("seed=range(4)") == 1
    assert calls == [4, 2]
    assert trainer.trained == [("gru", 0), ("gru", 1), ("gru", 2), ("gru", 3)]
    assert "seed=1: OSError: a worker died" in capsys.readouterr().out


def test_a_launcher_that_does_not_work_is_asked_once(
    sweep: Sweep, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    def broken(self: BasicLauncher, job_overrides: list[list[str]], initial_job_idx: int) -> object:
        raise RuntimeError("there is no sbatch here")

    monkeypatch.setattr(BasicLauncher, "launch", broken)
    assert sweep("seed=0,1") == 1
    assert capsys.readouterr().out.count("RuntimeError: there is no sbatch here") == 2


def test_changed_code_is_reported_and_mixed_only_if_asked(
    sweep: Sweep, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def code(version: str) -> None:
        for place in ("seqlab.training.pipeline.environment", "seqlab.sweep.summary.environment"):
            monkeypatch.setattr(place, lambda: {"versions": {"seqlab": version}})

    code("1.0")
    assert sweep("cell=rnn,gru") == 0
    code("1.1")
    assert sweep("cell=rnn,gru,lstm") == 0
    said = capsys.readouterr().out
    assert "2 completed runs were made by seqlab 1.0; this is seqlab 1.1. They are kept" in said
    assert "No table: The runs were made by different code" in said
    assert sweep("cell=rnn,gru,lstm", "sweep.allow_mixed_code=true") == 0
    assert "test/mse on co2" in capsys.readouterr().out


def test_a_corrupt_record_is_one_failure(sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("cell=rnn,gru") == 0
    (file,) = Path("outputs/co2").glob("rnn-*/seed-0/run.json")
    file.write_text("{")
    assert sweep("cell=rnn,gru") == 1
    assert "run.json is corrupt" in capsys.readouterr().out
    assert file.read_text() == "{"
