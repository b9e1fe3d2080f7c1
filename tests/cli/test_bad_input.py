"""A wrong request ends with exit code 2 and a message that names the fix, a failure with 1; never with a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seqlab.__main__ import main
from tests.training.helpers import tiny


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command in this process and return its exit code and what it said."""
    try:
        code = main(list(arguments))
    except SystemExit as leave:  # argparse
        code = int(leave.code or 0)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cell=lstmm"], "There is no cell 'lstmm'. Did you mean 'lstm'?"),
        (["dta=co2"], "Did you mean 'data'?"),
        (["data=sunspot"], "Did you mean 'sunspots'?"),
        (["model.hiden_size=3"], "There is no key 'model.hiden_size'. Did you mean 'model.hidden_size'?"),
        (["+model.hiden_size=3"], "model has no argument 'hiden_size'. Did you mean 'hidden_size'?"),
        (["+trainer.max_epoch=3"], "trainer has no argument 'max_epoch'. Did you mean 'max_epochs'?"),
        (["+optimizer.learning_rate=3"], "optimizer has no argument 'learning_rate'"),
        (["+sed=3"], "Unknown key 'sed'. Did you mean 'seed'?"),
        (["+cell.forgot=1"], "cell has no argument 'forgot'"),
        (["+task.los=mse"], "task has no argument 'los'. Did you mean 'loss'?"),
        (["+data.lokback=3"], "data has no argument 'lokback'. Did you mean 'lookback'?"),
        (["seed=abc"], "seed must be a whole number"),
        (["seed=-1"], "seed must be a whole number"),
        (["seed=null"], "seed must be a whole number"),
        (["model.hidden_size=big"], "model.hidden_size must be a whole number; got 'big'"),
        (["model.hidden_size=0"], "hidden_size"),
        (["model.dropout=1.5"], "dropout"),
        (["data.batch_size=0"], "data.batch_size must be a whole number of at least 1; got 0"),
        (["trainer.max_epochs=some"], "trainer.max_epochs must be a number"),
        (["trainer.gradient_clip_val=-1"], "trainer.gradient_clip_val"),
        (["trainer.early_stopping.patience=0"], "trainer.early_stopping.patience must be a number of at least 1"),
        (
            ["+trainer.early_stopping.patient=3"],
            "no key 'patient'. Did you mean 'patience'?",
        ),
        (["trainer.on_nan=ignore"], "trainer.on_nan must be stop or skip_N"),
        (["task.monitor=test/mse"], "the test split is touched once"),
        (["task.monitor=val/mze"], "Did you mean 'val/mse'?"),
        (["task.loss=pinball"], "task.quantiles"),
        (["task=classification"], "needs data of the kind 'classification'"),
        (["name=../up"], "name must be one folder name"),
        (["optimizer._target_=os.system"], "os.system is outside the packages"),
        (["optimizer._target_=torch.hub.load"], "must be a subclass"),
        (["optimizer.lr=-1"], "optimizer: Invalid learning rate: -1"),
        (["trainer.precision=17"], "trainer: "),
        (["trainer.strategy=magic"], "trainer: "),
        (["data=csv"], "data.path is needed"),
        (["data=csv", "data.path=nowhere.csv"], "there is no such file"),
        (["data.lookback=300"], "too few for data.lookback=300"),
        (["ckpt=nowhere.ckpt"], "nowhere.ckpt does not exist"),
        (["model.hidden_size"], "model.hidden_size"),
        (["model=[null]"], "model=NAME takes the name of an option; got [null]"),
        (["optimizer=[1,[2]]"], "optimizer=NAME takes the name of an option"),
        (["scheduler=-7"], "scheduler=NAME takes the name of an option; got -7"),
        (["++ckpt.x=1"], "ckpt must be a checkpoint or run folder"),
        (["++scheduler.x=1"], "scheduler must be a mapping with a _target_"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    base = [a for a in tiny(tmp_path / "out") if not any(a.startswith(f"{b.partition('=')[0]}=") for b in arguments)]
    if any(a.startswith("data=") or a.startswith("dta=") for a in arguments):
        base = [a for a in base if not a.startswith("data")]
    code, said = complaint(capsys, "train", *base, *arguments)
    assert code == 2, said
    assert expected in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("run.json")), "no record of a run that never was"
    assert not list((tmp_path / "out").glob("*")), "no empty run folders either"


GOOD = [f"2020-01-{day:02},{day}" for day in range(1, 29)]


@pytest.mark.parametrize(
    ("lines", "target", "expected"),
    [
        (GOOD, "z", "'z'"),
        ([*GOOD[:9], "soon,10", *GOOD[10:]], "y", "'soon'"),
        ([*GOOD[:9], "2020-01-10,much", *GOOD[10:]], "y", "'much'"),
        ([], "y", "header"),
    ],
)
def test_csv_files(
    lines: list[str], target: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["date,y", *lines]) + "\n")
    code, said = complaint(
        capsys,
        "train",
        "data=csv",
        f"data.path={file}",
        f"data.target={target}",
        "data.lookback=2",
        "data.horizon=1",
        f"output_dir={tmp_path / 'out'}",
    )
    assert code == 2
    assert expected in said
    assert "mine.csv" in said


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_unknown_run_folder(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = ["--input", "x.csv"] if command == "predict" else []
    code, said = complaint(capsys, command, str(tmp_path / "nothing"), *extra)
    assert code == 2
    assert "does not exist" in said


def test_unknown_run_folder_of_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = complaint(capsys, "compare", str(tmp_path / "nothing"))
    assert code == 2
    assert "does not exist" in said


@pytest.mark.parametrize("command", ["evaluate", "predict", "compare"])
def test_corrupt_record(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text("{half")
    extra = ["--input", "x.csv"] if command == "predict" else []
    code, said = complaint(capsys, command, str(tmp_path), *extra)
    assert code == 1
    assert "corrupt" in said


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = complaint(capsys, "trian")
    assert code == 2
    assert "Did you mean 'train'?" in said


def test_unknown_group_to_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = complaint(capsys, "list", "cels")
    assert code == 2
    assert "Did you mean 'cell" in said


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["train", "cell=lstmm"], 2, "Did you mean 'lstm'?"),
        (["compare", "nowhere"], 2, "does not exist"),
        (["nonsense"], 2, "no command"),
    ],
)
def test_through_a_real_process(arguments: list[str], code: int, expected: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "seqlab", *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.returncode == code
    assert expected in ended.stderr
    assert "Traceback" not in ended.stderr
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == "[]"


def test_a_folder_that_takes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, said = complaint(capsys, "train", *tiny(tmp_path / "file" / "out"))
    assert code == 1
    assert said.startswith("seqlab: A file can't be written or read: [Errno 20] Not a directory: ")
    assert said.count("\n") == 1
