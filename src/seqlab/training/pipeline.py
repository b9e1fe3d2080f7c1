"""A run from request to record: the table of contents of training."""

from __future__ import annotations

import contextlib
import datetime
import logging
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from seqlab.data import Batches, Loader, SequenceData
from seqlab.errors import Refused, RequestError, SeqlabError
from seqlab.runs import Run
from seqlab.runs.environment import environment, peak_memory_mb
from seqlab.runs.files import remove_leftovers, replacing, write_text
from seqlab.runs.lock import owning
from seqlab.runs.record import FORMAT, METRICS_FILE, RECORD_FILE
from seqlab.tasks import SequenceTask
from seqlab.training import screen
from seqlab.training.budget import with_solved_width
from seqlab.training.checkpoints import BEST, FOLDER, LAST, latest, model_weights
from seqlab.training.find_lr import use_found_rate
from seqlab.training.folder import HYDRA_FOLDER, completed_run, make_folder, withdraw, write_hydra_files
from seqlab.training.gradient_flow import make_diagnostics
from seqlab.training.guards import Guard, explained, house_errors
from seqlab.training.loggers import MetricsFile
from seqlab.training.parts import make_data, make_task
from seqlab.training.progress import Bar, StepTimer
from seqlab.training.request import Request
from seqlab.training.resume import Resume
from seqlab.training.scoring import Scores, metric_identities, plain_loader, score
from seqlab.training.surroundings import (
    imports_uncollected,
    kept_switches,
    log_file,
    memory_kept,
    orderly_signals,
    quiet,
    steps_end_first,
)
from seqlab.training.trackers import Tracker, followed
from seqlab.training.trainer import make_loggers, make_trainer, process_rank, settings, total_steps

log = logging.getLogger("seqlab")
PREDICTIONS_FILE = "predictions.npz"
#: Values of one split's predictions that are worth keeping.
PREDICTIONS_LIMIT = 5_000_000


def run_request(request: Request) -> Run:
    """Train what was asked for and return its record; a completed run is returned as it is.

    Raises:
        RequestError: the request is wrong; nothing was written.
        RunError: the work failed; the record says so.
    """
    if (done := completed_run(request)) is not None:
        screen.show_run(done, fresh=False)
        if lacking := done.lacks(request.config):
            screen.say(f"It was {lacking}.")
        return done
    with quiet(), kept_switches(), imports_uncollected(), memory_kept(), orderly_signals(), house_errors():
        data = make_data(request.config)
        config, near = with_solved_width(request.config, data.spec)
        request = replace(request, config=config)
        if near:
            screen.say(f"{request.choices.get('cell')} with {near}")
        lightning.seed_everything(request.config["seed"], workers=False, verbose=False)
        task = make_task(request.config, data.spec)
        task.configure_optimizers()  # an optimiser that can't be built is a wrong request, not a failed run
        _warm_start(task, request.config.get("ckpt"))
        if process_rank() != 0:
            return _work(_fresh_run(request, task, data), request, task, data)
        make_folder(request)
        with owning(request.folder), log_file(request.folder):
            remove_leftovers(request.folder, request.folder / FOLDER, request.folder / HYDRA_FOLDER)
            if (done := completed_run(request)) is not None:
                return done
            return _recorded(_fresh_run(request, task, data), request, task, data)


