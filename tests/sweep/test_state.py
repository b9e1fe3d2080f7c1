"""Where a job stands is read from its folder."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import pytest

from seqlab.runs import lock
from seqlab.sweep.state import Watched, state_of
from tests.fabricated_runs import record


def write(folder: Path, **entries: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(json.dumps(record(**entries)))  # type: ignore[arg-type]


def own(folder: Path, host: str = platform.node(), pid: int = os.getpid()) -> None:
    folder.mkdir(exist_ok=True)
    (folder / lock.OWNER_FILE).write_text(json.dumps({"host": host, "pid": pid}))


@pytest.mark.parametrize(
    ("recorded", "owned", "expected"),
    [
        (None, False, "new"),
        (None, True, "running"),
        ("running", True, "running"),
        ("running", False, "interrupted"),
        ("interrupted", False, "interrupted"),
        ("failed", False, "failed"),
        ("completed", False, "completed"),
    ],
)
def test_standing(tmp_path: Path, recorded: str | None, owned: bool, expected: str) -> None:
    folder = tmp_path / "run"
    if recorded:
        write(folder, status=recorded)
    if owned:
        own(folder)
    assert state_of(folder).status == expected


def test_a_record_that_cannot_be_read_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    state = state_of(tmp_path)
    assert state.status == "failed"
    assert "corrupt" in (state.error or "")


@pytest.mark.parametrize("status", ["failed", "completed"])
def test_what_ended_before_the_sweep_counts_unless_it_is_wanted_again(tmp_path: Path, status: str) -> None:
    write(tmp_path, status=status)
    begun = time.time() + 1
    assert Watched(tmp_path, begun, again=[]).done
    again = Watched(tmp_path, begun, again=[status])  # type: ignore[list-item]
    assert not again.done
    assert not again.look()
    os.utime(tmp_path / "run.json", (begun + 1,) * 2)
    assert again.look(), "written since: newly done"
    assert again.done
    assert not again.look(), "told once"


def test_a_job_is_followed_from_new_to_done(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    watched = Watched(folder, time.time() - 1, again=["failed"])
    seen = [watched.state.status]
    own(folder)
    for status in ("running", "interrupted", "running", "completed"):
        write(folder, status=status)
        watched.look()
        seen.append(watched.state.status)
    assert seen == ["new", "running", "interrupted", "running", "completed"]
