"""Every preset trains: every data set at hand, and every cell on a text, a series and a synthetic task."""

from __future__ import annotations

import math
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
@pytest.mark.parametrize("data", sorted(SMALL))
@pytest.mark.parametrize("cell", options("cell"))
def test_every_cell_trains_on_every_kind(cell: str, data: str, tmp_path: Path) -> None:
    run = seqlab.train([f"data={data}", f"cell={cell}", *SMALL[data], *DEBUG, f"output_dir={tmp_path}"])
    assert math.isfinite(run.metrics["test/loss"])
