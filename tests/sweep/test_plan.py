"""From lists of values to jobs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from seqlab.config import config_file
from seqlab.errors import RequestError
from seqlab.runs import find_runs
from seqlab.sweep.plan import check_jobs, combinations
from seqlab.sweep.sweeper import _check_settings
from seqlab.training.request import Request, compose_config
from tests.sweep.conftest import Sweep, Trainer

CELLS = ["rnn", "lstm", "gru"]
GRAMMAR = [
    (["cell=rnn,lstm", "seed=0,1"], ["cell=rnn seed=0", "cell=rnn seed=1", "cell=lstm seed=0", "cell=lstm seed=1"]),
    (["seed=range(1,7,2)", "cell=gru"], ["seed=1", "seed=3", "seed=5"]),
    (["cell=choice(gru,rnn)"], ["cell=gru", "cell=rnn"]),
    (["seed=sort(3,1,2,reverse=true)"], ["seed=3", "seed=2", "seed=1"]),
    (["cell=glob(*n)"], [""]),
    (["cell=glob([r*,lstm,g*],exclude=[lstm])"], ["cell=rnn", "cell=gru"]),
    (["cell=gru", "cell=rnn,lstm"], ["cell=rnn", "cell=lstm"]),
    (["cell=rnn,lstm", "cell=gru"], [""]),
    (["data.target=[a,b],[c]"], ["data.target=[a,b]", "data.target=[c]"]),
    (["name='a,b'", "sweep.on_error=stop", "~scheduler", "+trainer.x=1,2"], ["+trainer.x=1", "+trainer.x=2"]),
]


class Cells:
    """The one thing that a parser asks of Hydra's config loader."""

    def get_group_options(self, group: str, **_: object) -> list[str]:
        return CELLS


@pytest.mark.parametrize(("typed", "labels"), GRAMMAR, ids=lambda value: " ".join(value))
def test_the_grammar_of_lists(typed: list[str], labels: list[str]) -> None:
    parser = OverridesParser.create(config_loader=Cells())  # type: ignore[arg-type]
    found = combinations(parser.parse_overrides(typed))
    assert [label for _, label in found] == labels
    for overrides, label in found:
        assert all(word in overrides for word in label.split())
        assert not any(o.startswith("sweep") for o in overrides)
    assert found[0][0][0] in {typed[0], labels[0].split()[0] if labels[0] else "", "cell=rnn", "cell=gru"}


def test_what_is_not_a_list_is_passed_on_as_typed() -> None:
    typed = ["name='a,b'", "~scheduler", "data.split=[0.7,0.1,0.2]", "++trainer.limit_val_batches=2"]
    parser = OverridesParser.create(config_loader=Cells())  # type: ignore[arg-type]
    assert combinations(parser.parse_overrides(typed)) == [(typed, "")]


