"""From the trainer group to a Lightning Trainer with the callbacks of a run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler

from seqlab.config import build
from seqlab.errors import RequestError, did_you_mean
from seqlab.runs import METRICS_FILE

if TYPE_CHECKING:
    from seqlab.tasks import SequenceTask

#: Keys of the trainer group that are seqlab's; all others are Lightning's own arguments.
OWN_KEYS = frozenset({"early_stopping", "checkpoint", "on_nan", "find_lr"})
#: Lightning's arguments that seqlab sets itself.
SET_HERE = frozenset({"logger", "callbacks", "default_root_dir", "enable_checkpointing", "use_distributed_sampler"})


def process_rank() -> int:
    """Return this process's rank; 0 where there is only one."""
    return int(getattr(rank_zero_only, "rank", 0) or 0)


@dataclass(frozen=True)
class Settings:
    """The trainer keys that are seqlab's own, checked."""

    patience: int | None
    min_delta: float
    best: bool
    every_n_steps: int | None
    every_n_minutes: float | None
    min_seconds: float
    skip_nan: int
    find_lr: bool


def settings(trainer: Mapping[str, Any]) -> Settings:
    """Read seqlab's own trainer keys.

    Raises:
        RequestError: a key is unknown or a value out of range.
    """
    for key in SET_HERE & set(trainer):
        raise RequestError(
            f"trainer.{key} is set by seqlab itself; leave it out (see logger=, trainer.checkpoint and output_dir)."
        )
    stop = _section(trainer, "early_stopping", {"patience": None, "min_delta": 0.0})
    save = _section(
        trainer, "checkpoint", {"best": True, "every_n_steps": None, "every_n_minutes": None, "min_seconds": 1.0}
    )
    for name, value, least in (
        ("early_stopping.patience", stop["patience"], 1),
        ("checkpoint.every_n_steps", save["every_n_steps"], 1),
        ("checkpoint.every_n_minutes", save["every_n_minutes"], 0),
        ("checkpoint.min_seconds", save["min_seconds"], 0),
        ("max_epochs", trainer.get("max_epochs"), -1),
        ("accumulate_grad_batches", trainer.get("accumulate_grad_batches"), 1),
        ("gradient_clip_val", trainer.get("gradient_clip_val"), 0),
    ):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= least):
            raise RequestError(f"trainer.{name} must be a number of at least {least}, or null; got {value!r}.")
    return Settings(
        stop["patience"],
        stop["min_delta"],
        save["best"],
        save["every_n_steps"],
        save["every_n_minutes"],
        save["min_seconds"],
        _skipped(trainer.get("on_nan", "stop")),
        bool(trainer.get("find_lr", False)),
    )


