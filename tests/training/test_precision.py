"""Lower precision: every cell trains in bf16-mixed on a CPU, near what it does in float32."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.training.checkpoints import model_weights
from tests.training.kinds import tiny_kind


@pytest.mark.slow
@pytest.mark.parametrize("cell", seqlab.options("cell"))
def test_bf16_mixed_on_a_cpu(cell: str, tmp_path: Path) -> None:
    full, mixed = (
        seqlab.train(tiny_kind("forecasting", tmp_path / p, f"cell={cell}", f"trainer.precision={p}"))
        for p in ("32-true", "bf16-mixed")
    )
    assert mixed.metrics["val/mse"] != full.metrics["val/mse"], "something ran in bfloat16"
    assert math.isclose(mixed.metrics["val/mse"], full.metrics["val/mse"], rel_tol=0.1)
    weights = model_weights(mixed.folder)
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float32}, "kept in full"
