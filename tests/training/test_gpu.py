"""On a CUDA device: a run of each family, resumed, in mixed precision, and beside the same run on the CPU."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.errors import RequestError
from tests.chaos.test_everywhere import FAMILIES, killed_record, stopped
from tests.training.helpers import fingerprint
from tests.training.kinds import KINDS, tiny_kind

GPU = ["trainer=gpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]
GPU += ["trainer.max_epochs=2", "trainer.checkpoint.min_seconds=0"]


def on_gpu(kind: str, folder: Path, *overrides: str) -> list[str]:
    return tiny_kind(kind, folder, *GPU, *overrides)


@pytest.mark.gpu
@pytest.mark.parametrize("cell", FAMILIES.values(), ids=FAMILIES)
def test_a_run_on_the_gpu_is_near_the_one_on_the_cpu(cell: str, tmp_path: Path) -> None:
    gpu = seqlab.train(on_gpu("forecasting", tmp_path / "gpu", f"cell={cell}"))
    cpu = seqlab.train(tiny_kind("forecasting", tmp_path / "cpu", f"cell={cell}"))
    assert gpu.record["environment"]["hardware"]["gpus"]
    assert gpu.metrics["val/mse"] == pytest.approx(cpu.metrics["val/mse"], rel=1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data(kind: str, tmp_path: Path) -> None:
    run = seqlab.train(on_gpu(kind, tmp_path))
    assert all(math.isfinite(v) for k, v in run.metrics.items() if k.endswith("loss"))


@pytest.mark.gpu
@pytest.mark.parametrize("cell", FAMILIES.values(), ids=FAMILIES)
def test_resumed_with_deterministic_kernels(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    given = [f"cell={cell}", "model.dropout=0.2", "trainer.deterministic=true"]
    whole = fingerprint(seqlab.train(on_gpu("forecasting", tmp_path / "whole", *given)))
    again = on_gpu("forecasting", tmp_path / "again", *given, "trainer.checkpoint.every_n_steps=2")
    stopped("7", again, monkeypatch)
    killed_record(tmp_path / "again" / "out")
    assert fingerprint(seqlab.train(again)) == whole


@pytest.mark.gpu
def test_mixed_precision(tmp_path: Path) -> None:
    run = seqlab.train(on_gpu("forecasting", tmp_path, "trainer.precision=bf16-mixed"))
    assert math.isfinite(run.metrics["test/mse"])


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_sharded_parameters(tmp_path: Path) -> None:
    run = seqlab.train(on_gpu("forecasting", tmp_path, "trainer=fsdp"))
    assert math.isfinite(run.metrics["test/mse"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"needs a GPU and torch sees none here. Use trainer=cpu"):
        seqlab.train(tiny_kind("forecasting", tmp_path, "trainer=gpu"))
    assert not list((tmp_path / "out").glob("*"))