def _work(run: Run, request: Request, task: SequenceTask, data: SequenceData, trackers: Sequence[Tracker] = ()) -> Run:
    """Fit, choose the best checkpoint on validation, and score every split once."""
    began = time.monotonic()
    node, folder = request.config["trainer"], request.folder
    point = latest(folder)
    if point is None:
        (folder / METRICS_FILE).unlink(missing_ok=True)
    loggers = make_loggers(request.config.get("logger"), folder, point[1]["global_step"] if point else None)
    own = settings(node)
    csv = next((logger for logger in loggers if isinstance(logger, MetricsFile)), None)
    resume = Resume(folder, csv, own.every_n_steps, own.every_n_minutes, own.min_seconds)
    timer = StepTimer()
    diagnostics = make_diagnostics(request.config, data, folder)
    callbacks = [Guard(folder, own.skip_nan), timer, *_bar(request, task, node), *diagnostics, resume]
    trainer = make_trainer(node, task, folder, [*loggers, *trackers], callbacks)
    rank, world = trainer.global_rank, trainer.world_size
    loader = _train_loader(request, data, rank, world)
    task.total_steps = total_steps(node, len(loader))
    if own.find_lr:
        run = run.updated(found_lr=use_found_rate(task, request.config, folder, _train_loader(request, data, 0, 1)))
    screen.show_start(run, task, data, node, resumed=point[1] if point else None)
    val_loader = plain_loader(data, "val", rank, world, data.num_workers)
    with steps_end_first():
        trainer.fit(task, loader, val_loader, ckpt_path=str(point[0]) if point else None, weights_only=True)
    fitted = resume.elapsed
    _keep_last(resume, folder, trainer)
    _load_best(task, folder, trainer)
    scores = {split: _score(task, data, split, request, trainer) for split in ("train", "val", "test")}
    return _finished(
        run, task, trainer, scores, timer, {"fit": fitted, "total": time.monotonic() - began + resume.elapsed_before}
    )


def _score(task: SequenceTask, data: SequenceData, split: Any, request: Request, trainer: Trainer) -> Scores:
    keep = split == "test" and request.config.get("save_predictions", True)
    limit = request.config["trainer"].get(f"limit_{split}_batches")
    return score(
        task,
        data,
        split,
        baselines=split != "train",
        keep=keep,
        limit=limit if isinstance(limit, int) and not isinstance(limit, bool) else None,
        context=trainer.precision_plugin.forward_context,
    )


def _train_loader(request: Request, data: SequenceData, rank: int, world: int) -> Loader:
    examples = data.examples("train")
    batches = Batches(
        len(examples),
        data.batch_size,
        seed=request.config["seed"],
        shuffle=True,
        lengths=examples.lengths,
        weights=data.sampling_weights(),
        rank=rank,
        world=world,
    )
    return Loader(
        examples, batches, data.num_workers, pin_memory=request.config["trainer"].get("accelerator") in ("gpu", "cuda")
    )


def _keep_last(resume: Resume, folder: Path, trainer: Trainer) -> None:
    """Write the final state as last.ckpt, and as best.ckpt where validation never came to choose one."""
    if resume.restored is None:  # else the run was taken up at its very end, and the file stands
        trainer.save_checkpoint(folder / FOLDER / LAST)
    if not (folder / FOLDER / BEST).exists():
        trainer.save_checkpoint(folder / FOLDER / BEST, weights_only=True)


def _load_best(task: SequenceTask, folder: Path, trainer: Trainer) -> None:
    """Take the checkpoint that validation chose; without one, the last weights stand."""
    best = folder / FOLDER / BEST
    trainer.strategy.barrier("best checkpoint")
    if best.exists():
        task.model.load_state_dict(model_weights(best))


def _fresh_run(request: Request, task: SequenceTask, data: SequenceData) -> Run:
    return _asked(request).updated(
        monitor=task.monitor,
        metric_info=dict(metric_identities(task)),
        parameters=task.model.num_parameters(embedding=False),
        parameters_with_embedding=task.model.num_parameters(embedding=True),
        state_size=task.model.state_size,
        class_names=list(data.spec.class_names),
        target_names=list(data.spec.target_names),
        data_notes=data.notes(),
        artifacts=sorted(data.artifacts()),
    )


def _asked(request: Request) -> Run:
    """Return the part of a record that is known before anything is built."""
    label, _, short_hash = request.folder.parent.name.rpartition("-")
    return Run(
        request.folder,
        {
            "format": FORMAT,
            "status": "running",
            "error": None,
            "name": request.config["name"],
            "label": label,
            "hash": short_hash,
            "seed": request.config["seed"],
            "choices": request.choices,
            "config": request.config,
            "overrides": request.overrides,
            "metrics": {},
            "baselines": {},
            "monitor": request.config["task"].get("monitor"),
            "data_fingerprint": request.fingerprint,
            "environment": environment(),
            "command": request.command,
            "started": _now(),
        },
    )


