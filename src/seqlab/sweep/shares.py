"""What each of several jobs on one machine gets of it: cores, threads, GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqlab.errors import RequestError

#: Jobs at once on a machine without GPUs, if nobody says: more would fill the memory of large machines.
MOST_JOBS = 8


@dataclass(frozen=True)
class Shares:
    """A machine divided among jobs.

    Attributes:
        threads: of each job.
        gpus: for each job that may run at the same time the GPUs it sees; None where it may see what there is.
    """

    threads: int
    gpus: tuple[tuple[str, ...] | None, ...]

    @property
    def jobs(self) -> int:
        """Return how many run at the same time."""
        return len(self.gpus)

    def variables(self, slot: int) -> dict[str, str]:
        """Return the environment of the job in one of the places."""
        seen = self.gpus[slot]
        gpus = {} if seen is None else {"CUDA_VISIBLE_DEVICES": ",".join(seen)}
        return {"OMP_NUM_THREADS": str(self.threads), **gpus}

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        gpus = {len(seen) for seen in self.gpus if seen}
        return f"{self.jobs} at once, {threads}{' each' * (self.jobs > 1)}" + "".join(f", {n} GPU" for n in gpus)


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def may_use_gpus(trainer: Mapping[str, Any]) -> bool:
    """Return whether a trainer takes GPUs where there are any."""
    return trainer.get("accelerator") not in ("cpu", "mps", "tpu")


def visible_gpus() -> list[str]:
    """Return the names under which CUDA shows the GPUs; it is not started for that."""
    import torch

    count = torch.cuda.device_count()
    listed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return listed[:count] if listed else [str(number) for number in range(count)]


def divide(jobs: int | None, trainer: Mapping[str, Any], n_cores: int, gpus: Sequence[str]) -> Shares:
    """Divide a machine among jobs.

    The share does not depend on how many jobs are left, so that a sweep that is taken up again computes the same.

    Args:
        jobs: at once; None is one for each set of GPUs that a job asks for, or without GPUs one a core, up to
            ``MOST_JOBS``.
        trainer: the trainer group.
        n_cores: that may be used.
        gpus: that are visible.

    Raises:
        RequestError: a job asks for more than its share.
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise RequestError(f"hydra.launcher.jobs must be a whole number of at least 1, or null; got {jobs!r}.")
    asked = trainer.get("devices", 1)
    each = int(asked) if str(asked).isdigit() else None
    if not may_use_gpus(trainer) or not gpus:
        jobs = min(n_cores, MOST_JOBS) // (each or 1) or 1 if jobs is None else jobs
        return Shares(_threads(n_cores, jobs), (None,) * jobs)
    if jobs is None:
        jobs = max(1, len(gpus) // each) if each else 1
    share = max(1, len(gpus) // jobs)
    if each is not None and each > share:
        raise RequestError(
            f"trainer.devices={each} for each of {jobs} jobs at once needs {each * jobs} GPUs; {len(gpus)} are visible."
            f" Lower hydra.launcher.jobs or trainer.devices."
        )
    seen = tuple(tuple(gpus[(slot * share + i) % len(gpus)] for i in range(share)) for slot in range(jobs))
    return Shares(_threads(n_cores, jobs), seen)


def _threads(n_cores: int, jobs: int) -> int:
    """Return each job's threads: what OMP_NUM_THREADS says, or an equal part of the cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) else max(1, n_cores // jobs)
