"""The border with Hydra: overrides become a Request of plain values. Nothing to the left of this package sees Hydra.

Lightning and torch are imported when a request is checked, not before: a sweep's own process never needs them.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from seqlab.config import add_search_path, build, check_arguments, conf_dir, factory, search_path
from seqlab.errors import RequestError, did_you_mean
from seqlab.runs.identity import identity

CONFIG_NAME = "train"
NOT_RECORDED = ("hydra", "sweep")


@dataclass(frozen=True)
class Request:
    """One run that was asked for, in plain values.

    Attributes:
        config: the resolved config, without Hydra's own part.
        choices: the option chosen in each group.
        overrides: what was typed.
        folder: where the run lives.
        fingerprint: of the data.
        hydra_files: Hydra's own files for the run folder, name to text.
        command: a command line that asks for the same.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    folder: Path
    fingerprint: str
    hydra_files: dict[str, str] = field(repr=False, default_factory=dict)
    command: str = ""


def register_resolvers() -> None:
    """Give Hydra the names that conf/ uses: ``${seqlab.choice:data}`` and ``${seqlab.run_folder:}``."""
    OmegaConf.register_new_resolver(
        "seqlab.choice", lambda group, *, _root_: _choices(_root_).get(group, group), replace=True
    )
    OmegaConf.register_new_resolver("seqlab.run_folder", lambda *, _root_: _folder(_root_), replace=True)


def compose_config(overrides: Sequence[str], config_dirs: Sequence[str] = ()) -> DictConfig:
    """Compose conf/ (and further folders) with overrides; Hydra's own part is included.

    Raises:
        RequestError: a folder of configs does not exist.
        hydra.errors.HydraException: Hydra's own complaint about the overrides.
    """
    check_choices(overrides)
    for folder in config_dirs:
        add_search_path(folder)
    extra = ",".join(_path_entry(p) for p in search_path()[1:])
    with _composing():
        searched = [*overrides, f"hydra.searchpath=[{extra}]"] if extra else list(overrides)
        return hydra_compose(CONFIG_NAME, overrides=searched, return_hydra_config=True)


def check_choices(overrides: Sequence[str]) -> None:
    """Refuse ``cell=7``, ``cell=[1, [2]]`` and the like, on which Hydra stumbles without a word of its own.

    Raises:
        RequestError: a group is given anything but a name, a list of names, or null.
    """
    for override in overrides:
        group, _, value = override.partition("=")
        if not value or not (conf_dir() / group.lstrip("+")).is_dir():
            continue
        with suppress(HydraException):  # which Hydra words well
            parsed = OverridesParser.create().parse_override(override)
            given = "" if parsed.is_sweep_override() else parsed.value()
            names = given if isinstance(given, list) else [given or ""]
            if not all(isinstance(name, str) for name in names):
                raise RequestError(f"{group}=NAME takes the name of an option; got {value}.")


def compose_request(overrides: Sequence[str], config_dirs: Sequence[str] = ()) -> Request:
    """Compose conf/ with the command line's overrides into a checked Request.

    Raises:
        RequestError: an option, key or value is wrong.
        hydra.errors.HydraException: Hydra's own complaint about the overrides.
    """
    return make_request(compose_config(overrides, config_dirs), list(overrides))


def make_request(
    full: DictConfig, overrides: list[str], folder: Path | None = None, fingerprints: dict[str, str] | None = None
) -> Request:
    """Turn a composed config (Hydra's part included) into a checked Request.

    Args:
        full: the composed config.
        overrides: what was typed.
        folder: where the run lives; None works it out.
        fingerprints: those of data already read, by the data's config: many requests for the same large files then
            read them once.
    """
    hydra_part = full.hydra
    with open_dict(full):
        choices = _choices(full)
        config = _plain_config(full)
        check_request(config)
        check_trainer(config["trainer"])
        check_loggers(config.get("logger"))
        check_diagnostics(config.get("diagnostics"))
        fingerprint = _fingerprint(config["data"], {} if fingerprints is None else fingerprints)
        where = folder or Path(config["output_dir"]) / config["name"] / _folder_name(config, choices, fingerprint)
    return Request(
        config=config,
        choices=choices,
        overrides=overrides,
        folder=Path(where),
        fingerprint=fingerprint,
        hydra_files={
            "config.yaml": OmegaConf.to_yaml(OmegaConf.create(config)),
            "hydra.yaml": OmegaConf.to_yaml(
                OmegaConf.create({"hydra": OmegaConf.to_container(hydra_part, resolve=False)})
            ),
            "overrides.yaml": OmegaConf.to_yaml(OmegaConf.create(overrides)),
        },
        command=shlex.join(["seqlab", "train", *overrides]),
    )


def recorded_request(record: Mapping[str, Any], output_dir: Path, data: Mapping[str, Any], command: str) -> Request:
    """Turn a run's record into a checked Request for the same work below another folder.

    Args:
        record: run.json. It may come from elsewhere: all in it is checked like a command line, and of the loggers only
            the one is kept that writes inside the run folder.
        output_dir: where the new run goes.
        data: the data's config, as recorded or with another path.
        command: a command line that asks for the same.

    Raises:
        RequestError: the record asks for what no command line may ask for, or the data is not there.
    """
    config = {
        **record["config"],
        "data": dict(data),
        "output_dir": str(output_dir),
        "logger": {"csv": True},
        "overwrite": False,
    }
    check_request(config)
    check_trainer(config["trainer"])
    check_diagnostics(config.get("diagnostics"))
    choices = {str(k): str(v) for k, v in dict(record.get("choices") or {}).items()}
    fingerprint = _fingerprint(config["data"], {})
    overrides = [str(o) for o in record.get("overrides") or []]
    return Request(
        config=config,
        choices=choices,
        overrides=overrides,
        folder=output_dir / config["name"] / _folder_name(config, choices, fingerprint),
        fingerprint=fingerprint,
        hydra_files={"config.yaml": OmegaConf.to_yaml(OmegaConf.create(config))},
        command=command,
    )


