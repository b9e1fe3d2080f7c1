"""What each command does without training, what it imports, and how long it takes to answer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqlab.__main__ import COMMANDS, main
from seqlab.config import options


def imported(code: str, *arguments: str) -> set[str]:
    """Run code in a fresh interpreter and return the top-level modules that it imported."""
    tail = "\nimport json, sys as _s; print('|' + json.dumps(sorted({m.partition('.')[0] for m in _s.modules})))"
    ended = subprocess.run([sys.executable, "-c", code + tail, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(ended.stdout.rpartition("|")[2]))


def test_importing_seqlab_is_light() -> None:
    assert not imported("import seqlab") & {"torch", "lightning", "hydra", "numpy"}


def test_help_is_light() -> None:
    assert not imported("from seqlab.__main__ import main; main(['--help'])") & {"torch", "lightning", "hydra", "numpy"}


@pytest.mark.process
def test_listing_does_not_import_lightning() -> None:
    assert "lightning" not in imported("from seqlab.__main__ import main; main(['list', 'cells'])")
    assert not imported("from seqlab.__main__ import main; main(['list', 'data'])") & {"torch", "lightning", "hydra"}


@pytest.mark.process
def test_help_answers_within_five_times_an_empty_interpreter() -> None:
    def best(*arguments: str) -> float:
        times = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best("-m", "seqlab", "--help") <= 5 * best("-c", "pass")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([command, "--help"])
    except SystemExit as leave:
        code = int(leave.code or 0)
    assert code == 0
    assert f"seqlab {command}" in capsys.readouterr().out


def test_list_cells_names_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "cells", "--format", "json", "--input-size", "3", "--hidden-size", "8"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == options("cell")
    for row in rows:
        assert row["what it is"], row
        assert row["state"] > 0
        if row["name"] != "uncoupled_gru":  # of our source document, which bears no year
            assert row["source"], row
            assert 1980 < row["year"] < 2030, row
        assert row["state"] > 0
    gru = next(row for row in rows if row["name"] == "gru")
    assert gru["parameters (3 -> 8)"] == 3 * 8 * (3 + 8) + 3 * 8 + 8
    assert gru["state"] == 8


@pytest.mark.parametrize("group", ["data", "experiments", "models", "tasks", "trainers"])
def test_other_groups_are_listed(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", group, "--format", "names"]) == 0
    assert capsys.readouterr().out.split() == options(group.removesuffix("s"))


def test_cfg_prints_the_config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data=sunspots", "model.hidden_size=7", "--cfg", "job"]) == 0
    assert "hidden_size: 7" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_options_and_overrides_may_be_mixed() -> None:
    from seqlab.training.app import _options_first

    typed = ["data=co2", "-m", "cell=gru,lstm", "--cfg", "job", "~hydra.x", "+a.b=1", "--info", "defaults", "model.x"]
    assert _options_first(typed) == [
        *("-m", "--cfg", "job", "--info", "defaults"),
        *("data=co2", "cell=gru,lstm", "~hydra.x", "+a.b=1", "model.x"),
    ]
