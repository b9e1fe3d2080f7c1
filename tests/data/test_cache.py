"""The cache of prepared arrays."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest

from seqlab.data.cache import Arrays, array_text, cache_dir, cached, text_array


class Work:
    """Counts how often it is done."""

    def __init__(self, value: int = 7) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> Arrays:
        self.times += 1
        return {"numbers": np.full(3, self.value), "words": text_array("ä b")}


def entries() -> list[Path]:
    return sorted(cache_dir().glob("*.npz"))


def test_the_second_call_reads_what_the_first_computed() -> None:
    work = Work()
    for _ in range(2):
        found = cached("a", {"k": 1}, work)
        assert found["numbers"].tolist() == [7, 7, 7]
        assert array_text(found["words"]) == "ä b"
    assert work.times == 1
    assert not list(cache_dir().glob("*.tmp"))


def test_another_key_or_other_code_computes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    cached("a", {"k": 1}, work)
    cached("a", {"k": 2}, work)
    assert work.times == 2
    monkeypatch.setattr("seqlab.data.cache.code_version", lambda: "newer")
    cached("a", {"k": 1}, work)
    assert work.times == 3


def test_switched_off_it_neither_reads_nor_writes() -> None:
    work = Work()
    cached("a", {}, work, enabled=False)
    cached("a", {}, work, enabled=False)
    assert work.times == 2
    assert not cache_dir().exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "text"])
def test_a_corrupt_entry_is_computed_again_with_a_warning(damage: str) -> None:
    work = Work()
    cached("a", {}, work)
    (path,) = entries()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[content.index(b"\x07")] ^= 0xFF
    path.write_bytes({"cut": content[:-40], "flipped": content, "emptied": b"", "text": b"hello"}[damage])
    with pytest.warns(UserWarning, match="corrupt"):
        found = cached("a", {}, work)
    assert found["numbers"].tolist() == [7, 7, 7]
    assert cached("a", {}, work)["numbers"].tolist() == [7, 7, 7]
    assert work.times == 2


def test_a_failed_computation_leaves_nothing_behind() -> None:
    def fail() -> Arrays:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached("a", {}, fail)
    assert not entries()
    assert cached("a", {}, Work())["numbers"].tolist() == [7, 7, 7]


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="SEQLAB_CACHE"):
        found = cached("a", {}, Work())
    assert found["numbers"].tolist() == [7, 7, 7]


@pytest.mark.skipif(sys.platform != "linux", reason="the places of Linux")
def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLAB_CACHE", "/one")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_dir() == Path("/one")
    monkeypatch.delenv("SEQLAB_CACHE")
    assert cache_dir() == Path("/two/seqlab")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "seqlab"


def _compute_in_turn(log: str, barrier: object) -> None:
    def work() -> Arrays:
        with Path(log).open("a") as file:
            file.write("done\n")
        return {"numbers": np.arange(200_000)}

    barrier.wait()  # type: ignore[attr-defined]
    assert int(cached("shared", {}, work)["numbers"].sum()) == 199_999 * 100_000


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_processes_that_start_together_compute_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    log = tmp_path / "log"
    processes = [context.Process(target=_compute_in_turn, args=(str(log), barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert log.read_text() == "done\n"
