"""trainer.find_lr: the suggestion in closed form, and a run that is none the wiser for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import seqlab
from seqlab.errors import RequestError, RunError
from seqlab.training import find_lr
from seqlab.training.find_lr import suggestion
from tests.training.helpers import fingerprint
from tests.training.kinds import tiny_kind


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    rates = np.geomspace(1e-6, 1, 100)
    place = 1e-3
    losses = -np.tanh(np.log(rates / place))  # its slope over log rate is steepest at the place
    found = suggestion(rates.tolist(), losses.tolist())
    assert abs(np.log(found / place)) < np.log(rates[1] / rates[0])


def test_no_suggestion_without_a_falling_loss() -> None:
    rates = np.geomspace(1e-6, 1, 100).tolist()
    with pytest.raises(RunError, match="made the loss fall"):
        suggestion(rates, list(range(100)))
    with pytest.raises(RunError, match="blew up after 12 steps"):
        suggestion(rates[:12], [1.0] * 12)


def test_the_run_equals_one_with_the_found_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["model.dropout=0.2", "trainer.find_lr=true", "scheduler=cosine"]
    run = seqlab.train(tiny_kind("forecasting", tmp_path / "a", *given))
    found = run.record["found_lr"]
    sweep = json.loads((run.folder / "find_lr.json").read_text())
    assert sweep["found"] == found
    assert min(abs(np.log(found / point["lr"])) for point in sweep["sweep"]) < 0.01
    assert (run.folder / "find_lr.png").read_bytes()[:4] == b"\x89PNG"
    plain = seqlab.train(
        tiny_kind("forecasting", tmp_path / "b", "model.dropout=0.2", "scheduler=cosine", f"optimizer.lr={found}")
    )
    assert fingerprint(run) == fingerprint(plain)
    assert run.folder.parent.name != plain.folder.parent.name

    # Taken up again, the run does not look for a rate a second time.
    run.updated(status="running").save()
    monkeypatch.setattr(find_lr, "_sweep", None)
    assert seqlab.train(tiny_kind("forecasting", tmp_path / "a", *given)).record["found_lr"] == found


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.find_lr=true", "trainer.devices=2", "trainer.strategy=ddp"], "works in one process"),
        pytest.param(
            ["trainer=fsdp"],
            "needs at least two CUDA devices",
            marks=pytest.mark.skipif(torch.cuda.device_count() > 1, reason="there are two CUDA devices"),
        ),
    ],
)
def test_what_a_run_lacks_is_said_and_nothing_stays(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        seqlab.train(tiny_kind("forecasting", tmp_path, *overrides))
    assert not list((tmp_path / "out").glob("*"))
