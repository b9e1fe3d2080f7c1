"""What a launcher can't do is refused before anything runs, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from seqlab.errors import RequestError
from seqlab.sweep.launcher import LocalJobs
from seqlab.sweep.plan import Job
from seqlab.sweep.shares import divide


def check_launcher(launcher: Launcher, config: DictConfig, jobs: Sequence[Job]) -> None:
    """Refuse what would hang or fail.

    Args:
        launcher: that is to run the jobs.
        config: the sweep's own composed config.
        jobs: of the sweep.

    Raises:
        RequestError: a job wants several machines, or more of this one than its share; or the launcher would start a
            job several times.
    """
    for job in jobs:
        trainer = job.request.config["trainer"]
        if trainer.get("num_nodes", 1) not in (1, "1"):
            raise RequestError(
                f"{job.label}: trainer.num_nodes={trainer['num_nodes']}: a job of a sweep starts its processes on one"
                " machine. Set it to 1, or train this one without -m on all machines at once."
            )
        if isinstance(launcher, LocalJobs):
            shares = launcher.shares
            gpus = [name for seen in shares.gpus for name in seen or ()]
            divide(shares.jobs, trainer, shares.threads, gpus)
    for key in ("nodes", "tasks_per_node"):
        if config.hydra.launcher.get(key, 1) not in (1, None):
            raise RequestError(
                f"hydra.launcher.{key}={config.hydra.launcher[key]} would start every job several times. Leave it at 1:"
                " a job starts its own processes, as many as trainer.devices says."
            )
