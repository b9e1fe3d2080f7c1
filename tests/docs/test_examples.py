"""The examples run as their first lines say, and show what they say."""

from __future__ import annotations

import os
import runpy
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
def test_the_example_runs(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.setattr(os, "environ", os.environ.copy())  # it trusts its own module
    runpy.run_path(str(ROOT / "examples" / f"{example}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for words in SHOWN[example]:
        assert words in printed