def test_shuffle_keeps_every_value() -> None:
    parser = OverridesParser.create(config_loader=Cells())  # type: ignore[arg-type]
    labels = [label for _, label in combinations(parser.parse_overrides(["seed=shuffle(range(9))"]))]
    assert sorted(labels) == [f"seed={n}" for n in range(9)]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("cell=glob(nothing*)", "names no value, so that the sweep would have no job"),
        ("seed=range(3,3)", "names no value"),
        ("optimizer.lr=interval(0.001,0.1)", "an interval has no end of values"),
        ("sweep.on_error=stop,continue", "a setting of the sweep itself can't be a list"),
    ],
)
def test_what_is_no_list_of_values(typed: str, message: str) -> None:
    parser = OverridesParser.create(config_loader=Cells())  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=message):
        combinations(parser.parse_overrides([typed]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "maybe"}, "sweep.on_error must be continue or stop; got 'maybe'"),
        ({"retry_failed": 3}, "sweep.retry_failed must be true or false; got 3"),
        ({"allow_mixed_code": "yes"}, "sweep.allow_mixed_code must be true or false"),
        ({"on_errors": "stop"}, "sweep has no key 'on_errors'. Did you mean 'on_error'?"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as error:
        _check_settings(OmegaConf.create({"sweep": {"on_error": "stop", **settings}}))
    assert message in str(error.value)


def test_a_preset_is_the_lists_it_names(sweep: Sweep, trainer: Trainer) -> None:
    assert sweep("sweep=cells_by_seeds", "seed=0") == 0
    assert trainer.trained == [("rnn", 0), ("lstm", 0), ("gru", 0)]
    assert yaml.safe_load(config_file("sweep", "cells_by_seeds").read_text())["params"]["seed"] == "range(5)"


def test_lists_may_stand_in_a_yaml(sweep: Sweep, trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text("defaults: [grid, _self_]\nparams: {seed: [4, 5]}\n")
    assert sweep("sweep=mine", "--config-dir", str(tmp_path)) == 0
    assert trainer.trained == [("gru", 4), ("gru", 5)]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["seed=range(0)"], "seed=range(0) names no value"),
        (["seed=1,1"], "Two jobs of the sweep are the same run"),
        (["logger=csv,none"], "Two jobs of the sweep are the same run"),
        (["+sweep.retry=true"], "sweep has no key 'retry'. Available: allow_mixed_code"),
        (["cell=rnn,lstn"], "There is no cell 'lstn'. Did you mean"),
        (["seed=0,-1"], "seed=-1: seed must be a whole number"),
        (["model.hidden_sise=3,4"], "hidden_sise"),
        (["trainer.strategy=ddp_spawn"], "Use trainer.strategy=ddp"),
        (["+trainer.num_nodes=2"], "a job of a sweep starts its processes on one machine"),
        (["hydra/launcher=local", "hydra.launcher.jobs=0"], "hydra.launcher.jobs must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_runs_nothing(
    sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str], typed: list[str], message: str
) -> None:
    assert sweep(*typed) == 2
    assert message in capsys.readouterr().err
    assert trainer.trained == []
    assert not Path("outputs").exists()


def test_a_launcher_that_would_start_a_job_twice_is_refused(
    sweep: Sweep, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    assert sweep("hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2") == 2
    assert "would start every job several times" in capsys.readouterr().err


def test_the_plan_says_what_was_asked(sweep: Sweep, trainer: Trainer) -> None:
    assert sweep("cell=rnn,gru", "data=co2,sunspots", "sweep.on_error=stop") == 0
    (plan,) = Path("outputs/sweeps").glob("*.json")
    asked = json.loads(plan.read_text())
    assert asked["command"].startswith("seqlab train -m trainer=debug")
    assert "sweep.on_error=stop" in asked["command"]
    assert {Path("outputs", job["folder"]).absolute() for job in asked["jobs"]} == {
        run.folder.absolute() for run in find_runs("outputs")
    }
    assert all("sweep" not in job["command"] and " -m " not in job["command"] for job in asked["jobs"])


def test_one_plan_a_command(sweep: Sweep, trainer: Trainer) -> None:
    assert [sweep("seed=0"), sweep("seed=0"), sweep("seed=0,1")] == [0, 0, 0]
    assert len(list(Path("outputs/co2/sweeps").glob("*.json"))) == 2


@pytest.mark.parametrize(("launcher", "extra"), [("ray", "ray"), ("slurm", "slurm"), ("submitit_local", "slurm")])
def test_a_launcher_that_is_not_installed_names_its_extra(
    sweep: Sweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, launcher: str, extra: str
) -> None:
    monkeypatch.setattr("seqlab.sweep.early.find_spec", lambda name: None)
    assert sweep(f"hydra/launcher={launcher}") == 2
    assert f"pip install 'seqlab[{extra}]'" in capsys.readouterr().err


def test_configs_composed_elsewhere_make_the_same_requests() -> None:
    asked = [(["data=co2", f"cell={cell}", f"seed={seed}"], "") for cell in ("rnn", "lru") for seed in (0, 1)]
    sent = pickle.loads(pickle.dumps([compose_config(overrides) for overrides, _ in asked[:3]]))

    requests = check_jobs(asked)

    assert check_jobs(asked, [*sent, None]) == requests
    assert len({request.folder for request in requests if isinstance(request, Request)}) == 4
