"""Other people's configs, checkpoints and run folders: nothing of theirs is run, and nothing leaves its folder."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqlab
from seqlab import config
from seqlab.__main__ import main
from seqlab.data.text_formats import read_documents
from seqlab.errors import RequestError
from seqlab.runs import Run
from seqlab.training.checkpoints import latest
from seqlab.training.request import compose_request, recorded_request
from tests.training.kinds import tiny_kind

#: Functions that would do something, however they are reached.
ATTACKS = [
    "os.system",
    "builtins.eval",
    "subprocess.run",
    "torch.utils.collect_env.run",
    "torch.hub.load",
    "torch.load",
    "torch.os.system",
    "torch.serialization.os.system",
    "seqlab.config.importlib.import_module",
    "seqlab.runs.environment.subprocess.Popen",
    "lightning.pytorch.trainer.connectors.signal_connector.call",
]
GROUPS = ["data", "cell", "model", "task", "optimizer"]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of somebody else's."""
    return seqlab.train(tiny_kind("forecasting", tmp_path_factory.mktemp("given"))).folder


@pytest.fixture
def run(given: Path, tmp_path: Path) -> Run:
    """A copy of it, to be tampered with."""
    return Run.load(shutil.copytree(given, tmp_path / "out" / "tiny" / "gru-0" / "seed-0"))


def tampered(run: Run, place: str, value: Any) -> None:
    """Change one entry of run.json."""
    record = json.loads((run.folder / "run.json").read_text())
    node = record
    *parents, last = place.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    (run.folder / "run.json").write_text(json.dumps(record))


def evaluate(run: Run) -> int:
    return main(["evaluate", str(run.folder)])


def predict(run: Run) -> int:
    return main(["predict", str(run.folder), "--input", run.config["data"]["path"]])


def rerun(run: Run) -> int:
    return main(["rerun", str(run.folder)])


COMMANDS: list[Callable[[Run], int]] = [evaluate, predict, rerun]


@pytest.fixture(autouse=True)
def _nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail at once if an attack comes through."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an attack came through")

    monkeypatch.setattr(os, "system", never)
    monkeypatch.setattr(torch.hub, "load", never)


@pytest.mark.parametrize(
    ("group", "attack"), [*(("optimizer", a) for a in ATTACKS), ("data", "os.system"), ("data", "torch.hub.load")]
)
def test_a_command_line_builds_no_function(group: str, attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"{group}._target_={attack}"]) == 2
    assert "_target_" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("group", GROUPS)
