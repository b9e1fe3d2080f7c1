"""A disk that is full, fails or takes half a write, at every place where a run writes: never a mixed or half record."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import seqlab
from seqlab.data import cache
from seqlab.errors import RunError
from seqlab.runs import Run, files, find_runs
from seqlab.training import pipeline
from seqlab.training.checkpoints import LAST, PREVIOUS, WholeCheckpointIO, latest
from tests.training.helpers import fingerprint
from tests.training.kinds import tiny_kind

FAULTS = {"disk full": errno.ENOSPC, "input/output error": errno.EIO}


class Faulty:
    """Counts what is done to temporary files, and fails at the chosen time: after half the bytes where it writes."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None, code: int = errno.ENOSPC) -> None:
        self.at, self.code, self.count, self.log = at, code, 0, list[str]()
        fdopen, fsync, rename = os.fdopen, os.fsync, Path.replace
        faulty = self

        class Half(io.FileIO):
            def write(self, data: Any) -> int:
                faulty.step("write", lambda: io.FileIO.write(self, memoryview(data).cast("B")[: len(data) // 2]))
                return super().write(data)

        def opened(handle: int, mode: str = "r", *rest: Any, **more: Any) -> Any:
            return (
                io.BufferedWriter(Half(handle, "wb"), 1 << 16) if mode == "wb" else fdopen(handle, mode, *rest, **more)
            )

        def synced(handle: int) -> None:
            faulty.step("fsync")
            fsync(handle)

        def renamed(path: Path, target: Any) -> Path:
            faulty.step(f"rename to {Path(target).name}")
            return rename(path, target)

        patch.setattr(files.os, "fdopen", opened)
        patch.setattr(files.os, "fsync", synced)
        patch.setattr(Path, "replace", renamed)

    def step(self, what: str, partly: Callable[[], Any] = lambda: None) -> None:
        number, self.count = self.count, self.count + 1
        self.log.append(what)
        if self.at is not None and number >= self.at:
            partly()
            raise OSError(self.code, os.strerror(self.code))


def sound(folder: Path) -> None:
    """Every file of the run folders below is whole, and none is left half written."""
    for record in folder.rglob("run.json"):
        json.loads(record.read_text())
    for checkpoint in folder.rglob("*.ckpt"):
        torch.load(checkpoint, weights_only=True)
    for rows in folder.rglob("metrics.csv"):
        lines = rows.read_text().splitlines()
        assert len({line.count(",") for line in lines}) == 1
    assert not list(folder.rglob("*.tmp"))


def test_replacing_keeps_the_old_file_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "record"
    with monkeypatch.context() as patch:
        counted = Faulty(patch, None)
        files.write_text(file, "old")
    assert counted.log[:3] == ["write", "fsync", "rename to record"]
    for code in FAULTS.values():
        for at in range(3):
            with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(code)):
                Faulty(patch, at, code)
                files.write_text(file, "new and longer")
            assert file.read_text() == "old"
            assert [p.name for p in tmp_path.iterdir()] == ["record"]


def test_one_complete_checkpoint_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, folder = WholeCheckpointIO(), tmp_path / "checkpoints"

    def save(number: int) -> None:
        writer.save_checkpoint({"number": number, "weights": torch.full((70_000,), float(number))}, folder / LAST)

    save(1)
    save(2)
    with monkeypatch.context() as patch:
        counted = Faulty(patch, None)
        save(3)
    assert f"rename to {PREVIOUS}" in counted.log
    for at in range(counted.count):
        with monkeypatch.context() as patch, pytest.raises((OSError, RuntimeError)):
            Faulty(patch, at)
            save(4)
            raise OSError("the folder's own sync is no fault of the file")
        found = latest(tmp_path)
        assert found is not None
        assert found[1]["number"] in (3, 4)
        assert torch.equal(found[1]["weights"], torch.full((70_000,), float(found[1]["number"])))
        sound(tmp_path)
        shutil.rmtree(folder)
        save(2)
        save(3)


def run_with_fault(tmp_path: Path, patch: pytest.MonkeyPatch, at: int, code: int) -> str:
    """Run with a fault from the ``at``-th operation on; return the error's text."""
    overrides = tiny_kind("forecasting", tmp_path, "trainer.checkpoint.every_n_steps=4")
    with patch.context() as inner:
        Faulty(inner, at, code)
        with pytest.raises(RunError) as caught:
            seqlab.train(overrides)
    return str(caught.value)


def check_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, code: int, whole: dict[str, Any]) -> None:
    said = run_with_fault(tmp_path, monkeypatch, at, code)
    assert ("disk is full" in said) if code == errno.ENOSPC else ("can't be written" in said), said
    out = tmp_path / "out"
    sound(out)
    assert all(run.status != "completed" for run in find_runs(out))
    again = seqlab.train(tiny_kind("forecasting", tmp_path, "trainer.checkpoint.every_n_steps=4"))
    assert fingerprint(again) == whole


@pytest.mark.parametrize("at", [0, 30])
def test_a_failing_disk_ends_a_run_with_the_houses_error(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fingerprint(seqlab.train(tiny_kind("forecasting", tmp_path / "whole")))
    check_fault(tmp_path / "again", monkeypatch, at, errno.EIO if at else errno.ENOSPC, whole)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("code", FAULTS.values(), ids=FAULTS)
def test_a_fault_at_every_place_where_a_run_writes(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fingerprint(seqlab.train(tiny_kind("forecasting", tmp_path / "whole")))
    with monkeypatch.context() as patch:
        counted = Faulty(patch, None)
        seqlab.train(tiny_kind("forecasting", tmp_path / "count", "trainer.checkpoint.every_n_steps=4"))
    kinds = dict.fromkeys(name for name in counted.log if name.startswith("rename"))
    assert {"rename to run.json", "rename to last.ckpt", "rename to previous.ckpt", "rename to best.ckpt"} <= set(kinds)
    first = {name: counted.log.index(name) for name in kinds}
    last = {name: len(counted.log) - 1 - counted.log[::-1].index(name) for name in kinds}
    places = sorted({*first.values(), *last.values(), *range(0, counted.count, max(1, counted.count // 10))})
    for at in places:
        check_fault(tmp_path / f"at-{at}", monkeypatch, at, code, whole)


@pytest.mark.slow
def test_a_real_limit_on_files(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    overrides = tiny_kind("forecasting", tmp_path, "model.hidden_size=128")
    code = (
        "import resource, sys\nfrom seqlab.__main__ import main\nimport seqlab.training.pipeline\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\nsys.exit(main(['train', *sys.argv[1:]]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, *overrides], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "file larger than allowed" in ended.stderr
    assert "Traceback" not in ended.stderr
    sound(tmp_path / "out")
    (run,) = find_runs(tmp_path / "out")
    assert run.status == "interrupted", "it goes on from what was saved"
    whole = seqlab.train(tiny_kind("forecasting", tmp_path / "whole", "model.hidden_size=128"))
    assert fingerprint(seqlab.train(overrides)) == fingerprint(whole)


class Deletes(Callback):
    """Deletes the run's folder after the third step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 3:
            shutil.rmtree(self.folder)


def test_a_folder_deleted_under_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_bar", lambda *_: [Deletes(tmp_path / "out")])
    with pytest.raises(RunError, match=r"can.t be written or read: .*No such file"):
        seqlab.train(tiny_kind("forecasting", tmp_path))
    assert not list((tmp_path / "out").rglob("run.json")), "nothing half made comes back"


def test_an_output_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't be made"):
        seqlab.train(tiny_kind("forecasting", tmp_path, f"output_dir={tmp_path / 'file' / 'out'}"))


def test_the_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    overrides = tiny_kind("forecasting", tmp_path)
    run = seqlab.train(overrides)
    left = [run.folder / ".run.json.abc.tmp", run.folder / "checkpoints" / ".last.ckpt.abc.tmp"]
    left += [run.folder / ".hydra" / ".config.yaml.abc.tmp"]
    for file in left:
        file.write_bytes(b"half")
    run.updated(status="running").save()
    seqlab.train(overrides)
    assert not [file for file in left if file.exists()]


def test_readers_see_a_whole_record_at_every_instant(tmp_path: Path) -> None:
    first = Run(tmp_path, {"format": 1, "status": "running", "config": {}, "metrics": {}, "baselines": {}})
    first.save()
    ended, seen = threading.Event(), set[int]()
    problems: list[BaseException] = []

    def read() -> None:
        try:
            while not ended.is_set():
                run = Run.load(tmp_path)
                assert len(run.record.get("filling", "")) == run.record.get("size", 0)
                seen.add(run.record.get("size", 0))
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for size in range(0, 200_000, 2_000):
        first.updated(filling="x" * size, size=size).save()
    ended.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert len(seen) > 1


def test_a_cache_that_cannot_be_written_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"x": np.arange(100_000)}
    for at in range(3):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            Faulty(patch, at)
            cache.cached("entry", {"at": at}, lambda: arrays)
        assert not list(cache.cache_dir().glob("*.npz"))
        assert not list(cache.cache_dir().glob("*.tmp"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(cache.cached("entry", {"at": at}, lambda: arrays)["x"], arrays["x"])
        shutil.rmtree(cache.cache_dir())
