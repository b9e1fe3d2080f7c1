"""The registry and the one door from config to object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml

from seqlab import config
from seqlab.errors import RequestError


class Thing:
    def __init__(
        self,
        size: int,
        *,
        rate: float = 0.1,
        kind: Literal["a", "b"] = "a",
        names: Sequence[str] = (),
        limit: int | None = None,
        on: bool = False,
    ) -> None:
        if size < 0:
            raise ValueError(f"size must not be negative; got {size}.")
        self.size, self.rate, self.kind, self.names, self.limit, self.on = size, rate, kind, names, limit, on


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> str:
    package = __name__.partition(".")[0]
    monkeypatch.setenv("SEQLAB_TRUST", package)
    return f"{__name__}.Thing"


def test_options_are_the_yaml_files_of_a_group() -> None:
    assert {"adam", "adamw", "rmsprop", "sgd"} <= set(config.options("optimizer"))
    with pytest.raises(RequestError, match=r"no config group 'optimiser'.*Did you mean 'optimizer'"):
        config.options("optimiser")


def test_unknown_option_names_the_nearest() -> None:
    with pytest.raises(RequestError, match="Did you mean 'adamw'"):
        config.load("optimizer", "admaw")


def test_further_config_folders_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text(
        "# Mine | Me 2026 | nowhere\n_target_: torch.optim.SGD\nlr: 1.0\n"
    )
    monkeypatch.setenv("SEQLAB_CONFIG_PATH", str(tmp_path))
    assert "mine" in config.options("optimizer")
    assert config.load("optimizer", "mine")["lr"] == 1.0
    assert config.header("optimizer", "mine") == ["Mine", "Me 2026", "nowhere"]


def test_build_gives_plain_and_run_time_arguments(target: str) -> None:
    thing = config.build({"_target_": target, "rate": 1, "names": ["x"]}, Thing, "thing", size=3)
    assert (thing.size, thing.rate, list(thing.names)) == (3, 1, ["x"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rte": 1}, r"thing has no argument 'rte'. Did you mean 'rate'"),
        ({"rate": "fast"}, r"thing.rate must be a number; got 'fast'"),
        ({"rate": True}, r"thing.rate must be a number; got True"),
        ({"rate": float("nan")}, r"thing.rate must be a number; got nan"),
        ({"kind": "c"}, r"thing.kind must be one of a, b; got 'c'"),
        ({"names": "x"}, r"thing.names must be a list \(each text\); got 'x'"),
        ({"names": [1]}, r"thing.names must be a list"),
        ({"limit": 1.5}, r"thing.limit must be a whole number, or null; got 1.5"),
        ({"on": 1}, r"thing.on must be true or false; got 1"),
        ({"_args_": []}, r"thing._args_ is not allowed"),
        ({"names": [{"_target_": "os.system"}]}, r"_target_ is not allowed"),
        ({"_partial_": True}, r"thing._partial_ is not allowed"),
    ],
)
def test_wrong_arguments_are_named(target: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        config.build({"_target_": target, **arguments}, Thing, "thing", size=1)


def test_a_constructors_complaint_says_where(target: str) -> None:
    with pytest.raises(RequestError, match="thing: size must not be negative; got -1"):
        config.build({"_target_": target}, Thing, "thing", size=-1)


@pytest.mark.parametrize(
    "attack",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "torch.utils.collect_env.run",
        "torch.hub.load",
        "torch.load",
        "torch.os.system",
        "torch.serialization.os.system",
        "seqlab.config.importlib.import_module",
        "lightning.Trainer",
    ],
)
def test_only_classes_of_the_expected_kind_are_built(attack: str) -> None:
    with pytest.raises(RequestError, match="_target_"):
        config.build({"_target_": attack}, torch.optim.Optimizer, "optimizer", params=[])


def test_a_class_of_an_untrusted_package_reached_through_an_allowed_module_is_refused() -> None:
    with pytest.raises(RequestError, match="may not name"):
        config.resolve_class("seqlab.config.Path", object)


def test_missing_target_module_is_a_request_error() -> None:
    with pytest.raises(RequestError, match=r"seqlab\.cells\.nothing\.Cell"):
        config.resolve_class("seqlab.cells.nothing.Cell", object)


@pytest.mark.parametrize("file", sorted(config.conf_dir().rglob("*.yaml")), ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_yaml_parses_and_says_what_it_is(file: Path) -> None:
    lines = file.read_text().splitlines()
    yaml.safe_load("\n".join(lines))
    first = next(line for line in lines if not line.startswith("# @package"))
    assert first.startswith("# "), "the first line says what the option is"
    assert len(first) > 10
