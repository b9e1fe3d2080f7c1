"""run.json is whole at every instant, and finding and loading say what is wrong."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import pytest

from seqlab.errors import RequestError, RunError
from seqlab.runs import Run, find_runs
from seqlab.runs.files import replacing, write_text

RECORD = {
    "format": 1,
    "status": "completed",
    "config": {"seed": 3},
    "metrics": {"test/mse": 0.1 + 0.2, "test/corr": math.nan, "test/mape": math.inf},
    "baselines": {"naive/test/mse": 1.0},
    "parameters": 10,
}


def make(folder: Path, **changes: object) -> Run:
    folder.mkdir(parents=True)
    run = Run(folder, {**RECORD, **changes})
    run.save()
    return run


def test_numbers_survive_in_full_precision(tmp_path: Path) -> None:
    make(tmp_path / "a")
    run = Run.load(tmp_path / "a")
    assert run.metrics["test/mse"] == 0.1 + 0.2
    assert math.isnan(run.metrics["test/corr"])
    assert run.metrics["test/mape"] == math.inf
    assert (run.seed, run.parameters, run.status) == (3, 10, "completed")


def test_run_json_is_strict_json(tmp_path: Path) -> None:
    make(tmp_path / "a")
    json.loads((tmp_path / "a" / "run.json").read_text(), parse_constant=lambda word: pytest.fail(word))


def test_a_failed_write_leaves_the_former_file(tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    write_text(file, "old")
    with pytest.raises(OSError, match="full"), replacing(file) as stream:
        stream.write(b"half of the n")
        raise OSError(28, "disk full")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


def test_readers_never_see_a_partial_record(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    ended = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not ended.is_set():
            seen.append(Run.load(tmp_path / "a").record["n"])

    run.updated(n=0).save()
    reader = threading.Thread(target=read)
    reader.start()
    for n in range(100):
        run.updated(n=n, filler="x" * 20_000).save()
    ended.set()
    reader.join()
    assert seen == sorted(seen)
    assert seen[-1] <= 99


def test_find_runs_sorts_and_passes_over_folders_set_aside(tmp_path: Path) -> None:
    for name in ("b/seed-1", "b/seed-0", "a/seed-0", "a/.seed-0.1"):
        make(tmp_path / name)
    assert [str(r.folder.relative_to(tmp_path)) for r in find_runs(tmp_path)] == ["a/seed-0", "b/seed-0", "b/seed-1"]
    assert len(find_runs(tmp_path, tmp_path / "a")) == 3, "a folder named twice counts once"


def test_unknown_folder(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        Run.load(tmp_path / "nothing")
    with pytest.raises(RequestError, match="does not exist"):
        find_runs(tmp_path / "nothing")


def test_a_folder_above_runs_names_them(tmp_path: Path) -> None:
    make(tmp_path / "gru" / "seed-0")
    with pytest.raises(RequestError, match=r"has no run\.json.*seed-0"):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "corrupt"),
        ("[]", "lacks format"),
        ('{"format": 1}', "lacks status, config, metrics, baselines"),
        (json.dumps({**RECORD, "metrics": {}, "format": 99}), "format 99"),
    ],
)
def test_corrupt_record(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=message):
        Run.load(tmp_path)
