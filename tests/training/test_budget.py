"""Equal parameters, equal steps, equal time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.errors import RequestError
from seqlab.restore import restored_data, restored_task
from seqlab.runs.identity import identity
from seqlab.training.budget import nearest_width, with_solved_width
from seqlab.training.parts import make_data, make_task
from seqlab.training.request import compose_request
from tests.training.helpers import tiny


def every(step: int, law: Callable[[int], int]) -> Callable[[int], int]:
    def count(width: int) -> int:
        if width % step:
            raise RequestError(f"{width} is no multiple of {step}")
        return law(width)

    return count


@pytest.mark.parametrize("step", [1, 3, 8])
@pytest.mark.parametrize("budget", [400, 5_000, 123_456])
def test_no_other_width_comes_nearer(step: int, budget: int) -> None:
    count = every(step, lambda width: 4 * width * width + 11 * width + 5)
    width, found = nearest_width(count, budget)
    nearest = min(range(step, 1000, step), key=lambda w: abs(count(w) - budget))
    assert (width, found) == (nearest, count(nearest))


def test_the_refusal_of_every_width_is_passed_on() -> None:
    with pytest.raises(RequestError, match="1 is no multiple of 1000"):
        nearest_width(every(1000, lambda width: width), 50)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mamba", "mingru"])
def test_cells_come_within_one_percent(cell: str) -> None:
    real, said = solved(f"cell={cell}")
    assert abs(real - 50_000) <= 500
    assert f"{real:,} parameters" in said
    assert "no width comes nearer" not in said


def test_it_is_said_where_no_width_is_near() -> None:
    real, said = solved("model=block", "model.num_layers=6", "cell=lstm")
    assert abs(real - 50_000) > 500
    assert said.endswith("the budget of 50,000; no width comes nearer")


def solved(*overrides: str) -> tuple[int, str]:
    asked = compose_request(["data=sunspots", "model.parameter_budget=50000", *overrides])
    data = make_data(asked.config)
    before = torch.get_rng_state()
    config, said = with_solved_width(asked.config, data.spec)
    assert torch.equal(torch.get_rng_state(), before)
    return make_task(config, data.spec).model.num_parameters(embedding=False), said or ""


def test_a_budget_makes_another_run_and_the_width_does_not(tmp_path: Path) -> None:
    folders = {
        extra: compose_request(tiny(tmp_path, *extra)).folder
        for extra in [
            (),
            ("model.hidden_size=8",),
            ("model.parameter_budget=500",),
            ("model.parameter_budget=500", "model.hidden_size=8"),
            ("model.parameter_budget=900",),
        ]
    }
    first, wider, budget, budget_and_width, larger = folders.values()
    assert budget == budget_and_width
    assert len({first, wider, budget, larger}) == 4
    config = compose_request(tiny(tmp_path)).config
    without = {**config, "model": {k: v for k, v in config["model"].items() if k != "parameter_budget"}}
    assert identity(config, "x") == identity(without, "x"), "the key alone changes no folder"


def test_a_budgeted_run_comes_back_as_it_was(tmp_path: Path) -> None:
    run = seqlab.train(tiny(tmp_path, "model.parameter_budget=1040", "trainer.max_epochs=1"))
    assert run.parameters == 1040
    assert run.config["model"]["hidden_size"] != 4
    assert identity(run.config, run.data_fingerprint) == run.record["hash"]
    data = restored_data(run.config["data"], run)
    data.setup()
    assert restored_task(run, data.spec).model.num_parameters(embedding=False) == run.parameters
    assert seqlab.train(tiny(tmp_path, "model.parameter_budget=1040", "trainer.max_epochs=1")).folder == run.folder


@pytest.mark.parametrize("budget", ["0", "-5", "1.5", "true", "many"])
def test_a_budget_is_a_number(tmp_path: Path, budget: str) -> None:
    with pytest.raises(RequestError, match=r"model\.parameter_budget must be a number of parameters"):
        seqlab.train(tiny(tmp_path, f"model.parameter_budget={budget}"))


def test_a_budget_below_the_smallest_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"less than this model has at its smallest width, 1: \d+"):
        seqlab.train(tiny(tmp_path, "model.parameter_budget=3"))


def test_a_budget_of_steps_is_the_same_for_every_cell(tmp_path: Path) -> None:
    budget = ("trainer.max_steps=17", "trainer.max_epochs=-1")
    runs = [seqlab.train(tiny(tmp_path, *budget, f"cell={cell}")) for cell in ("rnn", "lstm")]
    assert [run.record["steps"] for run in runs] == [17, 17]


def test_a_budget_of_seconds_ends_training(tmp_path: Path) -> None:
    run = seqlab.train(tiny(tmp_path, "trainer.max_time={seconds: 1}", "trainer.max_epochs=-1"))
    assert run.status == "completed"
    assert 1.0 <= run.seconds["fit"] < 3.0
    assert run.record["steps"] > 12
