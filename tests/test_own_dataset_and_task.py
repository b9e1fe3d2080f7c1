"""The worked examples of CONTRIBUTING.md, followed: a dataset is one yaml, a task one class and one yaml."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import seqlab

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


def block(language: str, holding: str) -> str:
    """The one block of CONTRIBUTING.md that holds some words."""
    (found,) = (b for b in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL) if holding in b)
    return str(found)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The two examples as files, and sales to forecast."""
    for group in ("data", "task"):
        (tmp_path / "conf" / group).mkdir(parents=True)
    (tmp_path / "conf" / "data" / "sales.yaml").write_text(block("yaml", "sales.csv"))
    (tmp_path / "conf" / "task" / "tolerant.yaml").write_text(block("yaml", "my_tasks.Tolerant"))
    (tmp_path / "my_tasks.py").write_text(block("python", "class Tolerant"))
    days = [f"2024-{m:02}-{d:02},{10 + 3 * math.sin(d * 0.9) + m:.3f}" for m in range(1, 9) for d in range(1, 29)]
    (tmp_path / "sales.csv").write_text("\n".join(["date,amount", *days]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SEQLAB_CONFIG_PATH", str(tmp_path / "conf"))
    monkeypatch.setenv("SEQLAB_TRUST", "my_tasks")
    return ["data=sales", "trainer=debug", "model.hidden_size=4", "trainer.enable_progress_bar=false"]


def test_the_dataset_trains(own: list[str]) -> None:
    assert "sales" in seqlab.options("data")
    run = seqlab.train(own)
    assert run.config["data"]["horizon"] == 7
    assert "seasonal_naive/test/mse" in run.baselines


def test_the_task_trains(own: list[str]) -> None:
    run = seqlab.train([*own, "task=tolerant"])
    assert run.config["task"]["_target_"] == "my_tasks.Tolerant"
    assert run.metrics["test/loss"] <= run.metrics["test/mae"]
