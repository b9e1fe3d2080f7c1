"""Hydra's launcher for one machine: several jobs at once, each in a process of its own."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from seqlab.errors import RunError, SeqlabError
from seqlab.sweep.processes import Child, Ended, stop, wait
from seqlab.sweep.shares import Shares, cores, divide, may_use_gpus, visible_gpus

if TYPE_CHECKING:
    from hydra._internal.callbacks import Callbacks

#: A kill of the whole process group reaches the children an instant before the sweep itself; it then is no crash.
KILL_SECONDS = 0.3


@dataclass
class _Running:
    number: int
    config: DictConfig
    child: Child


class LocalJobs(Launcher):
    """Runs jobs side by side on this machine.

    Args:
        jobs: at once; None decides by the machine, see ``shares.divide``.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs
        self.first_start: float | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to each launcher."""
        self.context, self.task_function, self.config = hydra_context, task_function, config

    @functools.cached_property
    def shares(self) -> Shares:
        """What each job gets of the machine."""
        plain = OmegaConf.to_container(self.config.trainer, resolve=True)
        assert isinstance(plain, dict)
        trainer = {str(key): value for key, value in plain.items()}
        return divide(self.jobs, trainer, cores(), visible_gpus() if may_use_gpus(trainer) else [])

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return how each ended, in order.

        Raises:
            KeyboardInterrupt: after all jobs were asked to save their state and leave.
        """
        waiting = deque(enumerate(job_overrides))
        free = deque(range(self.shares.jobs))
        running: list[_Running] = []
        results: dict[int, JobReturn] = {}
        try:
            while waiting or running:
                while waiting and free:
                    number, overrides = waiting.popleft()
                    running.append(self._start(number, initial_job_idx + number, list(overrides), free.popleft()))
                wait([r.child for r in running])
                for one, ended in [(r, ended) for r in running if (ended := r.child.ended())]:
                    running.remove(one)
                    free.append(one.child.slot)
                    results[one.number] = _result(one.config, ended)
        except BaseException:
            stop([r.child for r in running])
            raise
        return [results[number] for number in sorted(results)]

    def _start(self, number: int, index: int, overrides: list[str], slot: int) -> _Running:
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"job{index}", index
        work = functools.partial(_run, self.task_function, config, self.context.callbacks, self.shares.threads)
        child = Child.start(work, slot, self.shares.variables(slot))
        self.first_start = self.first_start or time.time()
        return _Running(number, config, child)


def _run(
    task_function: TaskFunction, config: DictConfig, callbacks: Callbacks, threads: int
) -> tuple[Any, SeqlabError | None]:
    """Run in the child: Hydra's own way to run a job; return its value or what went wrong."""
    import torch
    from hydra import version

    torch.set_num_threads(threads)
    version.setbase("1.3")
    setup_globals()
    context = HydraContext(config_loader=None, callbacks=callbacks)  # type: ignore[arg-type] # a job composes nothing
    done = run_job(task_function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    value = done._return_value  # the property writes to the screen and raises
    if done.status == JobStatus.COMPLETED:
        return value, None
    return None, value if isinstance(value, SeqlabError) else RunError(f"{type(value).__name__}: {value}")


def _result(config: DictConfig, ended: Ended) -> JobReturn:
    value, error = ended.value or (None, RunError(ended.crash))
    if ended.crash:
        time.sleep(KILL_SECONDS)
        _record_crash(config, ended.crash)
    return JobReturn(
        overrides=list(config.hydra.overrides.task),
        cfg=config,
        task_name=config.hydra.job.name,
        status=JobStatus.FAILED if error else JobStatus.COMPLETED,
        _return_value=error or value,
    )


def _record_crash(config: DictConfig, crash: str) -> None:
    """Say in the run's record that its process died, for it could not do so itself."""
    from seqlab.runs.lock import Held
    from seqlab.training.pipeline import record_failure
    from seqlab.training.request import make_request

    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
        record_failure(make_request(config, list(config.hydra.overrides.task), folder), crash)
    except Held:
        return  # the process lives on somewhere, or another one has taken over
    finally:
        HydraConfig.instance().cfg = before