def _section(trainer: Mapping[str, Any], name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    given = trainer.get(name) or {}
    if not isinstance(given, Mapping):
        raise RequestError(f"trainer.{name} must be a mapping with {', '.join(defaults)}; got {given!r}.")
    for key in given:
        if key not in defaults:
            raise RequestError(f"trainer.{name} has no key {key!r}.{did_you_mean(str(key), defaults)}")
    return {**defaults, **given}


def _skipped(on_nan: Any) -> int:
    """Return how many steps with a loss that is not finite may be left out."""
    if on_nan == "stop":
        return 0
    word, _, number = str(on_nan).partition("_")
    if word != "skip" or not number.isdigit():
        raise RequestError(
            f"trainer.on_nan must be stop or skip_N (skip_10 leaves out at most ten steps); got {on_nan!r}."
        )
    return int(number)


def make_loggers(node: Mapping[str, Any] | None, folder: Path, at_step: int | None) -> list[Logger]:
    """Return the loggers of a run, all writing below its folder; trackers (``trackers.py``) are left out.

    Args:
        node: the logger group.
        folder: the run's.
        at_step: optimiser steps at the checkpoint that the run goes on from; None for a fresh one.
    """
    from seqlab.training.loggers import MetricsFile
    from seqlab.training.trackers import is_tracker

    loggers: list[Logger] = []
    for name, value in (node or {}).items():
        if name == "csv":
            if value:
                loggers.append(MetricsFile(folder / METRICS_FILE))
        elif is_tracker(value):
            continue
        elif isinstance(value, Mapping) and value.get("_target_", "").endswith(".TensorBoardLogger"):
            extra = {"purge_step": at_step} if at_step is not None else {}
            given = {"save_dir": str(folder), "name": "tensorboard", "version": "", **extra}
            loggers.append(build(value, TensorBoardLogger, f"logger.{name}", **given))
        elif isinstance(value, Mapping):
            given = {"save_dir": str(folder)} if "save_dir" not in value else {}
            loggers.append(build(value, Logger, f"logger.{name}", **given))
        else:
            raise RequestError(f"logger.{name} must be a mapping with a _target_ (or csv: true); got {value!r}.")
    return loggers


def total_steps(node: Mapping[str, Any], batches: int) -> int:
    """Return the optimiser steps of a whole run.

    Args:
        node: the trainer group.
        batches: of one epoch.
    """
    limit = node.get("limit_train_batches")
    if isinstance(limit, int) and not isinstance(limit, bool):
        batches = min(batches, limit)
    elif isinstance(limit, float):
        batches = int(batches * limit)
    epochs, most = node.get("max_epochs"), node.get("max_steps") or -1
    steps = -(-batches // (node.get("accumulate_grad_batches") or 1)) * (1000 if epochs in (None, -1) else epochs)
    if most > 0 and epochs in (None, -1):
        return int(most)
    return max(1, min(steps, most) if most > 0 else steps)


def make_trainer(
    node: Mapping[str, Any], task: SequenceTask, folder: Path, loggers: list[Logger], callbacks: list[Callback]
) -> Trainer:
    """Return the Lightning Trainer of a run.

    Args:
        node: the trainer group.
        task: whose monitored score chooses the best checkpoint.
        folder: the run's.
        loggers: where the epochs' scores go.
        callbacks: the run's own, ahead of early stopping and the best checkpoint.
    """
    from seqlab.training.checkpoints import BEST, FOLDER, WholeCheckpointIO

    own = settings(node)
    _check_devices(node)
    mode = "max" if task.higher_is_better else "min"
    if own.patience is not None:
        stopping = EarlyStopping(task.monitor, own.min_delta, own.patience, mode=mode, check_finite=False)
        callbacks = [*callbacks, stopping]
    if own.best:
        best = ModelCheckpoint(
            folder / FOLDER,
            BEST.removesuffix(".ckpt"),
            monitor=task.monitor,
            mode=mode,
            save_top_k=1,
            save_weights_only=True,
            enable_version_counter=False,
        )
        callbacks = [best, *callbacks]
    arguments = {k: v for k, v in node.items() if k not in OWN_KEYS}
    if isinstance(arguments.get("max_time"), Mapping):
        arguments["max_time"] = datetime.timedelta(**arguments["max_time"])
    arguments.setdefault("num_sanity_val_steps", 0)  # it would advance the random states
    arguments["profiler"] = arguments.get("profiler") or _Unprofiled()
    plugins: list[Any] = [WholeCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # a requeued job finds its own checkpoint
    try:
        trainer = Trainer(
            **{**arguments, "enable_progress_bar": False, "enable_model_summary": False},
            callbacks=callbacks,
            logger=loggers or False,
            default_root_dir=folder,
            use_distributed_sampler=False,
            plugins=plugins,
        )
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise RequestError(f"trainer: {error}") from error
    _pass_over_empty_hooks(trainer.callbacks)  # type: ignore[attr-defined]
    precision = trainer.precision_plugin
    if isinstance(precision, MixedPrecision) and precision.scaler is None:
        # Lightning refuses to clip for a fused optimizer, which matters where gradients are scaled: not in bfloat16.
        precision.clip_gradients = MethodType(Precision.clip_gradients, precision)  # type: ignore[method-assign]
    return trainer


def _pass_over_empty_hooks(callbacks: list[Callback]) -> None:
    """Spare the steps what does nothing: Lightning passes over a hook that is no function, and calls an empty one.

    To call one costs it some microseconds, thirty times a step.
    """
    for callback in callbacks:
        for name in _FREQUENT:
            if getattr(type(callback), name) is getattr(Callback, name):
                setattr(callback, name, None)


#: Callbacks' hooks of every step or batch.
_FREQUENT = (
    *("on_train_batch_start", "on_train_batch_end", "on_validation_batch_start", "on_validation_batch_end"),
    *("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step"),
)


class _Unprofiled(PassThroughProfiler):
    """Lightning enters its profiler around every hook, some fifty times a step: here that costs nothing."""

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        """Return what does nothing, the same each time."""
        return _NOTHING


_NOTHING = nullcontext()


def _check_devices(node: Mapping[str, Any]) -> None:
    """Say what a strategy or accelerator needs that this machine lacks."""
    gpus = torch.cuda.device_count()
    if str(node.get("strategy", "")).startswith("fsdp") and gpus < 2:
        raise RequestError(
            f"trainer=fsdp shards the parameters over GPUs and needs at least two CUDA devices; here: {gpus}."
            " Use trainer=gpu for one, trainer=cpu for none, or trainer=ddp for several processes."
        )
    if node.get("accelerator") in ("gpu", "cuda") and not (gpus or torch.backends.mps.is_available()):
        raise RequestError(
            f"trainer.accelerator={node['accelerator']} needs a GPU and torch sees none here. Use trainer=cpu;"
            " `seqlab doctor` shows devices and versions."
        )