def _finished(
    run: Run,
    task: SequenceTask,
    trainer: Trainer,
    scores: dict[str, Scores],
    timer: StepTimer,
    seconds: dict[str, float],
) -> Run:
    """Return the completed record; written by the caller, after the files it speaks of."""
    chosen = next((c for c in trainer.checkpoint_callbacks if getattr(c, "best_model_path", "")), None)
    test = scores["test"]
    if test.predictions is not None and trainer.is_global_zero:
        _save_predictions(run.folder / PREDICTIONS_FILE, test.predictions)
    best_state = torch.load(run.folder / FOLDER / BEST, weights_only=True) if chosen else {}
    return run.updated(
        status="completed",
        metrics={k: v for s in scores.values() for k, v in s.metrics.items()},
        baselines={k: v for s in scores.values() for k, v in s.baselines.items()},
        confusion={split: s.confusion for split, s in scores.items() if s.confusion},
        best_epoch=best_state.get("epoch"),
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        seconds={**seconds, "step": timer.median},
        peak_memory_mb=round(peak_memory_mb(), 1),
        finished=_now(),
    )


def _save_predictions(file: Path, predictions: dict[str, Any]) -> None:
    if sum(p.size for p in predictions.values()) > PREDICTIONS_LIMIT:
        log.warning(
            "The test predictions hold over %d values and were not kept; `seqlab predict` makes them.",
            PREDICTIONS_LIMIT,
        )
        return
    with replacing(file) as stream:
        np.savez_compressed(stream, **predictions)


def _recorded(run: Run, request: Request, task: SequenceTask, data: SequenceData) -> Run:
    """Do the work with run.json telling the truth before, after, and when it fails."""
    run.save()
    write_hydra_files(request)
    for name, text in data.artifacts().items():
        write_text(run.folder / name, text)
    try:
        with followed(run) as trackers:
            done = _work(run, request, task, data, trackers)
    except (KeyboardInterrupt, SystemExit) as stop:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning leaves Ctrl-C ignored
        terminated = isinstance(stop, SIGTERMException)
        run.updated(status="interrupted", error="SIGTERM" if terminated else "Ctrl-C", finished=_now()).save()
        if terminated:
            screen.say("Terminated. The same command goes on from the last checkpoint.")
        raise (SystemExit(128 + signal.SIGTERM) if terminated else KeyboardInterrupt) from None
    except RequestError:
        withdraw(run)  # the first step was never taken
        raise
    except BaseException as error:
        told = explained(error)
        with contextlib.suppress(OSError):  # the folder may be gone or the disk full: the record stays as it was
            status = "interrupted" if isinstance(told, Refused) else "failed"
            run.updated(status=status, error=f"{type(told).__name__}: {told}", finished=_now()).save()
        log.exception("The run failed.")
        if told is not error:
            raise told from error
        raise
    done.save()
    for tracker in trackers:
        tracker.close(done)
    screen.show_run(done, fresh=True)
    return done


def record_failure(request: Request, error: str) -> None:
    """Record a run that failed before or without writing so itself: its process was killed, or its parts don't fit.

    Raises:
        Held: another living process works on it.
    """
    make_folder(request)
    with owning(request.folder):
        run = Run.load(request.folder) if (request.folder / RECORD_FILE).exists() else _asked(request)
        if run.status == "running":
            run.updated(status="failed", error=error, finished=_now()).save()


def _warm_start(task: SequenceTask, ckpt: str | None) -> None:
    if ckpt is None:
        return
    try:
        task.model.load_state_dict(model_weights(Path(ckpt)))
    except RuntimeError as error:
        if isinstance(error, SeqlabError):
            raise
        raise RequestError(f"ckpt={ckpt} does not fit this model: {error}") from error


def _bar(request: Request, task: SequenceTask, node: Any) -> list[Bar]:
    if not node.get("enable_progress_bar", True) or not screen.console.is_terminal:
        return []
    return [Bar(f"{request.choices.get('cell', 'model')} seed {request.config['seed']}", task.monitor, screen.console)]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
