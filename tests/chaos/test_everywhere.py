"""Every family of cells and every kind of data: stopped at ten places and taken up again, nobody can tell."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

import seqlab
from seqlab.runs import Run
from seqlab.training.resume import Resume
from tests.training.helpers import fingerprint
from tests.training.kinds import KINDS, tiny_kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
#: One cell of each family; the data of each kind is run with the default cell.
FAMILIES = {"native": "lstm", "gated": "peephole_lstm", "elementwise": "indrnn", "linear": "mamba", "matrix": "mlstm"}
#: Steps (of 12, six an epoch): the first, inside an epoch, at its end, after it, the last; v: the validation after it.
PLACES = ("1", "2", "3", "5", "6", "v6", "7", "9", "v12", "12")
MOVING = ["model.dropout=0.2", "scheduler=plateau", "scheduler.patience=0", "trainer.early_stopping.patience=5"]


class Killed(BaseException):
    """Stands for a process that ends at once."""


def stopped(place: str, overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until ``place`` and end as a killed process would."""
    hook = "on_validation_batch_end" if place.startswith("v") else "on_train_batch_end"
    original, step = getattr(Resume, hook), int(place.lstrip("v"))

    def killing(self: Resume, trainer: Any, *rest: Any) -> None:
        original(self, trainer, *rest)
        if trainer.global_step == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Resume, hook, killing)
        with pytest.raises(Killed):
            seqlab.train(overrides)


def killed_record(folder: Path) -> None:
    """Let the record say what a killed process leaves."""
    (run,) = seqlab.find_runs(folder)
    run.updated(status="running", error=None).save()


def state(run: Run) -> str:
    """The SHA-256 of all that the last checkpoint holds, wall times and the run's own place left out."""
    digest = hashlib.sha256()

    def add(value: Any, place: str) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                if key not in ("elapsed", "loops"):
                    add(value[key], f"{place}/{key}")
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                add(item, f"{place}/{number}")
        elif isinstance(value, torch.Tensor):
            digest.update(f"{place} {value.dtype} ".encode() + value.contiguous().numpy().tobytes())
        else:
            digest.update(f"{place} {value!r}".encode())

    last = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    text = {k: v for k, v in last.items() if k != "callbacks"}
    add(text, "")
    for name, callback in last["callbacks"].items():
        # Lightning notes current_score on saving and never reads it; the best model's is under best_k_models.
        plain = {k: v for k, v in callback.items() if not isinstance(v, str) and k != "current_score"}
        plain["best_k_models"] = list(callback.get("best_k_models", {}).values())
        add(plain, name.partition("{")[0])
    return digest.hexdigest()


def everything(run: Run) -> dict[str, Any]:
    return {**fingerprint(run), "state": state(run)}


CASES = [*(("forecasting", cell) for cell in FAMILIES.values()), *((kind, "gru") for kind in KINDS)]


@pytest.mark.parametrize(("kind", "cell"), CASES, ids=["-".join(case) for case in CASES])
def test_stopped_at_ten_places(kind: str, cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = everything(seqlab.train(tiny_kind(kind, tmp_path / "whole", f"cell={cell}", *MOVING)))
    assert whole["steps"] >= 12
    differing = []
    for place in PLACES:
        again = tiny_kind(
            kind, tmp_path / place, f"cell={cell}", *MOVING, "trainer.checkpoint.every_n_steps=2", "name=tiny"
        )
        stopped(place, again, monkeypatch)
        killed_record(tmp_path / place / "out")
        if everything(seqlab.train(again)) != whole:
            differing.append(place)
    assert not differing
