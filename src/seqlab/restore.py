"""A finished run brought back to work: its data module, task and weights, from the run folder and the data alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqlab.config import build
from seqlab.data import SequenceData, Spec
from seqlab.errors import RequestError, RunError, did_you_mean
from seqlab.runs import RECORD_FILE, Run
from seqlab.tasks import SequenceTask
from seqlab.training.checkpoints import model_weights
from seqlab.training.parts import make_task


def finished_run(folder: str) -> Run:
    """Return a run that has weights to use.

    Raises:
        RequestError: there is no run, or it never completed.
    """
    run = Run.load(folder)
    if run.status != "completed":
        raise RequestError(
            f"{folder} is {run.status}, not completed. Repeat its command first: {run.record.get('command', '')}"
        )
    return run


def data_config(run: Run, overrides: list[str]) -> dict[str, Any]:
    """Return the run's data config with ``data.key=value`` overrides.

    Raises:
        RequestError: an override is not of that form, or names no key of the data.
    """
    node = dict(run.config["data"])
    for override in overrides:
        key, equals, value = override.partition("=")
        name = key.removeprefix("data.")
        if not equals or not key.startswith("data."):
            raise RequestError(
                f"Expected data.KEY=VALUE; got {override!r}. Only the data of a finished run can be changed."
            )
        if name not in node or name == "_target_":
            raise RequestError(f"The run's data has no key {name!r}.{did_you_mean(name, set(node) - {'_target_'})}")
        try:
            parsed = OmegaConf.create(f"value: {value}")
        except OmegaConfBaseException as error:
            raise RequestError(f"{override!r} is not KEY=VALUE: {error}") from error
        node[name] = OmegaConf.to_container(parsed)["value"]  # type: ignore[index,call-overload]
    return node


def restored_data(node: Mapping[str, Any], run: Run) -> SequenceData:
    """Build a run's data module with what the run fitted (scaler, vocabulary) instead of fitting anew."""
    data = build(node, SequenceData, "data")
    data.restore({name: _artifact(run, name) for name in run.record.get("artifacts", [])})
    return data


def _artifact(run: Run, name: Any) -> str:
    """Return the text of a fitted artefact; a record may name files of its own folder and no others."""
    if not isinstance(name, str) or name != Path(name).name or name == ".." or "\\" in name:
        raise RunError(f"{run.folder / RECORD_FILE} names {name!r} as an artefact, which is no file of its own folder.")
    file = run.folder / name
    if file.is_symlink() or not file.is_file():
        raise RunError(f"{file} belongs to the run and is not there as a file; the run can't be used without it.")
    return file.read_text(encoding="utf-8")


def restored_task(run: Run, spec: Spec) -> SequenceTask:
    """Build a run's task and load the weights that validation chose.

    Raises:
        RunError: the weights don't fit; the data is another than the run's.
    """
    task = make_task(run.config, spec)
    try:
        task.model.load_state_dict(model_weights(Path(run.folder)))
    except RuntimeError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"The weights of {run.folder} don't fit this data: {error}") from error
    return task.eval()
