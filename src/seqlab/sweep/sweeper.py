"""Hydra's sweeper for grids: it plans, skips what is done, launches the rest, and sums up."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from seqlab.errors import RequestError, RunError, did_you_mean
from seqlab.runs.lock import Held
from seqlab.sweep import summary
from seqlab.sweep.feasible import check_launcher
from seqlab.sweep.launcher import LocalJobs
from seqlab.sweep.plan import Job, plan_jobs, write_plan
from seqlab.sweep.state import Status, Watched
from seqlab.sweep.watch import Watch
from seqlab.sweep.worker import SweepJob

#: Seconds between two looks at jobs that other processes work on.
WAIT_SECONDS = 1.0
SETTINGS = ("on_error", "retry_failed", "allow_mixed_code", "params")


class GridSweeper(Sweeper):
    """Runs every combination of listed values once, however often it is killed and by however many processes.

    Args:
        params: lists of values from a preset, key to list; those of the command line go before them.
        on_error: "continue", or "stop" to start no further job after a failure.
        retry_failed: whether runs that failed earlier are started over.
        allow_mixed_code: whether the table at the end may hold runs made by different code.
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        on_error: str = "continue",
        retry_failed: bool = True,
        allow_mixed_code: bool = False,
    ) -> None:
        self.config: DictConfig
        self.params = _plain(params or {})
        self.on_error, self.retry_failed, self.allow_mixed_code = on_error, retry_failed, allow_mixed_code
        self.console = Console(highlight=False)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to each sweeper. The jobs' function is a sweep's own."""
        _check_settings(config)
        self.context, self.config, self.since = hydra_context, config, time.time()

    def sweep(self, arguments: list[str]) -> list[Job]:
        """Run the sweep.

        Raises:
            RequestError: what was asked for can't be planned; nothing was run.
            RunError: some jobs did not complete.
        """
        code = summary.present_code()
        jobs = plan_jobs(self.context, arguments, self.params, aside=self._has_server())
        launcher = self._launcher(jobs)
        check_launcher(launcher, self.config, jobs)
        again: list[Status] = ["failed"] if self.retry_failed else []
        if self.config.overwrite:
            again += ["completed", "failed"]
        watched = [Watched(job.folder, self.since, again) for job in jobs]
        plan = write_plan(jobs, arguments, code)
        summary.show_start(self.console, jobs, watched, plan, code, launcher)
        with Watch(jobs, watched, self.console, live=not isinstance(launcher, BasicLauncher)) as watch:
            left = self._run(launcher, jobs, watched, watch)
        states = [w.state for w in watched]
        summary.show_end(self.console, jobs, states, left, self.allow_mixed_code, launcher)
        completed = sum(state.status == "completed" for state in states)
        if completed < len(jobs):
            raise RunError(
                f"{len(jobs) - completed} of {len(jobs)} runs did not complete. The same command goes on with them."
            )
        return jobs

    def _has_server(self) -> bool:
        """Return whether jobs can be planned in processes that have torch imported, and this one has not."""
        return issubclass(_class(self.config.hydra.launcher), LocalJobs) and "torch" not in sys.modules

    def _launcher(self, jobs: Sequence[Job]) -> Launcher:
        stop_at = tuple(job.folder for job in jobs) if self.on_error == "stop" else ()
        task = SweepJob(self.since, stop_at, (platform.node(), os.getpid()))
        return Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=task, config=self.config
        )

    def _run(self, launcher: Launcher, jobs: Sequence[Job], watched: Sequence[Watched], watch: Watch) -> dict[int, str]:
        """Launch what is not done, wait for what others work on, and return why jobs were left, by number."""
        left: dict[int, str] = {}
        while todo := [job for job in jobs if not watched[job.number].done and job.number not in left]:
            ready = [job for job in todo if watched[job.number].state.status != "running"]
            if ready:
                left |= self._launch(launcher, ready, watched, watch)
            if len(ready) < len(todo) or any(job.number not in left for job in ready):
                time.sleep(WAIT_SECONDS)
                watch.look()
        return left

    def _launch(
        self, launcher: Launcher, jobs: Sequence[Job], watched: Sequence[Watched], watch: Watch
    ) -> dict[int, str]:
        """Launch jobs; return the reasons of those that are not done and not to be launched again."""
        try:
            returns = launcher.launch([list(job.overrides) for job in jobs], initial_job_idx=0)
        except Exception as error:
            watch.look()
            return _given_up(jobs, watched, f"{type(error).__name__}: {error}")
        watch.look()
        reasons = {job.number: _reason(one) for job, one in zip(jobs, returns, strict=True)}
        return {number: why for number, why in reasons.items() if why is not None and not watched[number].done}


def _reason(one: JobReturn) -> str | None:
    """Return why a job that is not done is left; None if another process has it."""
    if one.status != JobStatus.FAILED:
        return "The job ended well and left no record here: code or data changed since the sweep began."
    return None if isinstance(one._return_value, Held) else str(one._return_value)


def _given_up(jobs: Sequence[Job], watched: Sequence[Watched], error: str) -> dict[int, str]:
    """Return the jobs to leave after a launcher gave up on all of them, as some do when one job's process dies.

    The others are launched again; but not if nothing at all was begun, for then the launcher itself does not work.
    """
    status = {job.number: watched[job.number].state.status for job in jobs}
    if set(status.values()) == {"new"}:
        return dict.fromkeys(status, error)
    return {number: error for number, was in status.items() if was == "interrupted"}


def _class(node: DictConfig) -> type:
    module, _, name = str(node._target_).rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    plain = OmegaConf.to_container(params, resolve=True) if OmegaConf.is_config(params) else params
    assert isinstance(plain, Mapping)
    return {str(key): value for key, value in plain.items()}


def _check_settings(config: DictConfig) -> None:
    settings = OmegaConf.to_container(config.sweep, resolve=True)
    assert isinstance(settings, dict)
    for key, value in settings.items():
        if key not in SETTINGS:
            raise RequestError(f"sweep has no key {key!r}.{did_you_mean(str(key), SETTINGS)}")
        if key in ("retry_failed", "allow_mixed_code") and not isinstance(value, bool):
            raise RequestError(f"sweep.{key} must be true or false; got {value!r}.")
    if settings.get("on_error") not in ("continue", "stop"):
        raise RequestError(f"sweep.on_error must be continue or stop; got {settings.get('on_error')!r}.")
