"""What happens in a job's own process, whichever launcher started it."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from seqlab.errors import Refused, RequestError, RunError
from seqlab.runs import RECORD_FILE, Run
from seqlab.runs.lock import Held, living_owner
from seqlab.sweep.state import state_of

if TYPE_CHECKING:
    from seqlab.training.request import Request

OUTPUT_FILE = "output.log"
#: Variables that would make a fresh process believe it is one of several that somebody else has started.
FOREIGN = ("LOCAL_RANK", "NODE_RANK", "GLOBAL_RANK", "RANK", "WORLD_SIZE", "MASTER_", "PL_", "SLURM_", "TORCHELASTIC_")


class NotStarted(RunError):
    """The sweep stops at its first failure, and this job was not begun."""


@dataclass(frozen=True)
class SweepJob:
    """The task function of a sweep's jobs; it travels to other processes and machines.

    Attributes:
        since: when the sweep began (seconds since the epoch). What failed later is not tried again.
        stop_at: run folders of which a failure keeps further jobs from starting; none where failures stop nothing.
        home: host and process of the sweeper. Elsewhere a job's output goes to a file in its run folder.
    """

    since: float
    stop_at: tuple[Path, ...] = ()
    home: tuple[str, int] = (platform.node(), 0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        from seqlab.training.request import register_resolvers

        self.__dict__.update(state)
        register_resolvers()  # a process of its own knows Hydra's names, not seqlab's

    def __call__(self, cfg: DictConfig) -> float | None:
        """Train the job that Hydra has configured and return the monitored score.

        Raises:
            Held: another living process trains it.
            NotStarted: the sweep has stopped.
            RunError, RequestError: it failed, and its record says so.
        """
        from seqlab.training.app import job_request
        from seqlab.training.guards import house_errors

        with house_errors():
            request = job_request(cfg)
            run = self._settled(request.folder) or self._trained(request)
        return run.metrics.get(run.record["monitor"])

    def _settled(self, folder: Path) -> Run | None:
        """Return the run if another process completed it meanwhile.

        Raises:
            Held, NotStarted, RunError: nothing is to be done here.
        """
        state = state_of(folder)
        if state.written > self.since and state.status == "completed":
            return state.run
        if state.written > self.since and state.status == "failed":
            raise RunError(state.error)
        if state.status == "running":
            raise Held(f"Another process works on {folder}: {living_owner(folder)}.")
        for other in self.stop_at:
            seen = state_of(other)
            if seen.error and seen.written > self.since:
                raise NotStarted(f"Not started: {other} failed, and sweep.on_error is stop.")
        return None

    def _trained(self, request: Request) -> Run:
        from seqlab.training.folder import completed_run
        from seqlab.training.guards import explained
        from seqlab.training.pipeline import record_failure, run_request

        if (done := completed_run(request)) is not None:
            return done
        train = in_fresh_process if needs_fresh_process(request.config["trainer"]) else run_request
        try:
            with self._captured(request.folder):
                return train(request)
        except Held:
            raise
        except Exception as error:
            if not isinstance(explained(error), Refused):  # which would take no record either
                with contextlib.suppress(Held, OSError):
                    record_failure(request, f"{type(error).__name__}: {error}")
            raise

    @contextlib.contextmanager
    def _captured(self, folder: Path) -> Iterator[None]:
        """Send all that is written to the screen, by whatever library, to a file in the run folder."""
        if self.home == (platform.node(), os.getpid()):
            yield
            return
        folder.mkdir(parents=True, exist_ok=True)
        kept = [os.dup(1), os.dup(2)]
        with (folder / OUTPUT_FILE).open("ab", buffering=0) as file:
            _point(file.fileno(), file.fileno())
        try:
            yield
        finally:
            _point(*kept)
            for descriptor in kept:
                os.close(descriptor)


def _point(out: int, err: int) -> None:
    """Let the screen's two descriptors mean these."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)


def needs_fresh_process(trainer: Mapping[str, Any]) -> bool:
    """Return whether a job may start further processes: they repeat the command line, which here is the sweep's."""
    return trainer.get("strategy", "auto") != "auto" or trainer.get("devices", 1) not in (1, "1")


def in_fresh_process(request: Request) -> Run:
    """Train in a process that knows nothing of the sweep.

    Process groups of earlier jobs, launchers' variables and the sweep's own command line have all been seen to hang
    or to repeat a sweep; a new ``seqlab train`` has none of them.

    Raises:
        RunError: the process failed.
    """
    folder = str(request.folder).replace("\\", "\\\\").replace("'", "\\'")
    overrides = [o for o in request.overrides if not o.startswith("overwrite=")]  # done already
    command = [sys.executable, "-m", "seqlab", "train", *overrides, "hydra.mode=RUN", f"hydra.run.dir='{folder}'"]
    process = subprocess.Popen(command, env=_environment(request.config["trainer"]), stdin=subprocess.DEVNULL)
    with _ended_with_us(process):
        code = process.wait()
    if not (request.folder / RECORD_FILE).exists():
        raise _refusal(request.folder, code)
    run = Run.load(request.folder)
    if code == 0 and run.status == "completed":
        return run
    if living_owner(request.folder):
        raise Held(f"Another process works on {request.folder}.")
    raise RunError(run.error or f"The job's process ended with exit code {code}; see {request.folder / OUTPUT_FILE}.")


def _environment(trainer: Mapping[str, Any]) -> dict[str, str]:
    import torch

    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    devices = trainer.get("devices", 1)
    processes = devices if isinstance(devices, int) and devices > 0 else 1
    return {**kept, "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // processes))}


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass a polite end on to ``process``, and leave it behind in no case."""

    def end(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM)
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if main else None
    try:
        yield
    except BaseException:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


def _refusal(folder: Path, code: int) -> Exception:
    """Return why a fresh process ended before it had a record: its last words, where they were kept."""
    log = folder / OUTPUT_FILE
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    said = next((line for line in reversed(lines) if line.startswith("seqlab: ")), "")
    text = said.removeprefix("seqlab: ") or f"The job's process ended with exit code {code} before it began to train."
    return RequestError(text) if code == 2 else RunError(text)
