"""Every preset trains: data at hand, each cell's recipe, and each cell on a text, a series and a synthetic task."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import seqlab
from seqlab.config import options
from tests.conftest import SHARED_DATA
from tests.data.test_laws import FILES, NAMES

DEBUG = ["trainer=debug", "model.hidden_size=8", "trainer.enable_progress_bar=false"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_at_hand_trains(name: str, tmp_path: Path) -> None:
    overrides = [f"data={name}", *DEBUG, f"output_dir={tmp_path}"]
    if name in FILES:
        path, arguments = FILES[name]
        if not (SHARED_DATA / path).exists():
            pytest.skip("needs ../shared/data beside the checkout")
        overrides += [f"data.path={SHARED_DATA / path}", *(f"data.{k}={v}" for k, v in arguments.items())]
    run = seqlab.train(overrides)
    assert run.status == "completed"
    assert math.isfinite(run.metrics["test/loss"])
    assert run.baselines, "a trivial predictor stands beside every result"


SMALL = {
    "polarity": ["data.sentences=[200,64,64]", "data.batch_size=16"],
    "sunspots": ["data.lookback=11", "data.horizon=3", "data.batch_size=16"],
    "adding": ["data.length=10", "data.sizes=[64,32,32]", "data.batch_size=16"],
}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("data", sorted(SMALL))
def test_one_command_trains_every_cell(data: str, tmp_path: Path) -> None:
    """The sweep over all names in conf/cell, as a person types it."""
    door = [sys.executable, "-m", "seqlab", "train", "-m", "cell=glob(*)", f"data={data}"]
    small = [*SMALL[data], *DEBUG, "hydra.launcher.jobs=1", "save_predictions=false"]
    ended = subprocess.run([*door, *small], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    records = [json.loads(file.read_text()) for file in tmp_path.rglob("run.json")]
    assert sorted(record["choices"]["cell"] for record in records) == options("cell")
    assert all(math.isfinite(record["metrics"]["test/loss"]) for record in records)


RECIPES = [name for name in options("experiment") if name.startswith("recipe_")]


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name: str, tmp_path: Path) -> None:
    few = ["trainer=debug", "trainer.max_epochs=1", "trainer.enable_progress_bar=false", f"output_dir={tmp_path}"]
    run = seqlab.train([f"experiment={name}", *few])
    assert run.record["choices"]["cell"] == name.removeprefix("recipe_")
    assert math.isfinite(run.metrics["test/loss"])


def test_every_cell_has_a_recipe() -> None:
    assert [f"recipe_{cell}" for cell in options("cell")] == RECIPES
