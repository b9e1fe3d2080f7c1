"""The examples run as their first lines say, and show what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

#: What each must have printed.
SHOWN = {
    "library_use": ["lru: mean squared error", "test mse: ", "seasonal_naive"],
    "own_cell": ["test/mse on adding, lower is better", " leaky ", "Differences to "],
    "own_dataset": ["test/accuracy on brackets, higher is better", "both ends"],
}


def test_all_are_run() -> None:
    assert {file.stem for file in (ROOT / "examples").glob("*.py")} == set(SHOWN)


@pytest.mark.process
@pytest.mark.parametrize("example", SHOWN)
def test_the_example_runs(example: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / f"{example}.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for words in SHOWN[example]:
        assert words in ended.stdout
