"""Trackers follow a run, go on with it after an interruption, and hear how it ended."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import seqlab
from seqlab.config import load
from seqlab.errors import RequestError, RunError
from seqlab.runs import Run
from seqlab.training import trackers
from seqlab.training.request import compose_request
from seqlab.training.trackers import Logged, Tracker, settings_of
from tests.training.helpers import rows, tiny
from tests.training.test_resume import stop_at

#: Checkpoints at steps 15 and 30 of 39: what the second epoch logs at 25 is computed twice by a run stopped at 28.
LATE = ("trainer.checkpoint.min_seconds=1000", "trainer.checkpoint.every_n_steps=15")


class Tape(Tracker):
    """Keeps what it is told in a file of the run folder.

    Args:
        run: that is followed.
        breaks: at which call of ``begin`` or ``send`` it breaks, counted from 0.
    """

    package = "tape"

    def __init__(self, run: Run, breaks: int = -1) -> None:
        super().__init__(run)
        self.file, self.left = run.folder / "tape.json", breaks

    def _turn(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise ConnectionError("the tape is torn\nin two")

    def known(self) -> str | None:
        return self.file.read_text() if self.file.exists() else None

    def begin(self) -> Logged:
        self._turn()
        told = self.told()
        self.file.write_text(json.dumps(told))
        return {(name, step) for name, step, _ in told}

    def told(self) -> list[tuple[str, int, float]]:
        return [tuple(entry) for entry in json.loads(self.known() or "[]")]

    def send(self, metrics: Mapping[str, float], step: int) -> None:
        self._turn()
        self.file.write_text(json.dumps([*self.told(), *((name, step, score) for name, score in metrics.items())]))

    def end(self, run: Run) -> None:
        self.file.with_name("ended").write_text(run.status)


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SEQLAB_TRUST", "tests")
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    return f"+logger.tape={{_target_: {__name__}.Tape}}"


def tape(run: Run) -> list[tuple[str, int, float]]:
    return [tuple(entry) for entry in json.loads((run.folder / "tape.json").read_text())]


def test_an_interrupted_run_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taped: str) -> None:
    again = tiny(tmp_path, taped, *LATE)
    stopped = stop_at(28, again, monkeypatch)
    assert (stopped.folder / "ended").read_text() == "failed"
    assert [entry for entry in tape(stopped) if entry[:2] == ("val/mse", 25)], "told before the run was stopped"
    run = seqlab.train(again)
    assert len({entry[:2] for entry in tape(run)}) == len(tape(run)), "nothing twice"
    assert (run.folder / "ended").read_text() == "completed"
    told = [(step, score) for name, step, score in tape(run) if name == "val/mse"]
    assert told == [(int(row["step"]), float(row["val/mse"])) for row in rows(run)]
    assert ("best/test/mse", run.record["steps"], run.metrics["test/mse"]) in tape(run)


def test_a_tracker_that_breaks_does_not_stop_the_run(
    tmp_path: Path, taped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = seqlab.train(tiny(tmp_path, taped, "trainer.max_epochs=2", "+logger.tape.breaks=3"))
    assert run.status == "completed"
    assert len({step for _, step, _ in tape(run)}) == 1, "the second epoch found it broken"
    said = capsys.readouterr().out
    assert said.count("logger.tape broke, and the run goes on without it: the tape is torn\n") == 1


def test_a_tracker_that_cannot_begin_does_stop_it(tmp_path: Path, taped: str) -> None:
    with pytest.raises(RunError, match=r"logger.tape can't be begun: the tape is torn. Use logger=csv"):
        seqlab.train(tiny(tmp_path, taped, "+logger.tape.breaks=0"))


def test_settings_are_flat_and_name_the_choices() -> None:
    record = {"choices": {"cell": "gru"}, "config": {"cell": {"_target_": "x"}, "seed": 1, "a": {"b": {"c": 2}}}}
    record["config"]["logger"] = {"csv": True}
    assert settings_of(Run(Path(), record)) == {"cell": "gru", "cell._target_": "x", "seed": 1, "a.b.c": 2}


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_named_before_anything_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=rf"logger.{name} needs a further package: pip install 'seqlab\[{name}\]'"):
        compose_request(["data=sunspots", f"logger={name}"])


def test_a_wrong_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    with pytest.raises(RequestError, match=r"logger.wandb.mode must be one of offline, online; got 'silent'"):
        compose_request(["data=sunspots", "logger=wandb", "logger.wandb.mode=silent"])
    assert load("logger", "wandb")["wandb"]["mode"] == "offline"


def test_which_logger_is_no_part_of_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    folders = {compose_request(["data=sunspots", f"logger={name}"]).folder for name in ("csv", "mlflow")}
    assert len(folders) == 1


# --- the packages themselves ---


def store(uri: str) -> Any:
    """The MLflow store at ``uri``, without the advice of the packages below it."""
    mlflow = pytest.importorskip("mlflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.MlflowClient(uri)


@pytest.mark.slow
def test_mlflow_is_one_run_to_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    asked = tiny(Path("outputs"), "logger=mlflow", "logger.mlflow.tags={team: mine}", *LATE)
    stopped = stop_at(28, asked, monkeypatch)
    client = store("sqlite:///outputs/mlflow.db")
    run_id = (stopped.folder / "mlflow_run_id").read_text().strip()
    assert client.get_run(run_id).info.status == "FAILED"
    run = seqlab.train(asked)
    experiment = client.get_experiment_by_name("sunspots")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_id, found.info.status) == (run_id, "FINISHED")
    assert found.info.run_name == "/".join(run.folder.parts[-2:])
    assert found.data.tags["team"] == "mine"
    assert found.data.tags["mlflow.source.name"] == run.record["command"]
    assert found.data.params["cell"] == "gru"
    assert found.data.params["model.hidden_size"] == "4"
    assert found.data.params["optimizer.lr"] == str(run.config["optimizer"]["lr"])
    for name in ("val/mse", "train/loss"):
        told = [(score.step, score.value) for score in client.get_metric_history(run_id, name)]
        assert told == [(int(row["step"]), float(row[name])) for row in rows(run)], "each epoch once"
    assert found.data.metrics["best/test/mse"] == run.metrics["test/mse"]
    assert {p.name for p in tmp_path.iterdir()} - {"cache"} == {"outputs"}
    assert {p.name for p in (tmp_path / "outputs").iterdir()} == {".mlflow.db.lock", "mlflow.db", "sunspots"}
    said = capfd.readouterr()
    assert "mlflow" not in (said.out + said.err).lower().replace("logger=mlflow", "")


@pytest.mark.slow
def test_the_jobs_of_a_sweep_share_one_mlflow_store(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    command = [sys.executable, "-m", "seqlab", "train", "-m", *tiny(tmp_path), "logger=mlflow"]
    done = subprocess.run(
        [*command, "cell=rnn,gru", "hydra.launcher.jobs=2", "sweep.allow_mixed_code=true"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client = store(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "sunspots"]
    found = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in found} == {"FINISHED"}
    assert sorted(run.data.params["cell"] for run in found) == ["gru", "rnn"]


def scores_in(file: Path) -> list[tuple[str, int, float]]:
    """Name, step and value of the scores in a .wandb file: records as in LevelDB's logs, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    raw, at, record, found = file.read_bytes(), 7, b"", []
    while at + 7 <= len(raw):
        if 2**15 - at % 2**15 < 7:  # no piece begins in the last bytes of a block
            at += 2**15 - at % 2**15
        _, length, kind = struct.unpack("<IHB", raw[at : at + 7])
        record += raw[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            row = {
                item.key or "/".join(item.nested_key): item.value_json
                for item in Record.FromString(record).history.item
            }
            step = int(row.get("trainer/global_step", 0))
            found += [(name, step, float(value)) for name, value in row.items() if "/" in name]
            record = b""
    return found


@pytest.mark.slow
def test_wandb_is_one_run_to_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    asked = tiny(Path("outputs"), "logger=wandb", *LATE)
    stop_at(28, asked, monkeypatch)
    run = seqlab.train(asked)
    parts = sorted((run.folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(parts) == 2, "one each time the run was taken up"
    assert len({part.name for part in parts}) == 1, "with the same id"
    told = sorted(score for part in parts for score in scores_in(part))
    for name in ("val/mse", "train/loss"):
        expected = [(int(row["step"]), float(row[name])) for row in rows(run)]
        assert [(step, score) for of, step, score in told if of == name] == expected, "each epoch once"
    assert ("best/test/mse", run.record["steps"], run.metrics["test/mse"]) in told
    assert {p.name for p in tmp_path.iterdir()} - {"cache"} == {"outputs"}
    said = capfd.readouterr()
    assert "wandb:" not in said.out + said.err
    assert "WANDB_CACHE_DIR" not in os.environ