def test_a_tampered_target_in_a_run_folder(
    group: str, command: Callable[[Run], int], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for attack in ("os.system", "torch.utils.collect_env.run", "torch.os.system"):
        tampered(run, f"config.{group}._target_", attack)
        assert command(run) == 2
        assert "_target_" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_a_target_nested_in_arguments(
    command: Callable[[Run], int], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("config.data.target", "config.model.dropout", "config.optimizer.betas"):
        before = json.loads((run.folder / "run.json").read_text())
        tampered(run, place, {"_target_": "os.system", "command": "true"})
        assert command(run) == 2
        assert "is not allowed" in capsys.readouterr().err
        (run.folder / "run.json").write_text(json.dumps(before))


def test_a_run_folder_cannot_say_whom_to_trust(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    tampered(run, "environment.variables", {"SEQLAB_TRUST": "os"})
    tampered(run, "config.trust", "os")
    tampered(run, "config.optimizer._target_", "os.system")
    for command in (evaluate, rerun):
        assert command(run) == 2
    assert "os" not in config.trusted_packages()
    capsys.readouterr()


class Attack:
    """A pickle that runs code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (os.environ["OWNED"], "w"))


@pytest.mark.parametrize("command", [evaluate, predict], ids=lambda c: c.__name__)
@pytest.mark.parametrize("pickled", ["with torch", "plain"])
def test_a_checkpoint_with_code_in_a_run_folder(
    command: Callable[[Run], int],
    pickled: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OWNED", str(tmp_path / "owned"))
    file = run.folder / "checkpoints" / "best.ckpt"
    if pickled == "plain":
        file.write_bytes(pickle.dumps(Attack()))
    else:
        torch.save({"state_dict": {}, "x": Attack()}, file)
    assert command(run) == 1
    assert "it is refused" in capsys.readouterr().err
    assert not (tmp_path / "owned").exists()


def test_a_checkpoint_with_code_is_not_resumed_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OWNED", str(tmp_path / "owned"))
    torch.save({"state_dict": {}, "x": Attack()}, run.folder / "checkpoints" / "last.ckpt")
    with pytest.warns(UserWarning, match="it is refused"):
        latest(run.folder)
    assert main(["rerun", str(run.folder)]) == 0, "a repetition starts from nothing"
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", "..", 7, "sub\\secret"])
@pytest.mark.parametrize("command", [evaluate, predict], ids=lambda c: c.__name__)
def test_artefacts_lie_in_the_run_folder(
    command: Callable[[Run], int], name: Any, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.folder.parent / "secret").write_text("{}")
    tampered(run, "artifacts", ["scaler.json", name])
    assert command(run) == 1
    assert "no file of its own folder" in capsys.readouterr().err


def test_an_artefact_that_is_a_link_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    secret = run.folder.parent / "secret"
    secret.write_text((run.folder / "scaler.json").read_text())
    (run.folder / "scaler.json").unlink()
    (run.folder / "scaler.json").symlink_to(secret)
    assert evaluate(run) == 1
    assert "is not there as a file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["..", "../up", "/tmp/x", "a/b", ".hidden", "", "a\nb", "~", "-rf\n", 3])
def test_a_name_cannot_leave_the_output_folder(name: Any, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    tampered(run, "config.name", name)
    assert rerun(run) == 2
    assert "name must be one folder name" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["../../../up", "/tmp/up", "..", ".", "a/../../b", ""])
def test_a_label_cannot_leave_the_output_folder(label: str, run: Run, tmp_path: Path) -> None:
    record = {**run.record, "choices": {"cell": label}}
    folder = recorded_request(record, tmp_path / "new", run.config["data"], "").folder
    assert folder.resolve().is_relative_to(tmp_path / "new" / "tiny")
    assert len(folder.relative_to(tmp_path / "new").parts) == 3


def test_an_option_reached_by_a_path_keeps_the_run_in_its_folder(tmp_path: Path) -> None:
    folder = compose_request(["cell=../cell/gru", f"output_dir={tmp_path}"]).folder
    assert folder.resolve().is_relative_to(tmp_path / "co2")


def test_the_recorded_places_of_others_are_not_written_to(run: Run, tmp_path: Path) -> None:
    tampered(run, "config.output_dir", str(tmp_path / "elsewhere"))
    target = "lightning.pytorch.loggers.CSVLogger"
    tampered(run, "config.logger", {"csv": True, "own": {"_target_": target, "save_dir": str(tmp_path / "elsewhere")}})
    assert rerun(run) == 0
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "out-rerun").is_dir()


@pytest.mark.parametrize("key", ["callbacks", "default_root_dir", "logger", "enable_checkpointing", "_target_", "hook"])
def test_a_tampered_trainer(key: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    tampered(run, f"config.trainer.{key}", {"_target_": "os.system"})
    assert rerun(run) == 2
    assert "trainer" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../escaped.txt", "/tmp/escaped.txt", "good/../../escaped.txt"])
def test_members_of_an_archive_cannot_escape(name: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for member in ("good/1.txt", "bad/1.txt", name):
            info = tarfile.TarInfo(member)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"text"))
    with pytest.raises(RequestError, match="has a member outside itself"):
        seqlab.train(["data=text", f"data.path={file}", f"output_dir={tmp_path / 'out'}"])
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["texts.tar.gz"]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    file = tmp_path / "texts.tar"
    with tarfile.open(file, "w") as archive:
        for folder in ("good", "bad"):
            info = tarfile.TarInfo(f"{folder}/1.txt")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"text"))
        link = tarfile.TarInfo("good/2.txt")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(link)
    assert sorted(read_documents(file, None, None, "utf-8").texts) == ["text", "text"]


def test_no_network_unless_a_hub_id_is_asked_for(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(socket.socket, "connect_ex", never)
    seqlab.train(tiny_kind("text", tmp_path))
    assert main(["evaluate", str(given)]) == 0
    for path in ("https://example.org/a.csv", "s3://bucket/a.csv"):
        assert main(["train", "data=csv", f"data.path='{path}'", "data.target=y"]) == 2
        assert main(["train", "data=text", f"data.path='{path}'"]) == 2
    capsys.readouterr()


def test_dependencies_report_nothing_home() -> None:
    for name in ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY"):
        assert os.environ[name].lower() in ("1", "true")


def test_no_secret_of_the_environment_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hush-hush-hush")
    run = seqlab.train(tiny_kind("forecasting", tmp_path))
    for file in run.folder.rglob("*"):
        assert file.is_dir() or b"hush-hush-hush" not in file.read_bytes(), file