def check_request(config: Mapping[str, Any]) -> None:
    """Check what no constructor checks: the keys of the top level and of trainer, and seed, name and monitor.

    Raises:
        RequestError: one is wrong; the message says which and what would be right.
    """
    known = _top_keys() - {"defaults", "hydra"}
    known |= {"data", "cell", "model", "task", "optimizer", "scheduler", "trainer", "logger", "sweep", "diagnostics"}
    unknown = [str(key) for key in config if key not in known]
    if unknown:
        raise RequestError(f"Unknown key {unknown[0]!r}.{did_you_mean(unknown[0], known)}")
    seed = config["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise RequestError(f"seed must be a whole number from 0 to {2**32 - 1}; got {seed!r}.")
    name = config["name"]
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w.+=-]*", name):
        raise RequestError(f"name must be one folder name of letters, digits and . _ - + =; got {name!r}.")
    if not isinstance(config["output_dir"], str) or not config["output_dir"]:
        raise RequestError(f"output_dir must be a folder; got {config['output_dir']!r}.")
    if not isinstance(config.get("ckpt"), str | None):
        raise RequestError(f"ckpt must be a checkpoint or run folder, or null; got {config['ckpt']!r}.")
    for group in ("data", "cell", "model", "task", "optimizer", "trainer"):
        if not isinstance(config.get(group), Mapping):
            raise RequestError(f"{group} must be chosen ({group}=NAME); got {config.get(group)!r}.")


@functools.cache
def _top_keys() -> frozenset[str]:
    return frozenset(str(key) for key in OmegaConf.load(conf_dir() / f"{CONFIG_NAME}.yaml"))


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse trainer keys that neither Lightning's Trainer nor seqlab knows, and strategies that spoil the record."""
    strategy = str(trainer.get("strategy", "auto"))
    if strategy.startswith(("ddp_spawn", "ddp_fork", "ddp_notebook")):
        raise RequestError(
            f"trainer.strategy={strategy} trains in processes that keep the count of steps and epochs to themselves,"
            " so that the record would be wrong. Use trainer.strategy=ddp."
        )
    from lightning import Trainer

    from seqlab.training.trainer import OWN_KEYS, settings

    check_arguments("trainer", Trainer.__init__, {k: v for k, v in trainer.items() if k not in OWN_KEYS})
    settings(trainer)


def check_loggers(loggers: Mapping[str, Any] | None) -> None:
    """Refuse trackers whose package is not there."""
    if loggers and set(loggers) - {"csv"}:
        from seqlab.training.trackers import check_trackers

        check_trackers(loggers)


def check_diagnostics(node: Mapping[str, Any] | None) -> None:
    """Refuse diagnostics that there are not, and options that they don't have."""
    if node is not None:
        from seqlab.training.gradient_flow import GradientFlow

        factory(node, GradientFlow, "diagnostics")


def _fingerprint(data: Mapping[str, Any], known: dict[str, str]) -> str:
    key = json.dumps(data, sort_keys=True, default=str)
    if key not in known:
        from seqlab.data import SequenceData

        known[key] = build(data, SequenceData, "data").fingerprint()
    return known[key]


def _plain_config(full: DictConfig) -> dict[str, Any]:
    """Resolve all but Hydra's own part, which may refer to what only a running job has."""
    plain: dict[str, Any] = {}
    for key in full:
        if key not in NOT_RECORDED:
            value = full[key]
            plain[str(key)] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return plain


def _choices(root: DictConfig) -> dict[str, str]:
    hydra_part = root.get("hydra") if "hydra" in root else HydraConfig.get()
    chosen = OmegaConf.to_container(hydra_part.runtime.choices) if hydra_part is not None else {}
    assert isinstance(chosen, dict)
    return {
        str(k).partition("@")[0]: str(v) for k, v in chosen.items() if v is not None and not str(k).startswith("hydra/")
    }


def _folder(root: DictConfig) -> str:
    """Return ``label-hash/seed-n`` for a composed config."""
    config = _plain_config(root)
    check_request(config)
    return _folder_name(config, _choices(root), _fingerprint(config["data"], {}))


def _folder_name(config: Mapping[str, Any], choices: Mapping[str, str], fingerprint: str) -> str:
    """Return ``label-hash/seed-n``; of ``cell=mine/gru`` the label is ``mine_gru``."""
    label = re.sub(r"[^\w.+=-]+", "_", str(choices.get("cell", "cell"))).strip("._") or "cell"
    return f"{label}-{identity(config, fingerprint)}/seed-{config['seed']}"


def _path_entry(path: Path) -> str:
    return f"'file://{path}'" if "'" not in str(path) else f'"file://{path}"'


@contextmanager
def _composing() -> Iterator[None]:
    """Compose beside a Hydra that may already be running (a sweep, a notebook), and leave it as it was."""
    register_resolvers()
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="train"):
            yield
    finally:
        GlobalHydra.instance().hydra = outer
