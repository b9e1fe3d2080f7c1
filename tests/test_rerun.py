"""seqlab rerun: the same run again from its folder alone, and what differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqlab
from seqlab.__main__ import main
from seqlab.errors import RequestError, RunError
from seqlab.rerun import Difference, around, rerun, results
from seqlab.runs import Run, find_runs
from tests.training.kinds import KINDS, tiny_kind


def test_a_run_repeats_to_the_last_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = seqlab.train(tiny_kind("forecasting", tmp_path, "model.dropout=0.2", "seed=3"))
    assert main(["rerun", str(run.folder)]) == 0
    assert "identical" in capsys.readouterr().out
    (again,) = find_runs(tmp_path / "out-rerun")
    assert again.folder.parts[-3:] == run.folder.parts[-3:]
    assert again.record["started"] >= run.record["finished"]

    # A second repetition moves the first aside. A changed score and prediction are found and named.
    scores = {**run.record["metrics"], "test/mse": run.metrics["test/mse"] * (1 + 1e-15)}
    run.updated(metrics=scores).save()
    with np.load(run.folder / "predictions.npz") as arrays:
        changed = {**arrays, "prediction": arrays["prediction"] + 1}
    np.savez(run.folder / "predictions.npz", **changed)
    assert main(["rerun", str(run.folder)]) == 1
    out = capsys.readouterr().out
    assert "not identical: 2 results differ" in out
    assert "metrics/test/mse" in out
    assert "predictions/prediction" in out
    assert (again.folder.parent / ".seed-3.1" / "run.json").exists()


def test_differences_around_a_run_are_named(tmp_path: Path) -> None:
    def run(torch: str, cores: int, diff: str) -> Run:
        environment = {"versions": {"torch": torch}, "hardware": {"cores": cores}, "seqlab_git": {"diff": diff}}
        return Run(tmp_path, {"environment": environment, "hash": "a"})

    assert list(around(run("2.1", 2, ""), run("2.1", 2, ""))) == []
    assert list(around(run("2.1", 2, ""), run("2.2", 4, "x"))) == [
        Difference("versions/torch", "2.1", "2.2"),
        Difference("seqlab_git/diff", "", "x"),
        Difference("hardware/cores", 2, 4),
    ]


def test_weights_and_rows_are_compared(tmp_path: Path) -> None:
    one, other = (seqlab.train(tiny_kind("forecasting", tmp_path / n, f"seed={n}")) for n in ("0", "1"))
    found = {d.what for d in results(one, other)}
    assert {"weights/sha256", "metrics.csv", "metrics/val/mse", "predictions/prediction"} <= found
    assert not {d.what for d in results(one, one)}


def test_other_data_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    run = seqlab.train(tiny_kind("forecasting", tmp_path))
    file = tmp_path / "wave.csv"
    file.write_text(file.read_text().replace("2020-01-03,", "2020-01-03,9"))
    with pytest.raises(RunError, match=r"fingerprint .* is recorded, .* was found\. Nothing was trained"):
        rerun(str(run.folder))
    assert not (tmp_path / "out-rerun").exists()
    file.rename(tmp_path / "moved.csv")
    with pytest.raises(RequestError, match="there is no such file"):
        rerun(str(run.folder))
    with pytest.raises(RequestError, match="takes only where the data lies"):
        rerun(str(run.folder), ["data.lookback=3"])
    with pytest.raises(RequestError, match="where the run itself lies"):
        file.write_text((tmp_path / "moved.csv").read_text().replace("2020-01-03,9", "2020-01-03,"))
        rerun(str(run.folder), output_dir=str(tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_repeats(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = seqlab.train(tiny_kind(kind, tmp_path, "model.dropout=0.2"))
    capsys.readouterr()
    assert main(["rerun", str(run.folder)]) == 0
    assert capsys.readouterr().out.count("identical") == 1
